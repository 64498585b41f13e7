"""Runs the examples of docs/functions.md, as they stand there, against answers computed here."""
import collections
import os
import random
import re
import shlex
import shutil

from home import ROOT, HomeCase

EXAMPLES = os.path.join(ROOT, "Examples")


def read(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as file:
        return file.read()


def text(seed, line_count):
    """Lines of words with punctuation and capitals, some empty."""
    source = random.Random(seed)
    words = ["".join(source.choices("abcdefgh", k=source.randint(1, 5))) for _ in range(200)]
    words += [word.capitalize() + source.choice(".,;!") for word in words[:50]]
    return "".join(" ".join(source.choices(words, k=source.randrange(12))) + "\n" for _ in range(line_count))


class FunctionsDocument(HomeCase):
    doc = read("docs", "functions.md")

    def setUp(self):
        super().setUp()
        for folder in ("javascript", "python"):
            for name in os.listdir(os.path.join(EXAMPLES, folder)):
                shutil.copy(os.path.join(EXAMPLES, folder, name), self.folder)

    def put(self, name, content):
        self.write(name, content.encode())
        return content

    def run_line(self, line, *more, **names):
        """Runs a command that the document shows, and gives the lines of its result."""
        self.assertRegex(self.doc, rf"(?m)^    {re.escape(line)}(\s+#.*)?$")
        words = [names.get(word, word) for word in shlex.split(line)]
        cid = self.ctl(*words[1:], *more).word
        return cid, self.ctl("result", cid).text.splitlines()

    def test_the_document_shows_each_example_as_it_is(self):
        blocks = re.findall(r"```(?:js|python)\n(.*?)```", self.doc, re.S)
        files = {}
        for folder in ("javascript", "python"):
            for name in sorted(os.listdir(os.path.join(EXAMPLES, folder))):
                if name.endswith((".js", ".py")):
                    files[name] = read("Examples", folder, name)
        for name, content in files.items():
            with self.subTest(name=name):
                self.assertIn(content, blocks)
        self.assertEqual(len(blocks), len(files))

    def test_word_count(self):
        book = self.put("book.txt", text(1, 4000))
        wanted = [f"{word}\t{count}" for word, count in sorted(collections.Counter(book.split()).items())]
        cid, lines = self.run_line("peerctl run --map wc.js book.txt")
        self.assertEqual(lines, wanted)
        self.assertEqual(self.run_line("peerctl run --map wc.js --reduce sum book.txt")[0], cid)
        python = ("peerctl run --map-cmd 'python3 map.py' --file map.py --reduce-cmd 'python3 reduce.py' "
                  "--file reduce.py book.txt")
        self.assertEqual(self.run_line(python)[0], cid)
        self.assertEqual(self.ctl("run", "--map", "wc", "book.txt").word, cid)
        self.assertEqual(self.ctl("run", "--map", "wc.js", "--combine", "none", "book.txt").word, cid)

    def test_a_few_records_in_place(self):
        book = self.put("book.txt", text(2, 50)).splitlines()
        line = "peerctl run --local --limit 3 --map wc.js book.txt"
        self.assertRegex(self.doc, rf"(?m)^    {re.escape(line)}\s+#")
        words = " ".join(book[:3]).split()
        pairs = [f"{word}\t1" for word in sorted(words)]
        counts = [f"{word}\t{count}" for word, count in sorted(collections.Counter(words).items())]
        self.assertEqual(self.ctl(*line.split()[1:]).text, "\n".join(pairs + [""] + counts) + "\n")

    def test_inverted_index(self):
        wanted = collections.defaultdict(set)
        for number in range(5):
            content = self.put(f"books/{number}.txt", text(number, 30))
            for word in re.findall("[a-z]+", content.lower()):
                wanted[word].add(f"books/{number}.txt")
        _, lines = self.run_line("peerctl run -r --map index.js books")
        self.assertEqual(lines, [f"{word}\t{' '.join(sorted(names))}" for word, names in sorted(wanted.items())])

    def test_grep(self):
        source = random.Random(3)
        log = self.put("app.log", "".join(
            source.choice(["all well", "an err here", "ERROR", "no errors?", "érr\tor"]) + "\n" for _ in range(3000)))
        wanted, offset = [], 0
        for line in log.splitlines(keepends=True):
            if re.search("err(or)?", line):
                wanted.append(f"app.log:{offset}\t{line[:-1]}")
            offset += len(line.encode())
        _, lines = self.run_line("peerctl run --map grep.js --arg 'pattern=err(or)?' app.log")
        self.assertEqual(lines, sorted(wanted))
        self.assertIn("--arg pattern=", self.ctl("run", "--map", "grep.js", "app.log", code=1).err)

    def test_status_by_hour(self):
        source = random.Random(4)
        months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
        wanted, lines = collections.Counter(), []
        for _ in range(3000):
            day, month, hour, status = (source.randint(1, 28), source.randrange(12), source.randrange(24),
                                        source.choice([200, 200, 304, 404, 500]))
            lines.append(f'10.0.0.{source.randrange(256)} - - [{day:02}/{months[month]}/2026:{hour:02}:00:59 +0000] '
                         f'"GET /x{source.randrange(9)} HTTP/1.1" {status} {source.randrange(9999)}')
            wanted[f"2026-{month + 1:02}-{day:02} {hour:02}h {status}"] += 1
        broken = ["", "nonsense", '[1/Jan/2026] "GET /" 200']
        self.put("access.log", "\n".join(lines + broken) + "\n")
        _, got = self.run_line("peerctl run --map status-by-hour.js --reduce sum access.log", "--no-cache")
        self.assertEqual(got, [f"{key}\t{count}" for key, count in sorted(wanted.items())])
        job = self.ctl("jobs", "-q").text.split()[0]
        self.assertRegex(self.ctl("status", job).text, r"log: lines not understood +3\n")

    def test_top(self):
        book = self.put("book.txt", text(5, 4000))
        counts, _ = self.run_line("peerctl run --map wc.js --output-format kv book.txt")
        _, lines = self.run_line("peerctl run --map top.js --format kv --arg n=5 CID", CID=counts)
        best = sorted(collections.Counter(book.split()).items(), key=lambda pair: (-pair[1], pair[0]))[:5]
        self.assertEqual(lines, [f"{place:04}\t{count} {word}" for place, (word, count) in enumerate(best, 1)])

    def test_join(self):
        source = random.Random(6)
        users = {number: f"user {number}" for number in range(0, 300, 2)}
        orders = [(source.randrange(300), source.randrange(10_000)) for _ in range(2000)]
        self.put("users.csv", "".join(f"{number},{name}\n" for number, name in users.items()))
        self.put("orders.csv", "".join(f"{number},{amount}\n" for number, amount in orders))
        _, lines = self.run_line("peerctl run --map join.js users.csv orders.csv")
        wanted = [f"{number}\t{users.get(number, 'unknown')},{amount}" for number, amount in
                  sorted(orders, key=lambda order: str(order[0]))]
        self.assertEqual(lines, wanted)

    def test_secondary_sort(self):
        source = random.Random(7)
        visits = [(f"v{source.randrange(40)}", source.randrange(100_000), f"/p{source.randrange(20)}")
                  for _ in range(2000)]
        self.put("visits.txt", "".join(f"{visitor} {time} {page}\n" for visitor, time, page in visits))
        _, lines = self.run_line("peerctl run --map secondary-sort.js visits.txt")
        wanted, last = [], {}
        for visitor, time, page in sorted(visits):
            wanted.append(f"{visitor}\t{time} +{time - last.get(visitor, time)} {page}")
            last[visitor] = time
        self.assertEqual(lines, wanted)
