"""What happens when one side of the control API is gone, or says nothing."""

import json
import os
import signal
import subprocess
import time
import unittest

from home import PATIENCE, PEERCTL, HomeCase

# Uploads that a daemon takes at a time.
UPLOADS = 16
# Piece that the client sends at a time, and more than a pipe holds.
PIECE, PIPE = 4 << 20, 1 << 20


class Clients(HomeCase):
    def feeding(self):
        """An `add -` that has begun to send, and waits for more."""
        process = subprocess.Popen([PEERCTL, "--home", self.home, "add", "-q", "-"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        process.stdin.write(b"x" * (PIECE + PIPE))  # returns when the first piece has been read
        process.stdin.flush()
        return process

    def test_an_add_that_is_killed_leaves_nothing_behind(self):
        self.start_daemon()
        running = [self.feeding() for _ in range(UPLOADS)]
        for process in running:
            process.kill()
            process.wait(PATIENCE)
            process.stdin.close()
            process.stdout.close()
            process.stderr.close()
        # The daemon learns of each end by its connection, in its own time.
        added = subprocess.run(
            ["sh", "-c", 'until printf hello | "$0" --home "$1" add -q -; do :; done', PEERCTL, self.home],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE).stdout.decode().strip()
        while json.loads(self.ctl("--json", "repo", "stat").out)["blocks"] > 1:
            self.ctl("repo", "gc")
        self.assertEqual(self.ctl("cat", added).out, b"hello")

    def test_a_slow_add_goes_on(self):
        self.start_daemon()
        process = self.feeding()
        self.ctl("repo", "gc")
        out, err = process.communicate(b"y", timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(len(self.ctl("cat", out.decode().strip()).out), PIECE + PIPE + 1)


class Fetches(HomeCase):
    # A CID whose block nobody has, and the seconds after which a fetch without a peer ends by itself.
    MISSING, FETCH = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", 30

    def waits(self):
        return json.loads(self.ctl("--json", "status").out)["waits"]

    def check_withdrawn(self, *verb, end):
        """Runs a command that waits for a block; when `end` has ended it, nobody waits for the block any more."""
        self.start_daemon()
        began = time.monotonic()
        process = self.start(*verb)
        while not (waits := self.waits()):
            self.assertIsNone(process.poll(), process.stderr)
        self.assertEqual(len(waits), 1, waits)
        end(process)
        process.communicate(timeout=PATIENCE)
        while self.waits():
            self.assertLess(time.monotonic() - began, self.FETCH / 2, "the fetch goes on")

    def test_a_cat_that_is_killed_ends_its_fetch(self):
        self.check_withdrawn("cat", self.MISSING, end=subprocess.Popen.kill)

    def test_a_cat_that_gives_up_ends_its_fetch(self):
        self.check_withdrawn("--timeout", "4s", "cat", self.MISSING, end=lambda process: None)

    def test_an_ls_that_is_interrupted_ends_its_fetch(self):
        self.check_withdrawn("ls", self.MISSING, end=lambda process: process.send_signal(signal.SIGINT))

    def test_a_check_of_a_function_that_is_killed_ends_its_fetch(self):
        self.check_withdrawn("function", "check", self.MISSING, end=subprocess.Popen.kill)


class Daemons(HomeCase):
    def test_a_stopped_daemon_is_named_and_given_up(self):
        daemon = self.start_daemon()
        cid = self.add(self.write("a", b"a"))
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            waiting = [(verb, self.start(*verb)) for verb in (["status"], ["cat", cid], ["repo", "gc"], ["add", "-q", "a"])]
            for verb, process in waiting:
                _, err = process.communicate(timeout=PATIENCE)
                self.assertEqual(process.returncode, 1, verb)
                *notices, error = err.decode().splitlines()
                self.assertIn(f"peerctl: waiting for the daemon of {self.home} to answer", notices, verb)
                self.assertIn(f"kill -CONT {daemon.process.pid}", error)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.ctl("cat", cid).out, b"a")

    def test_a_daemon_that_goes_on_in_time_is_not_given_up(self):
        daemon = self.start_daemon()
        cid = self.add(self.write("a", b"a"))
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            process = self.start("cat", cid)
            while b"waiting for the daemon" not in process.stderr.readline():
                self.assertIsNone(process.poll())
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, out), (0, b"a"), err)


if __name__ == "__main__":
    unittest.main()
