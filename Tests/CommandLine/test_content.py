import json
import os
import pty
import subprocess
import unittest

from home import PATIENCE, PEERCTL, HomeCase
from text import BLOCK, trapped

# CIDs that Kubo gives with --cid-version=1 --raw-leaves.
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"  # "hello world"
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


class Content(HomeCase):
    def test_add_prints_cids_that_ipfs_gives(self):
        file = self.write("hello", b"hello world")
        self.assertEqual(self.ctl("add", file).text, f"added {HELLO} hello\n")
        self.assertEqual(self.ctl("add", "-q", file).text, f"{HELLO}\n")
        self.assertEqual(self.ctl("add", stdin=b"hello world").text, f"added {HELLO} {HELLO}\n")
        self.assertEqual(self.ctl("add", "-q", "-", stdin=b"").word, EMPTY)
        self.assertEqual(json.loads(self.ctl("--json", "add", file).out),
                         {"name": "hello", "cid": HELLO, "size": 11})

    def test_hash_only_stores_nothing(self):
        self.assertEqual(self.ctl("add", "-n", "-q", "-", stdin=b"hello world").word, HELLO)
        self.ctl("cat", HELLO, code=1)
        self.assertEqual(self.ctl("pin", "ls").out, b"")

    def test_cat_gives_any_range(self):
        content = trapped(1, 3)
        cid = self.add(self.write("t", content))
        self.assertEqual(self.ctl("cat", cid).out, content)
        for offset, length in [(0, 0), (BLOCK - 1, 2), (BLOCK, BLOCK), (len(content) - 1, 100), (len(content), 1),
                               (len(content) + 9, 1)]:
            got = self.ctl("cat", "-o", str(offset), "-l", str(length), cid).out
            self.assertEqual(got, content[offset:offset + length])

    def test_directories_come_back_as_they_were(self):
        self.write("d/a.txt", b"one\n")
        self.write("d/e/b.txt", b"")
        self.write("d/.hidden", b"no")
        self.write("d/ü n.txt", b"two")
        os.symlink("a.txt", self.path("d", "link"))
        root = self.ctl("add", "-r", "-q", "d").word
        names = [entry["name"] for entry in map(json.loads, self.ctl("--json", "ls", root).text.splitlines())]
        self.assertEqual(names, ["a.txt", "e", "link", "ü n.txt"])
        self.assertEqual(self.ctl("cat", f"{root}/a.txt").out, b"one\n")
        self.assertEqual(self.ctl("cat", f"/ipfs/{root}/ü n.txt").out, b"two")
        self.ctl("get", root, "-o", "out")
        self.assertEqual(subprocess.run(["diff", "-r", "--no-dereference", "--exclude=.hidden", "d", "out"],
                                        cwd=self.folder).returncode, 0)
        wrapped = self.ctl("add", "-w", "-q", "d/a.txt").word
        self.assertEqual(self.ctl("cat", f"{wrapped}/a.txt").out, b"one\n")

    def test_pins_hold_and_gc_takes_the_rest(self):
        kept = self.add(self.write("a", b"kept"))
        loose = self.add(self.write("b", b"loose"))
        self.assertEqual(self.ctl("pin", "rm", loose).text, f"unpinned {loose}\n")
        self.assertIn("not pinned", self.ctl("pin", "rm", loose, code=1).err)
        self.assertIn("is pinned", self.ctl("block", "rm", kept, code=1).err)
        self.assertEqual(self.ctl("repo", "gc").text, f"removed {loose}\n")
        self.assertEqual(self.ctl("repo", "gc").out, b"")
        self.assertEqual(self.ctl("cat", kept).out, b"kept")
        self.ctl("cat", loose, code=1)
        self.ctl("pin", "add", "--name", "mine", kept)
        self.assertEqual(self.ctl("pin", "ls").text, f"{kept} recursive\n")
        self.assertEqual(self.ctl("pin", "ls", "--names").text, f"{kept} recursive mine\n")

    def test_names_of_pins(self):
        one, other = self.add(self.write("a", b"one")), self.add(self.write("b", b"other"))
        self.assertEqual(self.ctl("pin", "add", "--name", "mine", one).err, "")
        moved = self.ctl("pin", "add", "--name", "mine", other).err
        self.assertIn(f"moved from {one}", moved)
        self.assertEqual(self.ctl("pin", "ls", "--names").text, f"{other} recursive mine\n")
        for name in ("~remembered/x", "~", "result/x"):
            for verb in (["pin", "add", "--name", name, other], ["add", "--pin-name", name, "a"]):
                self.assertIn(name, self.ctl(*verb, code=2).err)

    def test_a_file_is_what_it_was_when_it_was_opened(self):
        for start_daemon in (False, True):
            if start_daemon:
                self.start_daemon()
            # Its size is 0, and it has bytes all the same.
            cid = self.add("/proc/self/status")
            self.assertIn(b"peerctl", self.ctl("cat", cid).out)
            self.assertEqual(self.add(self.write("e", b"")), EMPTY)
            content = os.urandom(40 << 20)
            process = self.start("add", "-q", self.write("grows", content))
            with open(self.path("grows"), "ab") as file:
                while process.poll() is None:
                    file.write(b"more")
                    file.flush()
            out, err = process.communicate()
            self.assertEqual(process.returncode, 0, err)
            self.assertTrue(self.ctl("cat", out.decode().strip()).out.startswith(content))

    def test_pin_ls_lists_a_result_once_and_nothing_internal(self):
        file = self.write("a", b"a b\n")
        results = {self.ctl("-q", "run", "--map", "wc", *extra, file).word for extra in [[], ["--no-cache"]]}
        self.assertEqual(len(results), 1)
        listed = self.ctl("pin", "ls", "-q").text.split()
        self.assertEqual(sorted(listed), sorted([self.add(file), *results]))
        self.assertNotIn("~", self.ctl("pin", "ls", "--names").text)

    def test_blocks(self):
        cid = self.ctl("block", "put", stdin=b"hello world").word
        self.assertEqual(cid, HELLO)
        self.assertEqual(self.ctl("block", "get", cid).out, b"hello world")
        self.assertEqual(self.ctl("block", "stat", cid).text, f"Key: {cid}\nSize: 11\n")
        self.ctl("block", "rm", cid)
        self.assertIn(cid, self.ctl("block", "get", cid, code=1).err)

    def test_cid(self):
        self.assertIn("digest   b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
                      self.ctl("cid", HELLO).text)
        self.assertFalse(os.path.exists(self.home))

    def test_a_car_carries_a_tree_and_a_damaged_one_nothing(self):
        self.write("d/a", trapped(2, 3))
        root = self.ctl("add", "-r", "-q", "d").word
        car = self.write("d.car", self.ctl("dag", "export", root).out)
        other = self.path("other")
        self.write("cut.car", open(car, "rb").read()[:-5])
        self.assertRegex(self.ctl("dag", "import", "cut.car", home=other, code=1).err, r"damaged CAR at byte \d+")
        self.assertEqual(json.loads(self.ctl("--json", "repo", "stat", home=other).out)["blocks"], 0)
        self.assertEqual(self.ctl("dag", "import", car, home=other).text, f"Pinned root {root} success\n")
        self.assertEqual(self.ctl("dag", "export", root, home=other).out, open(car, "rb").read())
        self.assertEqual(self.ctl("dag", "stat", root, home=other).text, self.ctl("dag", "stat", root).text)

    def test_files_of_the_home_are_the_users_alone(self):
        self.ctl("-q", "run", "--map", "wc", self.write("a", b"a"))
        for name in os.listdir(self.home):
            self.assertEqual(os.stat(os.path.join(self.home, name)).st_mode & 0o077, 0, name)

    def test_progress_is_for_terminals(self):
        file = self.write("t", trapped(3, 12))
        self.assertEqual(self.ctl("add", file).err, "")
        self.assertEqual(self.ctl("-q", "run", "--map", "wc", file).err, "")
        self.assertRegex(self.ctl("run", "--map", "wc", "--no-cache", file).err, r"^job \S+: 1\d map tasks, .*\n$")
        leader, follower = pty.openpty()
        done = subprocess.run([PEERCTL, "--home", self.home, "run", "--map", "wc", "--no-cache", file],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower)
        os.close(follower)
        shown = os.read(leader, 1 << 16)
        os.close(leader)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"\r\x1b[K[", shown)
        self.assertNotIn(b"\x1b", done.stdout)

    def test_neither_program_loads_foundation(self):
        loaded = subprocess.run(["ldd", PEERCTL], stdout=subprocess.PIPE, check=True).stdout
        self.assertNotIn(b"libFoundation", loaded)


class Together(HomeCase):
    def test_two_commands_work_beside_each_other(self):
        files = [self.write(f"f{n}", trapped(10 + n, 4)) for n in range(4)]
        runs = [self.start("-q", "run", "--map", "wc", "--reduces", "2", file) for file in files]
        results = []
        for process in runs:
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
            results.append(out.decode().strip())
        alone = [self.ctl("-q", "run", "--map", "wc", "--reduces", "2", file, home=self.path("alone")).word
                 for file in files]
        self.assertEqual(results, alone)
        self.ctl("repo", "verify")

    def test_a_daemon_that_lacks_a_block_gives_an_error_and_never_a_part(self):
        content = trapped(7, 12)
        cid = self.add(self.write("t", content))
        words = self.write("words", b"".join(b"word%d\n" % n for n in range(60_000)))
        result = self.ctl("-q", "run", "--no-cache", "--map", "wc", words).word
        counts = self.ctl("result", result).out
        self.assertGreater(len(counts), 2 * BLOCK)
        part = json.loads(self.ctl("--json", "ls", result).text.splitlines()[0])["name"]
        for root, whole, leaf in [(cid, content, 5), (result, self.ctl("cat", f"{result}/{part}").out, 1)]:
            self.ctl("pin", "rm", root)
            lost = self.write("leaf", whole[leaf * BLOCK:(leaf + 1) * BLOCK])
            self.ctl("block", "rm", self.ctl("add", "-n", "-q", lost).word)
        self.start_daemon()
        commands = [["cat", cid], ["get", cid, "-o", "out"], ["dag", "export", cid], ["result", result]]
        running = [(command, self.start(*command)) for command in commands]
        for command, process in running:
            out, error = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 1, command)
            self.assertRegex(error, rb"block bafkrei\w+.* is not (here and no peer is connected|in the store)", command)
            self.assertNotIn(b"broke off", error, command)
            # What is before the lost block may have been written, and nothing behind it.
            if command[0] == "cat":
                self.assertEqual(out, content[:5 * BLOCK])
        self.assertFalse(os.path.exists(self.path("out")))

    def test_embedded_and_through_a_daemon_give_the_same(self):
        self.write("d/a", trapped(4, 2))
        self.write("d/b", b"x y x\n")
        cid = self.ctl("add", "-n", "-q", "d/b").word
        commands = [
            ["add", "-r", "d"], ["--json", "add", "-r", "d"], ["cat", cid], ["cat", "-o", "2", cid], ["ls", cid],
            ["block", "stat", cid], ["block", "get", cid], ["dag", "stat", cid], ["dag", "export", cid],
            ["pin", "ls", "-q"], ["pin", "rm", EMPTY], ["pin", "add", cid], ["pin", "ls", "--names"],
            ["-q", "run", "-r", "--map", "index", "--reduces", "3", "d"], ["get", cid, "-o", "x"],
            ["run", "--map", "grep", "--arg", "pattern=(", cid], ["logs", "x"], ["repo", "gc"], ["repo", "verify"],
            ["cid", cid], ["result", cid], ["cat", f"{cid}/x"], ["repo", "stat"],
        ]

        def outputs():
            for words in commands:
                done = subprocess.run([PEERCTL, "--home", self.home, *words], cwd=self.folder,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                yield words, done.returncode, done.stdout, done.stderr

        embedded = list(outputs())
        os.rename(self.home, self.path("first"))
        daemon = self.start_daemon()
        for one, other in zip(embedded, outputs()):
            with self.subTest(words=one[0]):
                self.assertEqual(one, other)
        self.assertEqual(daemon.end(), 0)


if __name__ == "__main__":
    unittest.main()
