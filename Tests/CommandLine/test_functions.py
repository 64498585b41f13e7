"""Flags of functions, `run --local` and `function check`, and what bad input to them gets."""
import collections
import json
import os
import pty
import subprocess
import unittest

from home import PATIENCE, PEERCTL, HomeCase

# As books and tutorials have them: text mode, a reporter on stderr, a reducer that watches the word change.
STREAMING = {
    "mapper.py": """#!/usr/bin/env python3
import os
import sys

sys.stderr.write("reporter:status:reading %s\\n" % os.environ["mapreduce_map_input_file"])
for line in sys.stdin:
    line = line.strip()
    if not line:
        sys.stderr.write("reporter:counter:Text,Empty lines,1\\n")
    for word in line.split():
        print("%s\\t%s" % (word, 1))
""",
    "reducer.py": """#!/usr/bin/env python3
import sys

current_word, current_count = None, 0
for line in sys.stdin:
    word, count = line.rstrip("\\n").split("\\t", 1)
    if word == current_word:
        current_count += int(count)
    else:
        if current_word is not None:
            print("%s\\t%s" % (current_word, current_count))
        current_word, current_count = word, int(count)
if current_word is not None:
    print("%s\\t%s" % (current_word, current_count))
""",
}

# What mrjob's jobs do when Hadoop calls them: one file for all steps, keys and values as JSON.
PROTOCOL = """#!/usr/bin/env python3
import itertools
import json
import sys


def mapper(_, line):
    for word in line.split():
        yield word.lower(), {"n": 1, "upper": int(word[0].isupper())}


def reducer(word, values):
    values = list(values)
    yield word, {name: sum(value[name] for value in values) for name in ("n", "upper")}


def pairs():
    for line in sys.stdin:
        key, _, value = line.rstrip("\\n").partition("\\t")
        yield json.loads(key), json.loads(value)


def write(output):
    for key, value in output:
        print(json.dumps(key), json.dumps(value), sep="\\t")


assert sys.argv[1] == "--step-num=0", sys.argv
if sys.argv[2] == "--mapper":
    for line in sys.stdin:
        write(mapper(None, line))
    sys.stderr.write("reporter:counter:words,mappers,1\\n")
else:
    assert sys.argv[2] in ("--combiner", "--reducer"), sys.argv
    for word, group in itertools.groupby(pairs(), key=lambda pair: pair[0]):
        write(reducer(word, (value for _, value in group)))
"""

MRJOB = """
from mrjob.job import MRJob


class Count(MRJob):
    def mapper(self, _, line):
        for word in line.split():
            yield word.lower(), {"n": 1, "upper": int(word[0].isupper())}
            self.increment_counter("words", "seen")

    def combiner(self, word, values):
        values = list(values)
        yield word, {name: sum(value[name] for value in values) for name in ("n", "upper")}

    reducer = combiner


if __name__ == "__main__":
    Count.run()
"""

WORDS = "export function map(_, line, emit) {\n    for (const word of line.split(' ')) emit(word, 1);\n}\n"


def counted(words):
    """The lines of a word count."""
    return "".join(f"{word}\t{count}\n" for word, count in sorted(
        collections.Counter(words).items(), key=lambda pair: pair[0].encode()))


class Functions(HomeCase):
    def setUp(self):
        super().setUp()
        self.write("a.txt", b"b a\na c\n")
        self.write("wc.js", WORDS.encode())

    def test_a_builtin_comes_before_a_file_of_its_name(self):
        self.write("wc", b"export function map(_, line, emit) { emit('mine'); }\n")
        builtin = self.ctl("run", "--map", "wc", "a.txt").word
        self.assertEqual(self.ctl("result", builtin).text, "a\t2\nb\t1\nc\t1\n")
        own = self.ctl("run", "--map", "./wc", "a.txt").word
        self.assertEqual(self.ctl("result", own).text, "mine\nmine\n")

    def test_a_function_is_named_by_path_or_cid_and_leaves_no_pin(self):
        by_path = self.ctl("run", "--map", "wc.js", "--reduce", "sum", "a.txt").word
        cid = self.ctl("add", "-q", "-n", "wc.js").word
        self.assertEqual(self.ctl("run", "--map", cid, "--reduce", "sum", "a.txt").word, by_path)
        self.assertNotIn(cid, self.ctl("pin", "ls").text)

    def test_commands_and_their_files(self):
        self.write("words.sh", b"tr ' ' '\\n' | sed 's/$/\\t1/'\n")
        wanted = self.ctl("run", "--map", "wc", "a.txt").word
        for files in (["--file", "words.sh"], ["--file", f"words.sh={self.path('words.sh')}"]):
            run = self.ctl("run", "--map-cmd", "sh words.sh", *files, "--reduce", "sum", "a.txt")
            self.assertEqual(run.word, wanted)
        mixed = self.ctl("run", "--map", "wc.js", "--reduce-cmd", "cut -f1 | uniq -c | awk '{print $2\"\\t\"$1}'", "a.txt")
        self.assertEqual(self.ctl("result", mixed.word).text, "a\t2\nb\t1\nc\t1\n")

    def test_scripts_for_hadoop_streaming_run_unchanged(self):
        for name, script in STREAMING.items():
            self.write(name, script.encode())
        text = "".join(f"word{i * i % 71} é\n" + "\n" * (i % 3 == 0) for i in range(500))
        self.write("text.txt", text.encode())
        files = ["--file", "mapper.py", "--file", "reducer.py"]
        # Called as a program, as Hadoop's `-mapper mapper.py -file mapper.py` does, and by its interpreter.
        for mapper, reducer in [("./mapper.py", "./reducer.py"), ("python3 mapper.py", "python3 reducer.py")]:
            run = self.ctl("--json", "run", "--map-cmd", mapper, "--combine-cmd", reducer, "--reduce-cmd", reducer, *files,
                           "--reduces", "3", "text.txt")
            status = json.loads(run.out)
            self.assertEqual(self.ctl("result", status["result"]).text, counted(text.split()))
            self.assertEqual(status["counters"]["user"], {"Text": {"Empty lines": 167}})

    def test_scripts_in_the_protocol_of_mrjob_run_unchanged(self):
        self.write("job.py", PROTOCOL.encode())
        self.check_mrjob({"words": {"mappers": 1}})

    @unittest.skipUnless(subprocess.run(["python3", "-c", "import mrjob"], capture_output=True).returncode == 0,
                         "python3 has no mrjob")
    def test_a_job_of_mrjob_runs_unchanged(self):
        self.write("job.py", MRJOB.encode())
        self.check_mrjob({"words": {"seen": 1000}})

    def check_mrjob(self, counters):
        words = [f"{'W' if i % 4 else 'w'}ord{i * i % 71}" for i in range(1000)]
        self.write("text.txt", " \n".join(words).encode())
        step = "python3 job.py --step-num=0"
        run = self.ctl("--json", "run", "--map-cmd", f"{step} --mapper", "--combine-cmd", f"{step} --combiner",
                       "--reduce-cmd", f"{step} --reducer", "--file", "job.py", "--reduces", "2", "text.txt")
        status = json.loads(run.out)
        self.assertEqual(status["counters"]["user"], counters)
        lines = [line.split("\t") for line in self.ctl("result", status["result"]).text.splitlines()]
        got = {json.loads(key): json.loads(value) for key, value in lines}
        self.assertEqual(len(lines), len(got))
        self.assertEqual(got, {
            word: {"n": sum(w.lower() == word for w in words), "upper": sum(w == word.capitalize() for w in words)}
            for word in {w.lower() for w in words}})

    def test_commands_find_what_hadoop_tells_them(self):
        self.write("in/1.txt", b"x\n")
        self.write("in/2.txt", b"y\n")
        names = ["mapreduce_map_input_file", "map_input_file", "mapreduce_map_input_start", "mapreduce_map_input_length",
                 "mapreduce_job_reduces", "mapreduce_task_is_map", "min_count"]
        mapper = "cat >/dev/null; echo " + " ".join(f"${name}" for name in names)
        reducer = "while read line; do echo $line $mapreduce_task_is_map $mapreduce_task_partition; done"
        run = self.ctl("run", "-r", "--map-cmd", mapper, "--reduce-cmd", reducer, "--arg", "min.count=3", "in")
        self.assertEqual(self.ctl("result", run.word).text, "".join(
            f"in/{name} in/{name} 0 2 1 true 3 false 0\n" for name in ("1.txt", "2.txt")))
        ids = self.ctl("run", "--map-cmd", "cat >/dev/null; echo $mapreduce_job_id", "a.txt").word
        self.assertRegex(self.ctl("result", ids).text, r"^baf\w{40,}\n$")

    def test_the_aggregate_reducer_is_hadoops(self):
        mapper = "sed -n 's/^\\(.\\) \\(.\\)/LongValueSum:\\1\\t1\\nUniqValueCount:all\\t\\2/p'"
        run = self.ctl("run", "--map-cmd", mapper, "--reduce", "aggregate", "a.txt")
        self.assertEqual(self.ctl("result", run.word).text, "a\t1\nb\t1\nall\t2\n")

    def test_pairs_without_a_value_are_read_as_hadoop_writes_them(self):
        self.write("count.py", b"import sys\nfor line in sys.stdin:\n"
                   b"    key, value = line.rstrip('\\n').split('\\t', 1)\n    print(key, [value], sep='\\t')\n")
        reducer = ["--reduce-cmd", "python3 count.py", "--file", "count.py"]
        for combine in ([], ["--combine-cmd", "cat"]):
            with self.subTest(combine=combine):
                run = self.ctl("run", "--map-cmd", "cut -c1; echo x", *combine, *reducer, "a.txt")
                self.assertEqual(self.ctl("result", run.word).text, "a\t['']\nb\t['']\nx\t['']\n")
                kept = self.ctl("run", "--map-cmd", "cat", *combine, "--reduce", "identity", "a.txt")
                self.assertEqual(self.ctl("result", kept.word).text, "a c\nb a\n")
        # What a reduce prints is the result as it stands.
        self.assertEqual(self.ctl("result", self.ctl("run", "--map-cmd", "cat", "--reduce-cmd", "cat", "a.txt").word).text,
                         "a c\t\nb a\t\n")
        lines = self.ctl("run", "--map-cmd", "cat", "--output-format", "kv", "a.txt").word
        shown = self.ctl("run", "--map-cmd", "cat -A", "--format", "kv", lines).word
        self.assertEqual(self.ctl("result", shown).text, "a c^I$\nb a^I$\n")

    def test_a_failing_command_is_told_with_its_status_and_once_with_its_log(self):
        # Put together, so that the command line does not hold the word.
        oops = "printf 'oo%s, sorry\\n' ps 1 >&2; exit 3"
        for words in (["--map-cmd", oops], ["--map", "wc", "--combine", "none", "--reduce-cmd", oops],
                      ["--map", "wc", "--combine-cmd", oops]):
            for local in ([], ["--local"]):
                with self.subTest(words=words, local=local):
                    failed = self.ctl("run", *local, *words, "a.txt", code=1).err
                    self.assertIn("the command ended with status 3", failed)
                    for line in ("oops, sorry", "oo1, sorry"):
                        self.assertEqual(failed.count(line), 1, failed)

    def test_the_log_of_a_failing_function_is_told_once(self):
        self.write("bad.js", b"function map(_, line, emit) { console.log('saw ' + line); throw new Error('sorry'); }\n")
        for local in ([], ["--local"]):
            with self.subTest(local=local):
                failed = self.ctl("run", *local, "--map", "bad.js", "a.txt", code=1).err
                self.assertEqual(failed.count("saw b a"), 1, failed)
                self.assertRegex(failed, r"(?m)^ +at map .*bad\.js:1")

    def test_a_mistake_is_told_with_line_stack_and_record(self):
        self.write("bad.js", b"function first(line) {\n  return line.missing.x;\n}\nfunction map(_, line, emit) {\n"
                   b"  if (line[0] === 'a') first(line);\n}\n")
        for words in (["--map", "bad.js"], ["--local", "--map", "bad.js"]):
            said = self.ctl("run", *words, "a.txt", code=1).err
            self.assertRegex(said, r"map bad\.js:2:\d+: TypeError: ")
            self.assertRegex(said, r"(?m)^ +at first .*bad\.js:2")
            self.assertRegex(said, r"(?m)^ +at map .*bad\.js:5")
            self.assertIn("a.txt at byte 4", said)
            self.assertIn('"a c"', said)
            self.assertNotIn("swift", said.lower())

    def test_bad_records_are_skipped_up_to_the_number_allowed(self):
        self.write("picky.js", b"function map(_, line, emit) { if (line[0] === 'a') throw new Error('no a'); emit(line); }\n")
        run = self.ctl("run", "--map", "picky.js", "--skip-bad", "1", "a.txt")
        self.assertEqual(self.ctl("result", run.word).text, "b a\n")
        self.assertIn("no a", run.err)
        self.write("b.txt", b"a\na\na\nb\n")
        failed = self.ctl("run", "--map", "picky.js", "--skip-bad", "2", "b.txt", code=1).err
        self.assertIn("failed: map picky.js:1:", failed)
        self.assertIn("b.txt at byte 4", failed)
        self.assertIn("no a (more than 2 records, the limit of --skip-bad)", failed)
        tried = self.ctl("run", "--local", "--map", "picky.js", "--skip-bad", "1", "a.txt").err
        self.assertEqual(tried.count("skipped a record"), 1)

    def test_an_endless_loop_is_stopped_by_the_limit_of_the_command_line(self):
        self.write("loop.js", b"function map(_, line, emit) { for (;;); }\n")
        said = self.ctl("run", "--map", "loop.js", "--task-cpu", "300ms", "a.txt", code=1).err
        self.assertRegex(said, "limit on .*processor time|cpu")

    def test_an_endless_loop_outside_of_functions_ends_after_the_time_that_a_task_may_stall(self):
        self.write("loop.js", b"export function map() {}\nfor (;;);\n")
        run = ["run", "--map", "loop.js", "--task-timeout", "700ms", "a.txt"]
        said = "loop.js: it was not loaded within 700 ms"
        self.assertIn(said, self.ctl(*run, code=1).err)
        self.assertIn(said, self.ctl(*run, "--local", code=1).err)
        self.start_daemon()
        self.assertIn(said, self.ctl(*run, code=1).err)
        self.assertIn(said, self.ctl(*run[:1], "--map", "wc", "--reduce", *run[2:], code=1).err)

    def test_a_node_serves_on_whatever_functions_do(self):
        limits = ["--task-cpu", "500ms", "--task-timeout", "10s", "--task-memory", "200M", "--task-output", "1M"]
        scripts = {
            "for (;;);": "passed its limit on processor time, 500 ms",
            "(function f() { f(); f(); })()": "Maximum call stack size exceeded",
            "let a = []; for (;;) a.push(new Array(1000).fill(a.length))": "limit on (memory|processor time)|Out of memory",
            "for (;;) emit('')": "passed its limit on output, 1 MiB",
            "throw undefined": "threw undefined",
            "emit({})": "key is an object",
        }
        commands = {
            "while :; do :; done": "passed its limit on processor time",
            "f() { [ $1 -gt 0 ] || exec sleep 1000; f $(($1 - 1)) & f $(($1 - 1)) & wait; }; f 8":
                "limit on processes, 64|fork",
            "yes": "passed its limit on output",
            "sleep 1000": "passed its limit on time without progress, 10 s",
            "python3 -c 'b = bytearray(1 << 30); print(len(b))'": "limit on memory|MemoryError",
            "kill -9 $PPID; sleep 1000": "the process for functions ended|time without progress",
            "kill -SEGV $$": "ended by signal 11",
            "echo x >/etc/peernode-test && exit 0; exit 3": "ended with status 3",
        }
        self.start_daemon("--slots", "2")
        wanted = self.ctl("run", "--no-cache", "--map", "wc", "a.txt").word
        attempts = []
        for index, (body, said) in enumerate(scripts.items()):
            self.write(f"{index}.js", f"function map(_, line, emit) {{ {body} }}\n".encode())
            attempts.append((["--map", f"{index}.js"], said))
        attempts += [(["--map-cmd", command], said) for command, said in commands.items()]
        attempts.append((["--map", "identity", "--reduce-cmd", "exec 0<&-; exit 1"], "ended with status 1"))
        for words, said in attempts:
            with self.subTest(words=words):
                self.assertRegex(self.ctl("run", *limits, *words, "a.txt", code=1).err, said)
        self.write("deaf.js", b"function map(_, line, emit) { emit('k', line); }\nfunction reduce(k, values, emit) { emit(k); }\n")
        deaf = self.ctl("run", *limits, "--map", "deaf.js", "a.txt").word
        self.assertEqual(self.ctl("result", deaf).text, "k\n")
        self.assertEqual(self.ctl("run", "--no-cache", "--map", "wc", "a.txt").word, wanted)
        self.assertEqual(self.ctl("run", "--no-cache", *limits, "--map", "wc.js", "--reduce", "sum", "a.txt").word, wanted)
        self.assertEqual(json.loads(self.ctl("--json", "status").out)["jobs"], [])

    # MARK: Terminals

    def test_what_a_function_says_does_not_reach_the_terminal_as_commands(self):
        evil = "\x1b]0;owned\x07\x7f\x9b31m\r!"
        self.write("evil.js", f"""
            const evil = {json.dumps(evil)};
            function map(_, line, emit) {{
              console.log('log', evil); counter('group' + evil, 'name' + evil);
              if (line === 'b a') throw new Error('message' + evil);
              emit(line + evil);
            }}
            """.encode())
        self.write(f"in/{evil}.txt", b"a\nb a\n")
        self.start_daemon()
        run = ["run", "--name", f"job{evil}", "--map", "evil.js", f"in/{evil}.txt"]
        failed = self.ctl(*run, code=1)
        skipped = self.ctl(*run, "--skip-bad", "1")
        jobs = [json.loads(line) for line in self.ctl("--json", "jobs").text.splitlines()]
        said = [failed, skipped, self.ctl("jobs"), self.ctl("ls", self.add("-r", "in")),
                self.ctl("run", "--local", "--map", "evil.js", f"in/{evil}.txt", code=1)]
        for job in jobs:
            for verb in ("status", "logs"):
                said += [self.ctl(verb, job["id"]), self.ctl("--json", verb, job["id"])]
        for ended in said:
            text = ended.text + ended.err
            self.assertEqual([c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c < "\xa0"], [], text)
        self.assertIn("message\\x1b]0;owned\\x07\\x7f\\x9b31m\\r!", failed.err)
        # As JSON the text is what it was.
        self.assertEqual({job["name"] for job in jobs}, {f"job{evil}"})
        self.assertIn(f"message{evil}", jobs[-1]["failure"]["message"])
        # A result is bytes for whoever reads it.
        self.assertEqual(self.ctl("result", skipped.word).text, f"a{evil}\n")

    def test_pairs_are_bytes_for_programs_and_text_for_people(self):
        self.write("pair.js", b"function map(_, line, emit) { emit('k\\x1b[m', '\\x9b'); }\n")
        words = ["run", "--local", "--map", "pair.js", "a.txt", "--limit", "1"]
        self.assertEqual(self.ctl(*words).text, "k\x1b[m\t\x9b\n")
        master, terminal = pty.openpty()
        self.addCleanup(os.close, master)
        subprocess.run([PEERCTL, "--home", self.home, *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                       stdout=terminal, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        os.close(terminal)
        self.assertEqual(os.read(master, 1000).split(b"\n")[0].strip(b"\r"), b"k\\x1b[m\t\\x9b")

    # MARK: Trying

    def test_local_prints_pairs_log_and_counters_and_stores_nothing(self):
        self.write("talk.js", b"function map(_, line, emit) { console.log('saw', line); counter('g', 'lines'); emit(line, 1); }\n"
                   b"function reduce(key, values, emit) { console.log('key', key); emit(key, [...values].length); }\n")
        tried = self.ctl("run", "--local", "--map", "talk.js", "a.txt", "a.txt")
        self.assertEqual(tried.text, "a c\t1\na c\t1\nb a\t1\nb a\t1\n\na c\t2\nb a\t2\n")
        self.assertEqual(tried.err.count("saw b a\n"), 2)
        self.assertEqual(tried.err.count("key b a\n"), 1)
        self.assertRegex(tried.err, r"inputRecords +4\n")
        self.assertRegex(tried.err, r"g: lines +4\n")
        self.assertFalse(os.path.exists(self.home))

    def test_local_says_things_in_the_order_in_which_they_happen(self):
        self.write("talk.js", b"function map(_, line, emit) { console.log('saw', line); emit(line, 1); }\n"
                   b"function reduce(key, values, emit) { console.log('key', key); emit(key, [...values].length); }\n")
        both = subprocess.run([PEERCTL, "--home", self.home, "run", "--local", "--map", "talk.js", "a.txt"],
                              cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
        self.assertEqual(both.stdout.decode().splitlines()[:8], [
            "saw b a", "saw a c", "a c\t1", "b a\t1", "", "key a c", "key b a", "a c\t1"])

    def test_local_takes_the_first_records_of_each_input_whole(self):
        self.write("long.txt", b"1\n2\n3\n4")
        tried = self.ctl("run", "--local", "--limit", "3", "--map", "identity", "a.txt", "long.txt")
        self.assertEqual(tried.text, "1\n2\n3\na c\nb a\n")
        self.assertEqual(self.ctl("run", "--local", "--limit", "9", "--map", "identity", "-", stdin=b"x\ny").text, "x\ny\n")
        self.assertEqual(self.ctl("run", "--local", "--limit", "2", "--map", "wc", "--reduce", "identity", "a.txt").text,
                         "a\t1\nb\t1\n")
        cid = self.add("long.txt")
        self.assertEqual(self.ctl("run", "--local", "--limit", "1", "--map", "identity", cid).text, "1\n")
        self.start_daemon()
        self.assertEqual(self.ctl("run", "--local", "--limit", "1", "--map", "identity", cid).text, "1\n")

    def test_local_pairs_as_json(self):
        self.write("pairs.js", b"function map(_, line, emit) { emit('t\\t\\n\\\\', line); emit(line); }\n")
        self.write("c.txt", b"x\n")
        lines = [json.loads(line) for line in self.ctl("--json", "run", "--local", "--map", "pairs.js", "c.txt").text.splitlines()]
        self.assertEqual(lines, [{"phase": "map", "key": "t\t\n\\", "value": "x"},
                                 {"phase": "map", "key": "x", "value": None}])

    # MARK: Checking

    def test_check_says_what_a_function_can_do(self):
        self.write("all.js", b"function map(key, value, emit) {}\nfunction combine(k, v, e) {}\nfunction reduce(k, v, e) {}\n")
        said = json.loads(self.ctl("--json", "function", "check", "all.js").out)
        self.assertEqual((said["engine"], said["roles"], said["usesPosition"]),
                         ("javascript", ["map", "combine", "reduce"], True))
        said = json.loads(self.ctl("--json", "function", "check", "wc.js").out)
        self.assertEqual((said["roles"], said["usesPosition"]), (["map"], False))
        self.assertIn("javascript", self.ctl("function", "check", "wc.js").text)
        self.assertFalse(os.path.exists(self.home))
        cid = self.add("all.js")
        self.assertIn("map, combine, reduce", self.ctl("function", "check", cid).text)

    def test_check_names_the_place_of_a_mistake(self):
        self.write("typo.js", b"function map(_, line, emit) {\n    emit(line;\n}\n")
        for words in (["function", "check", "typo.js"], ["run", "--map", "typo.js", "a.txt"],
                      ["run", "--local", "--map", "typo.js", "a.txt"]):
            with self.subTest(words=words):
                self.assertRegex(self.ctl(*words, code=1).err, r"typo\.js:2(:\d+)?: SyntaxError")

    def test_modules_that_are_none(self):
        for content, said in [(b"\0asm", "no WebAssembly module"), (b"", "no WebAssembly module"),
                              (b"function map() {}", "no WebAssembly module"), (b"\0asm\x01\0\0\0", "does not export its memory")]:
            self.write("m.wasm", content)
            for words in (["function", "check", "m.wasm"], ["run", "--map", "m.wasm", "a.txt"],
                          ["run", "--local", "--map", "m.wasm", "a.txt"]):
                with self.subTest(words=words, said=said):
                    self.assertIn("m.wasm: ", self.ctl(*words, code=1).err)
                    self.assertIn(said, self.ctl(*words, code=1).err)

    # MARK: Bad input

    def test_wrong_usage_is_2_and_says_what_is_right(self):
        for words, said in [
            (["--map", "wc.js", "--map-cmd", "cat"], "exclude each other"),
            (["--map", "wc", "--reduce", "sum", "--reduce-cmd", "cat"], "exclude each other"),
            ([], "--map-cmd=CMD"),
            (["--map-cmd", ""], "a command of 1 to"),
            (["--map", "wc", "--file", "a.txt"], "this job has none"),
            (["--map-cmd", "cat", "--file", "../x=a.txt"], "no name for a file"),
            (["--map-cmd", "cat", "--file", ".x=a.txt"], "no name for a file"),
            (["--map-cmd", "cat", "--file", "=a.txt"], "no name for a file"),
            (["--map-cmd", "cat", "--file", "a.txt", "--file", "./a.txt"], "two files named a.txt"),
            (["--map", "wc", "--skip-bad", "-1"], "from 0 to"),
            (["--map-cmd", "cat", "--skip-bad", "1"], "means nothing with --map-cmd"),
            (["--map", "wc", "--task-cpu", "soon"], "a duration such as"),
            (["--map", "wc", "--task-timeout", "0"], "a duration such as"),
            (["--map", "wc", "--task-memory", "0"], "a size such as"),
            (["--map", "wc", "--task-output", "1X"], "a size such as"),
            (["--map", "wc", "--task-disk", "1M"], "unknown option"),
            (["--map", "wc", "--limit", "5"], "--local"),
            (["--map", "wc", "--local", "--limit", "0"], "from 1 to"),
            (["--map", "wc", "--local", "--detach"], "nothing with --local"),
            (["--map", "wc", "--local", "--output", "x"], "nothing with --local"),
            (["--map", "ident"], "no such file"),
        ]:
            with self.subTest(words=words):
                self.assertIn(said, self.ctl("run", *words, "a.txt", code=2).err)

    def test_files_that_are_no_functions(self):
        os.mkdir(self.path("d"))
        os.mkfifo(self.path("pipe"))
        with open(self.path("huge.js"), "wb") as file:
            file.truncate(70 << 20)
        for name, said in [
            ("nope.js", "No such file"), ("d", "not a regular file"), ("./d", "not a regular file"),
            ("pipe", "not a regular file"), ("/dev/null", "not a regular file"), ("huge.js", "at most 60.0 MiB"),
        ]:
            with self.subTest(name=name):
                self.assertIn(said, self.ctl("run", "--map", name, "a.txt", code=1).err)
                self.assertIn(said, self.ctl("run", "--map", "wc", "--reduce", name, "a.txt", code=1).err)
                self.assertIn(said, self.ctl("function", "check", name, code=1).err)
        self.assertIn("not a regular file", self.ctl("run", "--map-cmd", "cat", "--file", "d", "a.txt", code=1).err)
        self.assertIn("No such file", self.ctl("run", "--map-cmd", "cat", "--file", "../x", "a.txt", code=1).err)
        self.assertIn("not a regular file", self.ctl("run", "--local", "--map", "wc", "d", code=1).err)

    def test_a_function_without_the_role_that_is_asked_for(self):
        said = self.ctl("run", "--map", "wc", "--reduce", "wc.js", "a.txt", code=1).err
        self.assertIn("wc.js", said)
        self.assertIn("reduce", said)

    def test_policy_binds_functions_too(self):
        self.ctl("policy", "allow", "--engine", "builtin", "--engine", "webassembly", "self")
        self.assertIn("may not run JavaScript", self.ctl("run", "--map", "wc.js", "a.txt", code=1).err)
        self.assertIn("may not run commands", self.ctl("run", "--map-cmd", "cat", "a.txt", code=1).err)


if __name__ == "__main__":
    unittest.main()
