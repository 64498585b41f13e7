import json
import subprocess
import time

from home import PATIENCE, PEERNODE, HomeCase


class Refusals(HomeCase):
    """Peers that cannot or may not be reached, and what is said of it."""

    def start_node(self, name, *flags, log=None):
        options = {"log": log} if log else {}
        daemon = self.start_daemon(*flags, home=self.path(name), **options)
        address = next(line.split()[1] for line in daemon.lines if line.startswith("listening "))
        return address, address.rsplit("/p2p/", 1)[1]

    def key(self, name, digit):
        return self.write(name, b"/key/swarm/psk/1.0.0/\n/base16/\n" + digit * 64 + b"\n")

    def test_a_peer_that_dialed_is_shown_where_it_listens(self):
        here, _ = self.start_node("home")
        there, peer = self.start_node("there")
        self.assertIn("connected", self.ctl("connect", here, home=self.path("there")).text)
        deadline = time.monotonic() + PATIENCE
        shown = None
        while shown != there.split("/p2p/")[0] and time.monotonic() < deadline:
            shown = next((row["address"] for row in json.loads(self.ctl("--json", "peers").out)["peers"]
                          if row["peerID"] == peer), None)
        self.assertEqual(shown, there.split("/p2p/")[0])

    def test_connect_disconnect_and_ping_say_what_is_so(self):
        _, own = self.start_node("home")
        there, peer = self.start_node("there")
        self.assertEqual(self.ctl("connect", there).text, f"connected {peer}\n")
        self.assertEqual(self.ctl("connect", there).text, f"already connected {peer}\n")
        self.assertEqual(self.ctl("disconnect", peer).text, f"disconnected {peer}\n")
        stranger = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
        self.assertIn("is not connected", self.ctl("disconnect", stranger, code=1).err)
        self.assertIn("this node itself", self.ctl("ping", own, code=1).err)

    def test_another_key_is_hinted_at_on_both_sides(self):
        log = open(self.path("log"), "wb")
        self.addCleanup(log.close)
        here, _ = self.start_node("home", "--swarm-key", self.key("one", b"1"), log=log)
        for name, flags in [("other", ["--swarm-key", self.key("two", b"2")]), ("none", [])]:
            self.start_node(name, *flags)
            self.assertIn("swarm.key", self.ctl("connect", here, home=self.path(name), code=1).err)
        with open(self.path("log")) as lines:
            told = [line for line in lines if "inbound handshakes failed" in line and "swarm.key" in line]
        self.assertTrue(told)
        self.assertIn("remote=/ip4/127.0.0.1/tcp/", told[0])

    def test_no_names_of_the_program_in_what_is_said(self):
        long = self.write("long", b"x" * 2000)
        self.assertIn("2000 bytes", self.refused_key(long))
        short = self.write("short", b"/key/swarm/psk/1.0.0/\n/base16/\n0102\n")
        self.assertIn("2 bytes, not 32", self.refused_key(short))
        self.start_node("home")
        error = self.ctl("connect", "/ip4/127.0.0.1/tcp/1/p2p/Qm", code=2).err
        self.assertIn("malformed", error)
        self.assertNotIn("Fault", error)

    def refused_key(self, path):
        done = subprocess.run([PEERNODE, "--home", self.home, "--swarm-key", path], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        text = done.stderr.decode()
        self.assertNotIn("Length(", text)
        return text
