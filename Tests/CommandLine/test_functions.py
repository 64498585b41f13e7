"""Flags of functions, `run --local` and `function check`, and what bad input to them gets."""
import json
import os
import unittest

from home import HomeCase

WORDS = "export function map(_, line, emit) {\n    for (const word of line.split(' ')) emit(word, 1);\n}\n"


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

    def test_a_failing_command_is_told_with_its_status_and_log(self):
        failed = self.ctl("run", "--map-cmd", "echo oops >&2; exit 3", "a.txt", code=1).err
        self.assertIn("the command ended with status 3", failed)
        self.assertIn("oops", failed)

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
        for content, said in [(b"\0asm", "no WebAssembly module"), (b"\0asm\x01\0\0\0", "does not export its memory")]:
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
