import os
import re
import subprocess
import unittest

from home import PEERCTL, PEERNODE, HomeCase

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


class Usage(HomeCase):
    def golden(self, name, text):
        """Compares with a file; UPDATE=1 writes it."""
        path = os.path.join(GOLDEN, name)
        if os.environ.get("UPDATE"):
            with open(path, "w") as file:
                file.write(text)
        with open(path) as file:
            self.assertEqual(text, file.read(), f"{name} differs; UPDATE=1 Tests/CommandLine/run writes it anew")

    def verbs(self):
        help = self.ctl("--help").text
        return re.findall(r"^  ((?:block|dag|pin|policy|repo) \w+|[a-z]+)  ", help, re.M)

    def test_help_is_as_documented(self):
        self.golden("peerctl.txt", self.ctl("--help").text)
        self.assertEqual(self.ctl("help").out, self.ctl("-h").out)
        done = subprocess.run([PEERNODE, "--help"], stdout=subprocess.PIPE, check=True)
        self.golden("peernode.txt", done.stdout.decode())

    def test_every_verb_has_help_with_an_example(self):
        pages = []
        self.assertGreater(len(self.verbs()), 25)
        for verb in self.verbs():
            page = self.ctl(*verb.split(), "--help").text
            self.assertTrue(page.startswith(f"usage: peerctl {verb}"), page)
            self.assertIn("\nExample:\n  ", page)
            self.assertLessEqual(max(map(len, page.splitlines())), 110)
            self.assertEqual(page, self.ctl("help", *verb.split()).text)
            pages.append(page)
        self.golden("verbs.txt", "\n".join(pages))

    def test_help_leaves_no_home(self):
        self.ctl("add", "--help")
        self.ctl("add", "--nope", code=2)
        self.assertFalse(os.path.exists(self.home))

    def test_wrong_usage_is_2_and_says_what_is_right(self):
        file = self.write("a.txt", b"a\n")
        for words, said in [
            ([], "peerctl help"),
            (["rnu"], "did you mean run?"),
            (["blokc", "get"], "did you mean block?"),
            (["block"], "needs one of: get, put, stat, rm"),
            (["add", "--qiet", file], "did you mean --quiet?"),
            (["cat"], "usage: peerctl cat"),
            (["cat", "zz"], "«zz» is not a CID"),
            (["cat", "-o", "x", "zz"], "peerctl: "),
            (["cid", "--nope"], "--nope"),
            (["--timeout", "x", "jobs"], "such as 30s"),
            (["policy"], "needs one of: show, allow, deny, reset"),
            (["policy", "allow"], "usage: peerctl policy allow"),
            (["policy", "allow", "me"], "nor `network` or `others`"),
            (["policy", "allow", "--engine", "javscript", "others"], "did you mean javascript?"),
            (["policy", "allow", "--slots", "0", "others"], "1 to 1024"),
            (["policy", "allow", "--limit", "memory", "others"], "NAME=VALUE"),
            (["policy", "allow", "--limit", "memroy=1", "others"], "did you mean memory?"),
            (["policy", "allow", "--limit", "memory=0", "others"], "such as 512M"),
            (["policy", "allow", "--limit", "cpu=soon", "others"], "such as 30s"),
            (["policy", "allow", "--commands", "network"], "to a peer by its id"),
            (["policy", "deny", "self"], "`self` is you"),
            (["run", file], "--map"),
            (["run", "--map", "wc"], "usage: peerctl run"),
            (["run", "--map", "wcc", file], "did you mean wc?"),
            (["run", "--map", "wc", "--reduce", "summ", file], "did you mean sum?"),
            (["run", "--map", "wc", "--reduces", "0", file], "1 to 65536"),
            (["run", "--map", "wc", "--reduces", "65537", file], "1 to 65536"),
            (["run", "--map", "wc", "--reduces", "x", file], "1 to 65536"),
            (["run", "--map", "wc", "--format", "xml", file], "one of"),
            (["run", "--map", "grep", file], "--arg pattern="),
            (["run", "--map", "grep", "--arg", "pattern=(", file], "pattern"),
            (["run", "--map", "grep", "--arg", "pattern", file], "NAME=VALUE"),
            (["run", "--map", "wc", "--arg", "foo=bar", file], "foo"),
        ]:
            with self.subTest(words=words):
                self.assertIn(said, self.ctl(*words, code=2).err)

    def test_a_name_that_is_not_utf8_is_refused_with_a_way_out(self):
        self.assertIn("not UTF-8", self.ctl("add", b"\xff", code=2).err)
        os.makedirs(os.fsencode(self.path("d")))
        with open(os.path.join(os.fsencode(self.path("d")), b"\xff"), "wb"):
            pass
        self.assertIn("rename it", self.ctl("add", "-r", "d", code=1).err)
        self.assertEqual(self.ctl("pin", "ls").out, b"")


if __name__ == "__main__":
    unittest.main()
