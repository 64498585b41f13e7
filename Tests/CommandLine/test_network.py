"""What the two programs say of a network that is not as it should be."""

import json
import os
import re
import socket
import subprocess
import unittest

from home import PATIENCE, PEERNODE, HomeCase


class NetworkTests(HomeCase):
    def node(self, *flags, code):
        """Runs a peernode that must end by itself, saying why in one line."""
        done = subprocess.run([PEERNODE, "--home", self.path("other"), *flags], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("peernode: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def status(self):
        return json.loads(self.ctl("--json", "status").text)

    def port(self, daemon):
        line = next(line for line in daemon.lines if line.startswith("listening "))
        return int(re.search(r"/tcp/(\d+)", line)[1])

    def wait_for(self, found):
        """Asks for the status until `found` gives something."""
        limit = os.times().elapsed + PATIENCE
        while os.times().elapsed < limit:
            if value := found(self.status()):
                return value
        self.fail(f"not so after {PATIENCE} s: {self.status()}")

    def test_malformed_addresses_are_refused_by_name(self):
        for flag in ("--listen", "--bootstrap"):
            with self.subTest(flag):
                self.assertIn("nonsense", self.node(flag, "nonsense", code=2))
        self.start_daemon()
        self.assertIn("nonsense", self.ctl("connect", "nonsense", code=2).err)

    def test_a_port_in_use_is_named(self):
        address = f"/ip4/127.0.0.1/tcp/{self.port(self.start_daemon())}"
        error = self.node("--listen", address, code=1)
        self.assertIn(address, error)
        self.assertIn("in use", error)

    def test_a_bootstrap_that_cannot_be_reached_is_shown_and_tried_again(self):
        address = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEZXjE41uU4EL2gpkAQeDXYok6wghN7wwNVPF5bwkaNfS"
        self.start_daemon("--bootstrap", address)

        def failure(status):
            return next((entry for entry in status["bootstrap"] if entry["lastFailure"]), None)

        entry = self.wait_for(failure)
        self.assertEqual(entry["address"], address)
        self.assertFalse(entry["connected"])
        self.assertIn("refused", entry["lastFailure"])
        self.assertIn("Connection refused", self.ctl("status").text)
        self.wait_for(lambda status: status["bootstrap"][0]["failures"] > 1)

    def test_strangers_are_counted(self):
        daemon = self.start_daemon()
        with socket.create_connection(("127.0.0.1", self.port(daemon)), timeout=PATIENCE) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while stranger.recv(4096):
                pass

        def count(status):
            return status["counters"].get("inbound handshakes failed", {}).get("negotiation failed")

        self.assertEqual(self.wait_for(count), 1)
        part = self.status()["counters"]
        self.assertLessEqual({"busy", "malformed", "unknown", "broken"}, set(part["calls"]))
        self.assertLessEqual({"stale", "forged", "oversized", "future"}, set(part["peerRecords"]))
        self.assertLessEqual({"badMessages", "streamsRefused", "wantsDropped"}, set(part["exchange"]))


if __name__ == "__main__":
    unittest.main()
