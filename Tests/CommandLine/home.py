"""Runs peerctl and peernode as a user's shell would, each test in a home of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BIN", os.path.join(ROOT, ".build", "debug"))
PEERCTL = os.path.join(BIN, "peerctl")
PEERNODE = os.path.join(BIN, "peernode")
# Longest time for one command on a busy machine, in seconds.
PATIENCE = 120


class Ended:
    """How a command ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def word(self):
        return self.text.strip()


class Daemon:
    """A running peernode."""

    def __init__(self, home, *flags, log=subprocess.DEVNULL):
        self.process = subprocess.Popen(
            [PEERNODE, "--home", home, "--listen", "/ip4/127.0.0.1/tcp/0", *flags],
            stdout=subprocess.PIPE, stderr=log)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.decode().strip())
            if self.lines[-1] == "ready":
                return
        raise AssertionError(f"peernode ended with {self.process.wait()}: {self.lines}")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code


class HomeCase(unittest.TestCase):
    """A test with an empty home and an empty folder to work in."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="peerctl-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = self.path("home")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def start_daemon(self, *flags, home=None, log=subprocess.DEVNULL):
        daemon = Daemon(home or self.home, *flags, log=log)

        def stop():
            if daemon.process.poll() is None:
                daemon.end(signal.SIGKILL)

        self.addCleanup(stop)
        return daemon

    def start(self, *arguments, **options):
        process = subprocess.Popen(
            [PEERCTL, "--home", self.home, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def ctl(self, *arguments, stdin=b"", code=0, prefix=(), home=None):
        """Runs peerctl and checks its exit code; a failure must say why in one line."""
        done = subprocess.run(
            [*prefix, PEERCTL, "--home", home or self.home, *arguments], cwd=self.folder, input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        ended = Ended(done.returncode, done.stdout, done.stderr.decode())
        self.assertEqual(ended.code, code, f"peerctl {arguments}: {ended.err}")
        if code in (1, 2):
            lines = [line for line in ended.err.splitlines() if line.startswith("peerctl: ")
                     and not line.startswith("peerctl: waiting for ")]
            self.assertEqual(len(lines), 1, f"peerctl {arguments}: {ended.err}")
        return ended

    def add(self, *paths):
        return self.ctl("add", "-q", *paths).word
