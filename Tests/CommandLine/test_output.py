"""Where output goes, and how a command ends that does not run to its end."""

import json
import os
import pty
import signal
import stat
import subprocess
import threading
import unittest

from home import PEERCTL, PEERNODE, HomeCase
from text import trapped


def read_in_background(path):
    """Reads a pipe to its end; gives what came when it is called."""
    got = []

    def read():
        with open(path, "rb") as file:
            got.append(file.read())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def finish():
        reader.join(60)
        return got[0]

    return finish


class Output(HomeCase):
    def test_output_goes_where_the_shell_would_put_it(self):
        cid = self.add(self.write("f", b"hello\n"))
        result = self.ctl("-q", "run", "--map", "wc", "f").word
        verbs = [(["get", cid], b"hello\n"), (["result", result], b"hello\t1\n"),
                 (["dag", "export", cid], self.ctl("dag", "export", cid).out),
                 (["-q", "run", "--map", "wc", "f"], b"hello\t1\n")]
        for number, (verb, content) in enumerate(verbs):
            with self.subTest(verb=verb[0]):
                pipe, link, real = (self.path(f"{name}{number}") for name in ("pipe", "link", "real"))
                os.mkfifo(pipe)
                finish = read_in_background(pipe)
                self.ctl(*verb, "-o", pipe)
                self.assertEqual(finish(), content)
                self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))

                self.write(f"real{number}", b"older and longer than what comes")
                os.chmod(real, 0o640)
                os.symlink(f"real{number}", link)
                self.ctl(*verb, "-o", link)
                self.assertTrue(os.path.islink(link))
                with open(real, "rb") as file:
                    self.assertEqual(file.read(), content)
                self.assertEqual(os.stat(real).st_mode & 0o777, 0o640)

                self.assertEqual(self.ctl(*verb, "-o", "-").out, content)
                self.assertIn("No space left", self.ctl(*verb, "-o", "/dev/full", code=1).err)
        self.assertEqual([name for name in os.listdir(self.folder) if ".part" in name], [])

    def test_a_result_that_cannot_be_saved_is_said_before_the_job(self):
        self.write("f", b"a\n")
        self.assertIn("nowhere/x", self.ctl("run", "--map", "wc", "-o", "nowhere/x", "f", code=1).err)
        self.assertEqual(self.ctl("jobs", "-q").out, b"")

    def test_get_follows_no_link_below_its_target(self):
        os.mkdir(self.path("outside"))
        os.mkdir(self.path("a"))
        os.symlink(self.path("outside"), self.path("a", "x"))
        self.write("b/x/evil", b"!")
        link, tree = (self.ctl("add", "-r", "-q", name).word for name in ("a", "b"))
        self.ctl("get", link, "-o", "out")
        self.assertIn("out/x", self.ctl("get", tree, "-o", "out", code=1).err)
        self.assertEqual(os.listdir(self.path("outside")), [])
        # The user's own link to a directory is another matter, and a file takes the place of a link.
        os.mkdir(self.path("chosen"))
        os.symlink("chosen", self.path("named"))
        self.ctl("get", tree, "-o", "named")
        self.assertEqual(os.listdir(self.path("chosen", "x")), ["evil"])
        self.write("c/x", b"file")
        self.ctl("get", self.ctl("add", "-r", "-q", "c").word, "-o", "out")
        self.assertFalse(os.path.islink(self.path("out", "x")))

    def test_no_name_leads_out_of_the_target(self):
        leaf = self.ctl("block", "put", stdin=b"!").word
        digest = bytes.fromhex(self.ctl("cid", leaf).text.split("digest")[1].split()[0])
        for name in (b"../out", b"..", b".", b"a/b", b"/tmp/x", b""):
            link = b"\x0a\x24\x01\x55\x12\x20" + digest + b"\x12" + bytes([len(name)]) + name + b"\x18\x01"
            node = b"\x12" + bytes([len(link)]) + link + b"\x0a\x02\x08\x01"
            root = self.ctl("block", "put", "--cid-codec", "dag-pb", stdin=node).word
            self.ctl("get", root, "-o", "in/target", code=1)
            os.makedirs(self.path("in"), exist_ok=True)
            self.ctl("get", root, "-o", "in/target", code=1)
            self.assertIn(os.listdir(self.path("in")), [[], ["target"]])
            self.assertFalse(os.path.exists(self.path("out")))

    def test_names_may_be_as_long_as_the_file_system_takes(self):
        name = "n" * 255
        self.write(f"d/{name}", b"x")
        root = self.ctl("add", "-r", "-q", "d").word
        self.ctl("get", root, "-o", "out")
        self.assertEqual(os.listdir(self.path("out")), [name])

    def test_nesting_is_bounded_when_it_is_added(self):
        os.makedirs(self.path("d", *["d"] * 255))
        root = self.ctl("add", "-r", "-q", "d").word
        self.ctl("get", root, "-o", "out")
        os.makedirs(self.path("e", *["d"] * 256))
        self.assertIn("nested too deeply", self.ctl("add", "-r", "e", code=1).err)

    def test_closed_streams_are_not_taken_for_files_of_the_home(self):
        cid = self.add(self.write("f", b"x"))
        done = subprocess.run(["bash", "-c", 'exec "$@" <&- >&- 2>&-', "-", PEERCTL, "--home", self.home, "cat", cid])
        self.assertEqual(done.returncode, 1)
        with open(os.path.join(self.home, "lock"), "rb") as lock:
            self.assertEqual(lock.read(), b"")


class Inputs(HomeCase):
    def test_run_reads_through_links_and_pipes_as_grep_does(self):
        self.write("d/f", b"b a\n")
        os.symlink("d/f", self.path("link"))
        os.symlink("d", self.path("folder"))
        os.mkfifo(self.path("pipe"))
        expected = self.ctl("-q", "run", "--map", "wc", "d/f").word
        self.assertEqual(self.ctl("-q", "run", "--map", "wc", "link").word, expected)
        self.assertEqual(self.ctl("-q", "run", "-r", "--map", "wc", "folder").word, expected)
        feeder = threading.Thread(target=lambda: self.write("pipe", b"b a\n"), daemon=True)
        feeder.start()
        self.assertEqual(self.ctl("-q", "run", "--map", "wc", "pipe").word, expected)
        feeder.join(60)
        # Inside a directory a link stays what it is, as with `grep -r`.
        os.symlink("f", self.path("d", "again"))
        self.assertEqual(self.ctl("-q", "run", "-r", "--map", "wc", "d").word, expected)

    def test_a_slash_behind_a_directory_changes_nothing(self):
        self.write("d/f", b"b a\n")
        results = {self.ctl("-q", "run", "-r", "--map", "index", name).word for name in ("d", "d/", "d//")}
        self.assertEqual(len(results), 1)

    def test_contradictions_are_wrong_usage(self):
        self.write("f", b"a")
        self.assertIn("twice", self.ctl("run", "--map", "grep", "--arg", "pattern=a", "--arg", "pattern=b", "f", code=2).err)
        self.assertIn("--detach", self.ctl("run", "--map", "wc", "--detach", "-o", "x", "f", code=2).err)
        for program in (PEERCTL, PEERNODE):
            words = ["pin", "ls"] if program == PEERCTL else []
            done = subprocess.run([program, "--home", "", *words], cwd=self.folder, capture_output=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"--home is empty", done.stderr)
        self.assertEqual(os.listdir(self.folder), ["f"])

    def test_settings_may_have_the_line_ends_of_windows(self):
        os.mkdir(self.home)
        self.write("home/config.toml", b"store-limit = 40M\r\nslots = 2\r\n")
        self.assertEqual(json.loads(self.ctl("--json", "repo", "stat").out)["limit"], 40 << 20)


class Ends(HomeCase):
    """A job that a daemon has, and a `run` that watches it."""

    def setUp(self):
        super().setUp()
        self.write("f", trapped(25, 60))
        self.start_daemon()
        self.add(self.path("f"))

    def job(self):
        return json.loads(self.ctl("--json", "jobs").out.splitlines()[0])

    def watch_on_a_terminal(self):
        leader, follower = pty.openpty()
        process = subprocess.Popen([PEERCTL, "--home", self.home, "run", "--map", "sort", "--no-cache", "f"],
                                   cwd=self.folder, stdin=follower, stdout=subprocess.PIPE, stderr=follower)
        os.close(follower)
        self.addCleanup(os.close, leader)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        self.read_until(leader, b"map ")
        return process, leader

    def read_until(self, leader, word):
        shown = b""
        while word not in shown:
            shown += os.read(leader, 1 << 16)
        return shown

    def test_a_second_ctrl_c_at_the_question_cancels(self):
        process, leader = self.watch_on_a_terminal()
        process.send_signal(signal.SIGINT)
        self.read_until(leader, b"running? [y/N]")
        process.send_signal(signal.SIGINT)
        self.read_until(leader, b"cancelled")
        self.assertEqual(process.wait(60), 130)
        self.assertEqual(self.job()["state"], "cancelled")

    def test_yes_leaves_the_job_running(self):
        process, leader = self.watch_on_a_terminal()
        process.send_signal(signal.SIGINT)
        self.read_until(leader, b"running? [y/N]")
        os.write(leader, b"y\n")
        self.read_until(leader, b"goes on")
        self.assertEqual(process.wait(60), 130)
        self.assertIn(self.job()["state"], ("running", "succeeded"))

    def test_a_job_outlives_its_terminal(self):
        process, _ = self.watch_on_a_terminal()
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(60), 129)
        self.assertIn(self.job()["state"], ("running", "succeeded"))

    def test_a_timeout_cancels_the_job(self):
        err = self.ctl("--timeout", "500ms", "run", "--map", "sort", "--no-cache", *["f"] * 8, code=1).err
        self.assertIn("not done after 500ms", err)
        job = self.job()
        self.assertEqual(job["state"], "cancelled")
        self.assertIn(job["id"], err)


if __name__ == "__main__":
    unittest.main()
