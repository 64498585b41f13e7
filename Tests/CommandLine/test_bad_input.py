import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import unittest

from home import PEERCTL, PEERNODE, HomeCase
from text import BLOCK, trapped

IS_ROOT = os.geteuid() == 0
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
ABSENT = "bafkreiemm3trwo4p7mulexgpqlyrztntyrfllw3z5k6hpvyfbeyfhe2adm"


class Files(HomeCase):
    def refused(self, path, *said, verbs=(["add"], ["run", "--map", "wc"])):
        """Adding and counting a path fails, says why and leaves nothing."""
        for words in ([*verb, path] for verb in verbs):
            error = self.ctl(*words, code=1).err
            for text in (path, *said):
                self.assertIn(text, error)
        self.assertEqual(self.ctl("pin", "ls").out, b"")

    def test_a_missing_file(self):
        self.refused(self.path("nope"), "No such file")

    def test_special_files(self):
        os.mkfifo(self.path("fifo"))
        self.refused(self.path("fifo"), "device, socket or pipe", verbs=[["add"]])
        self.refused("/dev/null", "device, socket or pipe", verbs=[["add"]])
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path("socket"))
            self.refused(self.path("socket"), "device, socket or pipe")

    def test_a_directory_without_r(self):
        self.write("d/a", b"a")
        self.refused(self.path("d"), "-r")

    def test_one_bad_path_among_good_ones_adds_nothing(self):
        self.ctl("add", self.write("a", b"a"), self.path("nope"), code=1)
        self.assertEqual(json.loads(self.ctl("--json", "repo", "stat").out)["blocks"], 0)

    @unittest.skipUnless(IS_ROOT and shutil.which("setpriv"), "needs root to become nobody")
    def test_a_file_that_may_not_be_read(self):
        secret = self.write("secret", b"s")
        os.chmod(secret, 0)
        os.chmod(self.folder, 0o777)
        error = self.ctl("add", secret, code=1, prefix=NOBODY).err
        self.assertIn(f"cannot read {secret}: Permission denied", error)

    @unittest.skipUnless(IS_ROOT and shutil.which("setpriv"), "needs root to become nobody")
    def test_a_home_of_someone_else(self):
        self.add(self.write("a", b"a"))
        os.chmod(self.folder, 0o777)
        self.assertIn(self.home, self.ctl("pin", "ls", code=1, prefix=NOBODY).err)

    def test_every_byte_is_legal(self):
        for name, content in [("empty", b""), ("nul", b"\0a\0 b\0"), ("crlf", b"a\r\nb\r\n"), ("open", b"a b"),
                              ("invalid", b"\xff\xfe \x80\n"), ("long", b"x" * (3 * BLOCK))]:
            with self.subTest(name=name):
                cid = self.add(self.write(name, content))
                self.assertEqual(self.ctl("cat", cid).out, content)
                result = self.ctl("-q", "run", "--map", "wc", cid).word
                words = {}
                for word in content.split():
                    words[word] = words.get(word, 0) + 1
                lines = b"".join(b"%s\t%d\n" % item for item in sorted(words.items()))
                self.assertEqual(self.ctl("result", result).out, lines)


class Content(HomeCase):
    def database(self):
        return sqlite3.connect(os.path.join(self.home, "blocks.db"))

    def test_a_cid_that_is_not_here(self):
        for words in (["cat", ABSENT], ["ls", ABSENT], ["get", ABSENT], ["result", ABSENT], ["block", "get", ABSENT],
                      ["dag", "export", ABSENT], ["pin", "add", ABSENT], ["run", "--map", "wc", ABSENT]):
            with self.subTest(words=words):
                self.assertIn(ABSENT, self.ctl(*words, code=1).err)
        self.assertEqual(self.ctl("pin", "ls").out, b"")

    def test_a_cid_that_is_not_here_through_a_daemon(self):
        self.start_daemon()
        self.assertIn(ABSENT, self.ctl("--timeout", "60s", "cat", ABSENT, code=1).err.splitlines()[-1])

    def broken(self, change):
        """A file of three blocks whose second one was changed; its CID and the block's."""
        content = trapped(5, 2)
        root = self.add(self.write("t", content))
        self.ctl("pin", "rm", root)
        second = self.ctl("add", "-n", "-q", stdin=content[BLOCK:2 * BLOCK]).word
        change(second)
        return root, second, content

    def test_a_missing_block_is_named_with_its_offset(self):
        root, second, content = self.broken(lambda cid: self.ctl("block", "rm", cid))
        done = self.ctl("cat", root, code=1)
        self.assertEqual(done.out, content[:BLOCK])
        self.assertIn(second, done.err)
        self.assertIn(str(BLOCK), done.err)
        self.assertEqual(self.ctl("cat", "-o", str(2 * BLOCK), root).out, content[2 * BLOCK:])
        error = self.ctl("run", "--map", "wc", root, code=1).err
        self.assertIn(second, error)
        self.assertIn(second, self.ctl("pin", "add", root, code=1).err)

    def corrupt(self, cid):
        digest = bytes.fromhex(self.ctl("cid", cid).text.split("digest")[1].split()[0])
        with self.database() as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                columns = [row[1:3] for row in database.execute(f"PRAGMA table_info({table})")]
                blobs = [name for name, kind in columns if kind.upper() == "BLOB"]
                for key in blobs:
                    for data in blobs:
                        database.execute(
                            f"UPDATE {table} SET {data} = zeroblob(length({data})) "
                            f"WHERE length({key}) < 100 AND instr({key}, ?) AND length({data}) > 1000", [digest])
            self.assertGreater(database.total_changes, 0)
        database.close()

    def test_a_block_that_is_not_its_cid_is_found_and_named(self):
        root, second, content = self.broken(self.corrupt)
        self.assertIn(second, self.ctl("cat", root, code=1).err)
        self.assertIn(second, self.ctl("run", "--map", "wc", root, code=1).err)
        self.assertEqual(self.add(self.path("t")), root)  # adding the file again heals it
        self.assertEqual(self.ctl("cat", root).out, content)
        self.ctl("repo", "verify")

    def test_verify_finds_a_changed_block(self):
        root, second, _ = self.broken(self.corrupt)
        self.ctl("pin", "add", "--name", "mine", root)
        found = self.ctl("repo", "verify", code=1)
        self.assertEqual(found.text, f"block {second} was corrupt; pin mine needs it\n")
        self.assertIn("1 blocks are damaged and 0 missing", found.err)

    def test_what_is_of_the_wrong_kind_is_1(self):
        self.write("d/a", b"a")
        directory = self.ctl("add", "-r", "-q", "d").word
        file = self.add("d/a")
        self.assertIn("peerctl ls", self.ctl("cat", directory, code=1).err)
        self.assertIn("is not a directory", self.ctl("cat", f"{directory}/a/x", code=1).err)
        self.assertIn("no entry", self.ctl("cat", f"{directory}/x", code=1).err)
        self.assertIn("not the result of a job", self.ctl("result", directory, code=1).err)
        self.assertEqual(self.ctl("ls", file).word, f"{file} 1")


class Room(HomeCase):
    def test_a_full_store_adds_nothing_and_keeps_all(self):
        daemon = self.start_daemon("--store-limit", "1M")
        kept = self.add(self.write("a", trapped(6, 2)))
        before = self.ctl("--json", "repo", "stat").out
        error = self.ctl("add", self.write("b", trapped(7, 8)), code=1).err
        self.assertIn("run repo gc", error)
        self.assertEqual(self.ctl("pin", "ls", "-q").word, kept)
        self.ctl("repo", "gc")
        self.assertEqual(self.ctl("--json", "repo", "stat").out, before)
        self.ctl("repo", "verify")
        self.assertEqual(daemon.end(), 0)

    def test_a_full_store_forgets_remembered_outputs_first(self):
        self.write("f", trapped(8, 12))
        self.ctl("run", "--map", "wc", "f")
        stat = json.loads(self.ctl("--json", "repo", "stat").out)
        self.assertGreater(stat["rememberedBytes"], 0)
        self.assertEqual(stat["pins"], 2)
        listed = self.ctl("repo", "stat").text
        self.assertRegex(listed, f"NumRemembered: +{stat['remembered']}\\n")
        self.assertRegex(listed, f"RememberedSize: +{stat['rememberedBytes']}\\n")
        with open(os.path.join(self.home, "config.toml"), "w") as file:
            file.write(f"store-limit = {stat['bytes'] + 1000}\n")
        kept = self.add(self.write("b", os.urandom(stat["rememberedBytes"] // 4)))
        after = json.loads(self.ctl("--json", "repo", "stat").out)
        self.assertLess(after["rememberedBytes"], stat["rememberedBytes"])
        self.assertIn("run repo gc", self.ctl("add", self.write("c", os.urandom(stat["bytes"])), code=1).err)
        self.assertIn(kept, self.ctl("pin", "ls", "-q").text)
        self.ctl("repo", "verify")

    def test_remembered_outputs_go_when_the_user_says_so(self):
        self.write("f", trapped(8, 4))
        result = self.ctl("-q", "run", "--map", "wc", "f").word
        before = json.loads(self.ctl("--json", "repo", "stat").out)
        self.ctl("repo", "gc")
        self.assertEqual(json.loads(self.ctl("--json", "repo", "stat").out), before)
        self.ctl("repo", "gc", "--remembered")
        after = json.loads(self.ctl("--json", "repo", "stat").out)
        self.assertEqual((after["remembered"], after["rememberedBytes"], after["pins"]), (0, 0, before["pins"]))
        self.assertLess(after["bytes"], before["bytes"])
        again = json.loads(self.ctl("--json", "run", "--map", "wc", "f").out)
        self.assertEqual((again["result"], again["map"]["remembered"]), (result, 0))
        # Without the list that knows them the pins are strays.
        for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
            if os.path.exists(os.path.join(self.home, name)):
                os.unlink(os.path.join(self.home, name))
        self.ctl("repo", "gc")
        self.assertEqual(json.loads(self.ctl("--json", "repo", "stat").out)["remembered"], 0)

    @unittest.skipUnless(IS_ROOT, "needs root to mount a small disk")
    def test_a_disk_without_a_byte_left_is_called_full(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=110m", "small", disk], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("mounting is not allowed here")
        try:
            self.home = os.path.join(disk, "home")
            kept = self.add(self.write("a", b"a"))
            with open(os.path.join(disk, "rest"), "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
            for verb in (["cat", kept], ["pin", "ls"], ["repo", "stat"], ["add", "a"]):
                error = self.ctl(*verb, code=1).err
                self.assertRegex(error, "full|No space", verb)
                self.assertNotIn("disk I/O error", error)
            os.unlink(os.path.join(disk, "rest"))
            self.assertEqual(self.ctl("cat", kept).out, b"a")
        finally:
            subprocess.run(["umount", "-l", disk])

    @unittest.skipUnless(IS_ROOT, "needs root to mount a small disk")
    def test_a_full_disk_adds_nothing_and_keeps_all(self):
        # Adds stop while 96 MiB are left, so that removing and collecting still have room.
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=110m", "small", disk], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("mounting is not allowed here")
        try:
            self.home = os.path.join(disk, "home")
            kept = self.add(self.write("a", trapped(6, 2)))
            self.assertRegex(self.ctl("add", self.write("b", os.urandom(40 << 20)), code=1).err, "full|No space")
            self.assertEqual(self.ctl("pin", "ls", "-q").word, kept)
            self.ctl("repo", "gc")
            self.ctl("repo", "verify")
            self.assertEqual(self.ctl("cat", kept).out, open(self.path("a"), "rb").read())
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def test_output_that_cannot_be_written(self):
        cid = self.add(self.write("a", trapped(8, 2)))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PEERCTL, "--home", self.home, "cat", cid], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)
        self.ctl("get", cid, "-o", self.path("no", "such", "folder"), code=1)

    def test_a_closed_pipe_ends_it_silently_as_it_ends_cat(self):
        cid = self.add(self.write("a", trapped(8, 12)))
        for daemon in (False, True):
            if daemon:
                self.start_daemon()
            process = self.start("cat", cid)
            process.stdout.read(10)
            process.stdout.close()
            self.assertIn(process.wait(60), (141, -signal.SIGPIPE))
            self.assertEqual(process.stderr.read(), b"")


class Homes(HomeCase):
    def test_a_newer_or_foreign_database(self):
        self.add(self.write("a", b"a"))
        path = os.path.join(self.home, "blocks.db")
        database = sqlite3.connect(path)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 1}")
        database.commit()
        database.close()
        self.assertIn("newer", self.ctl("pin", "ls", code=1).err)
        done = subprocess.run([PEERNODE, "--home", self.home, "--listen", "/ip4/127.0.0.1/tcp/0"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        with open(path, "wb") as file:
            file.write(b"this is no database" * 500)
        self.assertIn(path, self.ctl("pin", "ls", code=1).err)

    def test_a_newer_or_damaged_list_of_jobs(self):
        file = self.write("a", b"a b\n")
        result = self.ctl("-q", "run", "--map", "wc", "-R", "2", file).word
        path = os.path.join(self.home, "jobs.db")

        def refused(words):
            for verb in (["run", "--map", "wc", file], ["jobs"]):
                error = self.ctl(*verb, code=1).err
                for word in [path, *words]:
                    self.assertIn(word, error)
                self.assertNotIn("SELECT", error)
                self.assertNotIn("PRAGMA", error)
            done = subprocess.run([PEERNODE, "--home", self.home, "--listen", "/ip4/127.0.0.1/tcp/0"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(words[0].encode(), done.stderr)
            self.assertEqual(self.ctl("result", result).out, b"a\t1\nb\t1\n")  # which needs no list

        database = sqlite3.connect(path)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 1}")
        database.commit()
        database.close()
        refused(["newer program"])
        with open(path, "wb") as file_:
            file_.write(b"this is no database" * 500)
        refused(["move it away"])
        os.unlink(path)
        self.assertEqual(self.ctl("-q", "run", "--map", "wc", "-R", "2", file).word, result)

    def test_a_second_daemon(self):
        daemon = self.start_daemon()
        done = subprocess.run([PEERNODE, "--home", self.home, "--listen", "/ip4/127.0.0.1/tcp/0"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"")
        self.assertIn(f"process {daemon.process.pid}".encode(), done.stderr)
        self.ctl("id")
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(self.start_daemon().end(), 0)

    def test_a_home_that_is_a_file(self):
        self.home = self.write("file", b"")
        self.assertIn("--home", self.ctl("pin", "ls", code=1).err)

    def test_ctrl_c_in_the_middle_of_an_add_leaves_nothing(self):
        for daemon in (False, True):
            if daemon:
                self.start_daemon()
            process = subprocess.Popen([PEERCTL, "--home", self.home, "add", "-"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdin.write(trapped(9, 8))
            process.stdin.flush()
            for _ in range(200):  # until some of it is stored
                if process.poll() is None and json.loads(self.ctl("--json", "repo", "stat").out)["blocks"] > 0:
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            self.assertEqual((process.wait(60), process.stdout.read()), (130, b""))
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()
            self.assertEqual(self.ctl("pin", "ls").out, b"")
            self.assertEqual(json.loads(self.ctl("--json", "repo", "stat").out)["blocks"], 0)
            self.ctl("repo", "verify")


if __name__ == "__main__":
    unittest.main()
