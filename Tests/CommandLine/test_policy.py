import json
import os
import stat
import subprocess

from home import PEERNODE, HomeCase

PEER = "12D3KooWGRUacZtFXsYHyhd6ZJXkpcGQqWd5hBVNaRzYCLDbqz2X"


class Policy(HomeCase):
    def policy(self):
        return json.loads(self.ctl("--json", "policy", "show").out)["policy"]

    def daemon_fails(self, *flags):
        """What a daemon says that does not start, which has to be one line."""
        done = subprocess.run([PEERNODE, "--home", self.home, "--listen", "/ip4/127.0.0.1/tcp/0", *flags],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"")
        said = done.stderr.decode()
        self.assertEqual(said.count("\n"), 1, said)
        return said

    def test_changes_last_with_and_without_a_daemon(self):
        self.assertEqual(self.policy()["others"], {"engines": []})
        self.ctl("policy", "allow", "--slots", "2", "--limit", "cpu=10m", "--limit", "memory=512M", PEER)
        self.ctl("policy", "allow", "--engine", "builtin", "others")
        wanted = {"engines": ["builtin", "javascript", "webassembly"], "slots": 2,
                  "limits": {"cpu": "10m", "memory": "512MiB"}}
        self.assertEqual(self.policy()["peers"], {PEER: wanted})
        path = os.path.join(self.home, "policy.json")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        daemon = self.start_daemon()
        self.assertEqual(self.policy()["peers"], {PEER: wanted})
        self.assertIn(f"{PEER}: builtin, command", self.ctl(
            "policy", "allow", "--commands", "--engine", "builtin", PEER).text)
        self.assertEqual(self.policy()["peers"], {PEER: {"engines": ["builtin", "command"]}})
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(self.policy()["peers"], {PEER: {"engines": ["builtin", "command"]}})
        self.assertIn(f"{PEER}: nothing", self.ctl("policy", "deny", PEER).text)
        with open(path) as file:
            self.assertEqual(json.load(file)["peers"], {PEER: {"engines": []}})
        self.ctl("policy", "reset", PEER)
        self.assertEqual(self.policy()["peers"], {})
        self.assertEqual(self.policy()["others"], {"engines": ["builtin"]})
        self.ctl("policy", "reset")
        self.assertFalse(os.path.exists(path))
        self.assertEqual([name for name in os.listdir(self.home) if "policy" in name], [])

    def test_limits_of_the_own_user_take_no_engines_away(self):
        everything = ["builtin", "javascript", "webassembly", "command"]
        limits = {"memory": "64MiB"}
        for daemon in (False, True):
            if daemon:
                self.start_daemon()
            with self.subTest(daemon=daemon):
                self.ctl("policy", "reset")
                said = self.ctl("policy", "allow", "--limit", "memory=64M", "self").text
                self.assertIn("self: builtin, javascript, webassembly, command; memory=64MiB", said)
                self.assertEqual(self.policy()["self"], {"engines": everything, "limits": limits})
                self.ctl("policy", "allow", "--engine", "builtin", "self")
                self.assertEqual(self.policy()["self"], {"engines": ["builtin"]})
                self.ctl("policy", "allow", "--limit", "memory=64M", "self")
                self.assertEqual(self.policy()["self"], {"engines": ["builtin"], "limits": limits})
                self.ctl("policy", "allow", "--commands", "self")
                self.assertEqual(self.policy()["self"], {"engines": ["builtin", "command"]})

    def test_what_cannot_be_meant_is_told_in_the_words_of_the_command_line(self):
        for arguments, said in [
            (["--commands", "others"], "commands can be allowed to a peer by its id, not to all of `others`"),
            (["--engine", "command", "network"], "not to all of `network`"),
            (["--limit", "cpu=1m", "--limit", "cpu=2m", PEER], "--limit cpu is given twice"),
        ]:
            with self.subTest(said=said):
                self.assertIn(said, self.ctl("policy", "allow", *arguments, code=2).err)

    def test_show_is_a_table_that_names_everybody(self):
        self.ctl("policy", "deny", PEER)
        shown = self.ctl("policy", "show")
        words = [line.split()[0] for line in shown.text.splitlines()]
        self.assertEqual(words, ["WHO", "self", "network", PEER, "others"])
        self.assertIn("policy.json", shown.err)
        self.start_daemon()
        self.assertIn("no swarm key", self.ctl("policy", "show").err)

    def test_a_wrong_file_stops_the_daemon_and_says_where(self):
        self.ctl("id")
        for text, said in [
            ("{\"network\":\n {", "policy.json, line 2"),
            ("{\"network\": {\"engines\": [\"all\"]}}", "network.engines[0]: there is no engine «all»"),
            ("{\"others\": {\"engines\": [\"command\"]}}", "others.engines[0]: commands"),
            (" " * (1 << 20) + "{}", "over 1048576 bytes"),
        ]:
            with self.subTest(said=said):
                self.write("home/policy.json", text.encode())
                self.assertIn(said, self.daemon_fails())
                file = self.write("a.txt", b"a\n")
                self.assertIn(said, self.ctl("run", "--map", "wc", file, code=1).err)
                self.assertIn(said, self.ctl("policy", "show", code=1).err)
                self.assertIn(said, self.ctl("policy", "allow", PEER, code=1).err)
                self.ctl("add", "a.txt")
        self.ctl("policy", "reset")
        self.ctl("run", "--map", "wc", "a.txt")

    def test_a_file_that_cannot_be_read_stops_the_daemon(self):
        self.ctl("id")
        os.mkdir(os.path.join(self.home, "policy.json"))
        self.assertIn("policy.json", self.daemon_fails())

    def test_the_own_user_is_bound_by_the_policy_of_the_node(self):
        self.write("a.txt", b"a\n")
        self.ctl("policy", "allow", "--engine", "javascript", "self")
        self.assertIn("may not run built-in functions here", self.ctl("run", "--map", "wc", "a.txt", code=1).err)
        self.start_daemon()
        self.assertIn("may not run built-in functions here", self.ctl("run", "--map", "wc", "a.txt", code=1).err)
        self.ctl("policy", "reset")
        self.ctl("run", "--map", "wc", "a.txt")
