import json
import os
import signal
import subprocess
import unittest

from home import HomeCase
from text import trapped

COUNTED = "sort | uniq -c | sed -E 's/^ *([0-9]+) (.*)$/\\2\\t\\1/'"
WORDS = "tr -s '[:space:]' '\\n' | sed '/^$/d' | " + COUNTED
PATTERN = r"need(le)+.*\d|^$|\xff"
# Arguments of `run`, and the pipeline whose output the result equals.
BUILT_INS = {
    "wc": ("--map wc", f"cat f | {WORDS}"),
    "top": ("--map top --arg n=25", f"cat f | {WORDS} | sort -t '\t' -k2,2nr -k1,1 | head -n 25"),
    "count": ("--map count", f"cat f | {COUNTED}"),
    "sort": ("--map sort", "sort f"),
    "sort distinct": ("--map sort --reduce distinct", "sort -u f"),
    "identity": ("--map identity", "sort f"),
    "sort crlf": ("--map sort --format crlf", "{ cat f; echo; } | sed -z 's/\\r\\n/\\n/g' | sort"),
    "count crlf": ("--map count --format crlf", f"{{ cat f; echo; }} | sed -z 's/\\r\\n/\\n/g' | {COUNTED}"),
    "lines": ("--map lines", "printf 'f\\t%d %d %d\\n' $(wc -l <f) $(tr -s '[:space:]' '\\n' <f | sed '/^$/d' | sort | wc -l) "
                             "$(wc -c <f)"),
    "grep": (f"--map grep --arg pattern={PATTERN}", "grep -a -h -P \"$PATTERN\" f | sort"),
    "grep offset": (f"--map grep --arg output=offset --arg pattern={PATTERN}",
                    "grep -a -h -b -P \"$PATTERN\" f | sort"),
    "grep count": (f"--map grep --arg output=count --arg pattern={PATTERN}",
                   "grep -a -H -c -P \"$PATTERN\" f | tr : '\\t'"),
    "index": ("--map index", "cat f | tr -s '[:space:]' '\\n' | sed '/^$/d' | sort -u | sed 's/$/\\tf/'"),
}


class Jobs(HomeCase):
    def pipeline(self, command):
        return subprocess.run(["bash", "-c", command], cwd=self.folder, stdout=subprocess.PIPE,
                              env=dict(os.environ, LC_ALL="C", PATTERN=PATTERN)).stdout

    def test_every_built_in_equals_its_pipeline_for_any_number_of_parts(self):
        cid = self.add(self.write("f", trapped(20, 3)))
        elsewhere = self.path("elsewhere")
        for name, (arguments, command) in BUILT_INS.items():
            expected = self.pipeline(command)
            self.assertTrue(expected)
            for parts in ("1", "4", "7"):
                with self.subTest(built_in=name, parts=parts):
                    result = self.ctl("-q", "run", "--reduces", parts, *arguments.split(" "), "f").word
                    self.assertEqual(self.ctl("result", result).out, expected)
                    self.assertEqual(len(self.ctl("ls", "-q", result).text.split()), int(parts))
                    # A node that knows nothing of the job merges the parts as well.
                    car = self.ctl("dag", "export", result).out
                    self.ctl("dag", "import", stdin=car, home=elsewhere)
                    self.assertEqual(self.ctl("result", result, home=elsewhere).out, expected)
        self.assertEqual(self.add(self.path("f")), cid)

    def test_pairs_whose_keys_hold_tabs_are_merged_by_key(self):
        """The order of the merged result does not depend on the number of parts, nor on who knows the job."""
        lines = [f"{a}\t{b}\t{c}".encode() for a in ("k", "k1", "a b") for b in "xyz" for c in range(40)]
        lines += [f"k\t{n}".encode() for n in range(40)] + [f"p{n}".encode() for n in range(40)]
        self.write("f", b"".join(line + b"\n" for line in reversed(lines)))
        for kind, reduce in ((["--map", "sort"], "identity"), (["--map", "count"], "identity"), (["--map", "count"], "max")):
            pairs = self.ctl("-q", "run", *kind, "--output-format", "kv", "--reduces", "3", "f").word
            for output in ("text", "kv"):
                merged = []
                for parts in ("1", "3"):
                    again = self.ctl("-q", "run", "--map", "identity", "--format", "kv", "--reduce", reduce,
                                     "--output-format", output, "--reduces", parts, pairs).word
                    merged.append(self.ctl("result", again).out)
                self.assertEqual(merged[0], merged[1], (kind, reduce, output))
                self.assertEqual(merged[0].count(b"\n"), len(lines))

    def test_the_result_depends_on_nothing_but_the_job(self):
        self.write("f", trapped(21, 6))
        results = {
            self.ctl("-q", "run", "--map", "count", "--reduces", "4", "--no-cache", *extra, "f").word
            for extra in ([], ["--slots", "1"], ["--slots", "7"], ["--memory", "16M"], ["--combine", "none"])
        }
        # Without its combine it is another job, with the same result all the same.
        self.assertEqual(len(results), 1)
        self.assertEqual(self.ctl("-q", "run", "--map", "count", "--reduces", "4", "f").word, results.pop())

    def test_inputs_are_cids_paths_and_standard_input(self):
        file = self.write("d/f", b"a b\n")
        root = self.ctl("add", "-r", "-q", "d").word
        for inputs in ([f"{root}/f", file, "-"], [self.add(file), root, "-"]):
            result = self.ctl("-q", "run", "--map", "wc", *inputs, stdin=b"a c").word
            self.assertEqual(self.ctl("result", result).out, b"a\t3\nb\t2\nc\t1\n")

    def test_jobs_are_called_by_id_or_by_a_name_that_only_one_has(self):
        self.write("f", b"b a\n")
        self.ctl("run", "--map", "wc", "--name", "mine", "f")
        self.assertEqual(self.ctl("result", "mine").out, b"a\t1\nb\t1\n")
        first = json.loads(self.ctl("--json", "status", "mine").out)
        self.assertIn(f"succeeded: {first['result']}", self.ctl("logs", "mine").text)
        self.assertIn(f"job {first['id']} has ended", self.ctl("cancel", "mine", code=1).err)
        self.ctl("run", "--map", "wc", "--name", "mine", "f")
        for verb in ("status", "logs", "cancel"):
            self.assertIn("2 jobs are called mine", self.ctl(verb, "mine", code=1).err)
        error = self.ctl("result", "mine", code=1).err
        self.assertIn(first["id"], error)
        self.assertIn("2 jobs", error)
        self.assertEqual(self.ctl("result", first["id"]).out, b"a\t1\nb\t1\n")
        self.assertIn("no job", self.ctl("status", "other", code=1).err)

    def test_an_ended_job_has_ended_in_its_last_phase(self):
        self.write("f", b"b a\n")
        for _ in range(2):  # the second one is remembered
            status = json.loads(self.ctl("--json", "run", "--map", "wc", "f").out)
            self.assertEqual((status["state"], status["phase"]), ("succeeded", "finish"))

    def test_unfinished_jobs_wait_for_a_daemon_and_it_is_said(self):
        self.write("f", trapped(25, 60))
        daemon = self.start_daemon()
        self.add(self.path("f"))
        job = self.ctl("run", "--map", "wc", "--no-cache", "--detach", "f").word
        daemon.end(signal.SIGKILL)
        if json.loads(self.ctl("--json", "status", job).out)["state"] == "succeeded":
            self.skipTest("the job was faster than the signal")
        for verb in (["status"], ["jobs"], ["status", job]):
            self.assertIn(f"start peernode on {self.home}", self.ctl(*verb).err)
        self.assertIn("peernode", self.ctl("status", "--watch", job, code=1).err)

    def test_output_goes_to_a_file(self):
        self.write("f", b"b a\n")
        done = self.ctl("run", "--map", "wc", "-R", "3", "--output", "out", "f")
        self.assertEqual(open(self.path("out"), "rb").read(), b"a\t1\nb\t1\n")
        self.assertEqual(self.ctl("result", done.word, "-o", "again").out, b"")
        self.assertEqual(open(self.path("again"), "rb").read(), b"a\t1\nb\t1\n")

    def test_json_tells_the_result(self):
        self.write("f", b"b a\n")
        status = json.loads(self.ctl("--json", "run", "--map", "wc", "f").out)
        self.assertEqual((status["state"], status["counters"]["outputRecords"]), ("succeeded", 2))
        self.assertEqual(json.loads(self.ctl("--json", "status", status["id"]).out)["result"], status["result"])
        self.assertEqual(json.loads(self.ctl("--json", "jobs").out)["id"], status["id"])

    def test_timeouts_end_it(self):
        self.write("f", trapped(22, 8))
        self.assertIn("--timeout", self.ctl("--timeout", "1ms", "run", "--map", "wc", "f", code=1).err)

    def test_a_detached_job_needs_a_daemon_and_ends_there(self):
        self.write("f", trapped(23, 4))
        self.assertIn("peernode", self.ctl("run", "--map", "wc", "--detach", "f", code=1).err)
        alone = self.ctl("-q", "run", "--map", "wc", "f", home=self.path("alone")).word
        self.start_daemon()
        job = self.ctl("run", "--map", "wc", "--detach", "f").word
        self.ctl("status", job, "--watch")
        self.assertEqual(json.loads(self.ctl("--json", "status", job).out)["result"], alone)
        self.assertIn("succeeded", self.ctl("logs", job).text)
        self.ctl("cancel", job, code=1)

    def test_ctrl_c_cancels_without_a_terminal(self):
        self.write("f", trapped(24, 40))
        self.start_daemon()
        self.add(self.path("f"))
        process = self.start("run", "--map", "wc", "--no-cache", "f")
        while not self.ctl("jobs", "-q").word:
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (130, b""), err)
        self.assertEqual(json.loads(self.ctl("--json", "jobs").out)["state"], "cancelled")


if __name__ == "__main__":
    unittest.main()
