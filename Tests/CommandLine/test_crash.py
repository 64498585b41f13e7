import json
import os
import random
import signal
import subprocess
import time
import unittest

from home import PEERCTL, HomeCase
from text import trapped

SEED = int(os.environ.get("SEED", "1"))
POINTS = int(os.environ.get("POINTS", "10"))


class Killed(HomeCase):
    """kill -9 at seeded moments loses no block that was acknowledged and leaves a store that verifies."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.kept = trapped(30, 2)
        self.content = trapped(31, 10)
        self.write("big", self.content)
        self.acknowledged = [self.add(self.write("kept", self.kept))]

    def check(self):
        self.ctl("repo", "verify")
        for cid in self.acknowledged:
            self.assertEqual(self.ctl("cat", cid).out, self.kept)

    def duration(self, *words):
        begun = time.monotonic()
        self.ctl(*words)
        return time.monotonic() - begun

    def kill_at(self, share, longest, *words):
        process = self.start(*words)
        try:
            process.wait(share * longest)
        except subprocess.TimeoutExpired:
            process.kill()
        out, _ = process.communicate(timeout=60)
        return process.returncode, out.decode().strip()

    def moments(self):
        return sorted(self.random.random() for _ in range(POINTS))

    def test_during_add(self):
        expected = self.ctl("add", "-n", "-q", "big").word
        longest = self.duration("add", "-q", "--home", self.path("other"), "big")
        for share in self.moments():
            with self.subTest(seed=SEED, share=share):
                code, out = self.kill_at(share, longest, "add", "-q", "big")
                self.check()
                if code == 0:
                    self.assertEqual(self.ctl("cat", out).out, self.content)
                self.ctl("pin", "rm", expected, code=0 if expected in self.ctl("pin", "ls", "-q").text else 1)
                self.ctl("repo", "gc")
        self.assertEqual(self.add("big"), expected)

    def test_during_run(self):
        words = ["-q", "run", "--map", "wc", "--reduces", "3", "--no-cache", "big"]
        expected = self.ctl(*words, home=self.path("other")).word
        longest = self.duration("--home", self.path("other"), *words)
        for share in self.moments():
            with self.subTest(seed=SEED, share=share):
                self.kill_at(share, longest, *words)
                self.check()
        self.assertEqual(self.ctl(*words).word, expected)

    def test_during_gc(self):
        longest = None
        for share in self.moments():
            with self.subTest(seed=SEED, share=share):
                self.ctl("pin", "rm", self.add("big"))
                if longest is None:
                    longest = self.duration("repo", "gc")
                    self.ctl("pin", "rm", self.add("big"))
                self.kill_at(share, longest, "repo", "gc")
                self.check()
        self.ctl("repo", "gc")
        blocks = json.loads(self.ctl("--json", "repo", "stat").out)["blocks"]
        self.assertEqual(blocks, len(self.kept) // 262_144 + 2)

    def test_a_killed_daemon_resumes_its_job_with_the_same_result(self):
        words = ["run", "--map", "count", "--reduces", "3", "--no-cache", "--detach", "big"]
        expected = self.ctl("-q", *words[:6], "big", home=self.path("other")).word
        longest = None
        for share in self.moments():
            with self.subTest(seed=SEED, share=share):
                daemon = self.start_daemon()
                begun = time.monotonic()
                job = self.ctl(*words).word
                if longest is None:
                    self.ctl("status", job, "--watch")
                    longest = time.monotonic() - begun
                    job = self.ctl(*words).word
                time.sleep(share * longest)
                daemon.end(signal.SIGKILL)
                daemon = self.start_daemon()
                self.ctl("status", job, "--watch")
                status = json.loads(self.ctl("--json", "status", job).out)
                self.assertEqual((status["state"], status["result"]), ("succeeded", expected))
                self.check()
                self.assertEqual(daemon.end(), 0)

    def test_a_daemon_killed_during_adds_and_collections_keeps_what_it_acknowledged(self):
        for share in self.moments():
            with self.subTest(seed=SEED, share=share):
                daemon = self.start_daemon()
                add, collect = self.start("add", "-q", "big"), self.start("repo", "gc")
                time.sleep(share)
                daemon.end(signal.SIGKILL)
                out, _ = add.communicate(timeout=60)
                collect.communicate(timeout=60)
                if add.returncode == 0:
                    self.assertEqual(self.ctl("cat", out.decode().strip()).out, self.content)
                self.check()

    def test_a_stopped_daemon_drains_within_ten_seconds_and_resumes(self):
        daemon = self.start_daemon()
        job = self.ctl("run", "--map", "wc", "--no-cache", "--detach", "big").word
        begun = time.monotonic()
        self.assertEqual(daemon.end(signal.SIGTERM), 0)
        self.assertLess(time.monotonic() - begun, 10)
        self.start_daemon()
        self.ctl("status", job, "--watch")
        self.assertEqual(json.loads(self.ctl("--json", "status", job).out)["state"], "succeeded")


if __name__ == "__main__":
    unittest.main()
