"""Measures peerctl and peernode against the programs that a user would pick instead.

Every round runs the other program and ours one after the other (A B A B …), forms the ratio of the two wall
times, and the median of the ratios is what counts: absolute times drift with the machine, ratios hardly do.
Wall time is from the start of the process to its exit. Every output is compared with the other program's.
Our runs read and write no remembered outputs (--no-cache), and the blocks of earlier results are collected
between rounds, so every round does the whole work. Memory is the peak of anonymous and shared memory.
"""
import argparse
import collections
import glob
import hashlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ["BENCH_HOME"])
DATA, TMP, BIN = HOME / "data", HOME / "tmp", HOME / "bin"
RELEASE = pathlib.Path(os.environ.get("PEERNODE_BIN", HERE.parent / ".build/release"))
PEERCTL, PEERNODE = str(RELEASE / "peerctl"), str(RELEASE / "peernode")
PYTHON = sys.executable
SIZES = {"1K": 1 << 10, "581K": 581 << 10, "32M": 32 << 20, "256M": 256 << 20, "1G": 1 << 30}
ROUNDS = {"1K": 15, "581K": 9, "32M": 7, "256M": 5, "1G": 3}
PATTERN = "st[a-z]*ou[a-z]*ng"
ENVIRONMENT = {**os.environ, "LC_ALL": "C", "POLARS_MAX_THREADS": "2", "GREP_RE": PATTERN}
MAWK = r"""{for(i=1;i<=NF;i++)c[$i]++}END{for(w in c)print w"\t"c[w]}"""


# ---------------------------------------------------------------- corpora
def corpus(size):
    path = DATA / f"{size}.txt"
    if not path.exists() or path.stat().st_size != SIZES[size]:
        subprocess.run([PYTHON, HERE / "corpus.py", path, str(SIZES[size])], check=True, stdout=subprocess.DEVNULL)
    return path


def documents(size):
    folder = DATA / f"documents-{size}"
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["split", "-n", "l/64", "-d", "-a", "2", corpus(size), folder / "d"], check=True)
    return folder


# ---------------------------------------------------------------- processes
class Memory(threading.Thread):
    """Samples the anonymous and shared memory of one process until it is gone."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0

    def run(self):
        while True:
            try:
                status = open(f"/proc/{self.pid}/status").read()
            except OSError:
                return
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if "RssAnon" not in fields:
                return
            kilobytes = sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem"))
            self.peak = max(self.peak, kilobytes * 1024)
            time.sleep(0.002)


def execute(command, output=None, environment=None, memory=False):
    """Runs a command to its end; returns (wall seconds, cpu seconds, peak bytes or None)."""
    with open(output or os.devnull, "wb") as out, open(TMP / "stderr", "wb") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**ENVIRONMENT, **(environment or {})},
        )
        sampler = Memory(process.pid) if memory else None
        if sampler:
            sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = (TMP / "stderr").read_text(errors="replace")[-500:]
        raise SystemExit(f"bench: {command} ended with {process.returncode}: {message}")
    return wall, usage.ru_utime + usage.ru_stime, sampler.peak if sampler else None


def shell(script, *arguments):
    return ["/bin/sh", "-c", script, "sh", *map(str, arguments)]


def touch(path):
    """Brings a file, or the files of a folder, into the page cache."""
    for name in glob.glob(f"{path}/*") if os.path.isdir(path) else [path]:
        with open(name, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def digest(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hashed.update(piece)
    return hashed.hexdigest()


# ---------------------------------------------------------------- ours
class Home:
    """A home folder with one input added, which is put back to just that between rounds."""

    def __init__(self, name, source):
        self.path = TMP / f"home-{name}"
        shutil.rmtree(self.path, ignore_errors=True)
        flags = ["-r"] if os.path.isdir(source) else []
        self.cid = self.ctl("add", "-Q", *flags, "--pin-name", "input", source).split()[-1]

    def ctl(self, *words):
        done = subprocess.run(
            [PEERCTL, "--home", str(self.path), *map(str, words)], capture_output=True, text=True, env=ENVIRONMENT
        )
        if done.returncode:
            raise SystemExit(f"bench: peerctl {words} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def reset(self):
        pins = [line.split() for line in self.ctl("pin", "ls", "--names").splitlines()]
        for cid in {cid for cid, _, *name in pins if not (name and name[0].startswith("input"))}:
            self.ctl("pin", "rm", cid)
        self.ctl("repo", "gc", "-q")

    def run(self, *words):
        return [PEERCTL, "--home", self.path, "-q", "run", "--no-cache", "--reduces", "4", *words, self.cid]

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Daemon:
    """A peernode on a home for as long as the block lasts."""

    def __init__(self, home, *flags):
        self.command = [PEERNODE, "--home", str(home.path), "--listen", "/ip4/127.0.0.1/tcp/0", *flags]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if line.strip() == "ready":
                return self
        raise SystemExit("bench: peernode ended before it was ready")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=15)


# ---------------------------------------------------------------- rows
Row = collections.namedtuple("Row", "what theirs ours ratio low high must aim note")
ROWS = []


def report(row):
    ROWS.append(row)
    verdict = "" if row.must is None else "aim" if row.ratio <= row.aim else "must" if row.ratio <= row.must else "MISSED"
    print(
        f"| {row.what} | {row.theirs} | {row.ours} | {row.ratio:.2f} ({row.low:.2f}-{row.high:.2f}) "
        f"| {row.must if row.must is not None else '-'} | {row.aim if row.aim is not None else '-'} | {verdict} | {row.note} |",
        flush=True,
    )


def seconds(value):
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def paired(what, size, theirs, ours, must, aim, between=lambda: None, note=""):
    """Runs two commands alternately and reports the median of the ratios ours / theirs."""
    their_walls, our_walls, ratios = [], [], []
    for round_number in range(-1, arguments.rounds or ROUNDS[size]):
        first, _, _ = execute(theirs)
        second, _, _ = execute(ours)
        between()
        if round_number >= 0:  # the first round warms the caches
            their_walls.append(first)
            our_walls.append(second)
            ratios.append(second / first)
    median = statistics.median
    report(Row(what, seconds(median(their_walls)), seconds(median(our_walls)), median(ratios), min(ratios), max(ratios), must, aim, note))


def same_output(home, job, expected, *words):
    """Checks our merged result against another program's output, byte for byte."""
    result = subprocess.run([str(w) for w in home.run(*words)], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    merged = TMP / "merged"
    execute([PEERCTL, "--home", home.path, "result", result.stdout.split()[-1], "-o", merged])
    if digest(merged) != digest(expected):
        raise SystemExit(f"bench: the {job} result differs from the other program's")
    home.reset()


def one_machine(sizes):
    out = TMP / "out"
    limit = lambda path: [BIN / "wc-limit", "2", path, out]
    for size in sizes:
        path = corpus(size)
        touch(path)
        home = Home(size, path)
        execute(limit(path))
        same_output(home, "wc", out, "--map", "wc")
        ours = home.run("--map", "wc")
        polars = [PYTHON, HERE / "peers/p_polars.py", "wc", path, out]
        duckdb = [PYTHON, HERE / "peers/p_duckdb.py", "wc", path, out]
        script = (
            f"seq 1 2 | xargs -P2 -I{{}} sh -c 'split -n l/{{}}/2 \"$0\" | mawk \"$2\" >\"$1.{{}}\"' \"$1\" \"$2\" '{MAWK}'; "
            "cat \"$2.1\" \"$2.2\" | mawk -F'\\t' '{c[$1]+=$2}END{for(w in c)print w\"\\t\"c[w]}' | sort >\"$2\""
        )
        if size == "1K":
            paired("wc 1 KB, embedded / DuckDB", size, duckdb, ours, 0.15, 0.08, home.reset)
        elif size == "581K":
            paired("wc 581 KB / xargs -P2 mawk", size, shell(script, path, out), ours, 2, 1, home.reset)
        else:
            paired(f"wc {size} / Polars", size, polars, ours, 0.8, 0.5, home.reset)
            paired(f"wc {size} / limit", size, limit(path), ours, 6 if size == "32M" else 5, 3, home.reset)
        home.remove()
    if "32M" in sizes:
        folder = documents("32M")
        home = Home("documents", folder)
        duckdb = [PYTHON, HERE / "peers/p_duckdb.py", "index", folder, out]
        paired("index 32M, 64 documents / DuckDB", "32M", duckdb, home.run("--map", "index"), 0.8, 0.4, home.reset)
        home.remove()
    if "256M" in sizes:
        path = corpus("256M")
        home = Home("256M", path)
        sort = ["sort", "--parallel=2", "-S", "4G", path, "-o", out]
        execute(sort)
        same_output(home, "sort", out, "--map", "sort")
        paired("sort 256M / GNU sort --parallel=2", "256M", sort, home.run("--map", "sort"), 1.5, 1, home.reset)
        grep = ["rg", "-c", "--mmap", PATTERN, path]
        ours = home.run("--map", "grep", "--arg", f"pattern={PATTERN}", "--arg", "output=count")
        paired("grep 256M / ripgrep", "256M", grep, ours, 2, 1.1, home.reset)
        home.remove()
    for size in [size for size in ("256M", "1G") if size in sizes]:
        add(size)
    if "1G" in sizes:
        memory()
    daemon(sizes)


def add(size):
    path, database, home = corpus(size), TMP / "limit.db", TMP / "home-add"

    def clean():
        shutil.rmtree(home, ignore_errors=True)
        for file in glob.glob(f"{database}*"):
            os.unlink(file)
        os.sync()

    clean()
    limit = [BIN / "add-limit", "db", path, database]
    paired(f"add {size} / limit", size, limit, [PEERCTL, "--home", home, "add", "-q", path], 1.3, 1.05, clean)
    clean()


def memory():
    path, fresh = corpus("1G"), TMP / "home-memory"
    shutil.rmtree(fresh, ignore_errors=True)
    _, _, peak = execute([PEERCTL, "--home", fresh, "add", "-q", path], memory=True)
    report(Row("peak memory, add 1G, MB", "-", f"{peak / 1e6:.0f} MB", peak / 1e6, peak / 1e6, peak / 1e6, 100, 50, ""))
    shutil.rmtree(fresh)
    home = Home("memory", path)
    _, _, peak = execute(home.run("--map", "wc"), memory=True)
    report(Row("peak memory, wc 1G, MB", "-", f"{peak / 1e6:.0f} MB", peak / 1e6, peak / 1e6, peak / 1e6, 600, 300, ""))
    home.remove()


def daemon(sizes):
    """Rows through a running daemon, against embedded runs and against a warm Polars."""
    if "256M" in sizes:
        home, other = Home("daemon", corpus("256M")), Home("embedded", corpus("256M"))
        with Daemon(home):
            def both():
                home.reset()
                other.reset()
            paired("wc 256M, daemon / embedded", "256M", other.run("--map", "wc"), home.run("--map", "wc"), 1.1, 1.0, both)
        home.remove()
        other.remove()
    if "32M" in sizes:
        path = corpus("32M")
        execute([PYTHON, HERE / "peers/p_polars.py", "wc", path, TMP / "out"], environment={"REPEAT": "9"})
        iterations = [float(line.split()[1]) for line in (TMP / "stderr").read_text().splitlines() if line.startswith("ITER")]
        warm = statistics.median(iterations[3:])
        home = Home("warm", path)
        with Daemon(home):
            walls = []
            for _ in range(8):
                walls.append(execute(home.run("--map", "wc"))[0])
                home.reset()
            ratios = [wall / warm for wall in walls[1:]]
            report(Row("wc 32M through a daemon / Polars warm", seconds(warm), seconds(statistics.median(walls[1:])),
                       statistics.median(ratios), min(ratios), max(ratios), 1.5, 0.8, ""))
        home.remove()
    if "1K" in sizes:
        home = Home("small", corpus("1K"))
        with Daemon(home):
            walls = []
            for _ in range(30):
                walls.append(execute(home.run("--map", "wc"))[0] * 1e3)
                home.reset()
            report(Row("wc 1 KB through a daemon, wall, ms", "-", f"{statistics.median(walls):.1f} ms",
                       statistics.median(walls), min(walls), max(walls), 15, 8, ""))
        home.remove()


class Cluster:
    """Nodes joined through one bootstrap address, each on a home of its own, for as long as the block lasts."""

    def __init__(self, homes):
        self.homes, self.daemons = homes, []

    def __enter__(self):
        for home in self.homes:
            # By policy and not by a swarm key, whose cipher would be measured too.
            home.ctl("policy", "allow", "others", "--engine", "builtin")
            flags = ["--bootstrap", self.daemons[0].lines[0].split()[1]] if self.daemons else []
            self.daemons.append(Daemon(home, *flags).__enter__())
        for _ in range(300):
            if all(self.workers(home) == len(self.homes) - 1 for home in self.homes):
                return self
            time.sleep(0.1)
        raise SystemExit("bench: the nodes did not find each other")

    @staticmethod
    def workers(home):
        peers = json.loads(home.ctl("--json", "peers"))["peers"]
        return sum(peer["state"] == "connected" and bool(peer["slots"]) for peer in peers)

    def __exit__(self, *_):
        for daemon in self.daemons:
            daemon.__exit__()


def cluster(sizes):
    """Rows of three nodes on this machine, against embedded runs of the same job."""
    for size in [size for size in ("1K", "256M") if size in sizes]:
        path = corpus(size)
        touch(path)
        embedded = Home(f"embedded-{size}", path)
        if size == "256M":
            third = SIZES[size] // 3 + 1
            parts = []
            for index in range(3):
                part = TMP / f"part-{index}"
                with open(path, "rb") as source, open(part, "wb") as out:
                    source.seek(index * third)
                    out.write(source.read(third))
                parts.append(part)
            spread = [Home(f"spread-{index}", part) for index, part in enumerate(parts)]
            whole = Home("whole", parts[0])
            cids = [home.cid for home in spread]
            for index, part in enumerate(parts):
                whole.ctl("add", "-Q", "--pin-name", f"input-{index}", part)
            ours = [PEERCTL, "--home", spread[0].path, "-q", "run", "--no-cache", "--map", "wc", "--reduces", "4", *cids]
            alone = [PEERCTL, "--home", whole.path, *ours[3:]]

            def between():
                for home in (*spread, whole):
                    home.reset()

            with Cluster(spread):
                paired("wc 256M, 3 nodes, blocks spread / embedded", size, alone, ours, 1.5, 1.15, between)
            for home in (*spread, whole):
                home.remove()
        nothing = TMP / "nothing"
        nothing.touch()
        empty = [Home(f"empty-{index}", nothing) for index in range(2)]
        holder = Home("holder", path)
        nodes = [empty[0], holder, empty[1]]
        ours = [PEERCTL, "--home", empty[0].path, *holder.run("--map", "wc")[3:]]
        must, aim = (2.5, 1.8) if size == "256M" else (3, 2)
        what = f"wc {size}, 3 nodes, blocks on one that is not the master / embedded"

        def between():
            for home in (*nodes, embedded):
                home.reset()

        with Cluster(nodes):
            if size == "1K":
                local = [*holder.run("--map", "wc")]
                paired("wc 1K, 3 nodes, blocks on the master / embedded", size, embedded.run("--map", "wc"), local, 3, 2, between)
            paired(what, size, embedded.run("--map", "wc"), ours, must, aim, between)
        for home in (*nodes, embedded):
            home.remove()
    if "1K" in sizes:
        tasks(20_000)


def tasks(count):
    """What a task costs the master beside its work: files of one small block each, in which nothing is found."""
    folder = TMP / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for index in range(count):
        (folder / f"{index:05}").write_text(f"{index}".ljust(255) + "\n")  # over the size below which a job stays at home
    nothing = TMP / "nothing"
    nothing.touch()
    master = Home("master", folder)
    nodes = [master, Home("helper-0", nothing), Home("helper-1", nothing)]
    costs = []
    with Cluster(nodes) as cluster:
        pid = cluster.daemons[0].process.pid
        for round_number in range(-1, arguments.rounds or ROUNDS["1K"]):
            before = cpu_seconds(pid)
            execute(master.run("--map", "grep", "--arg", "pattern=nothing"))
            if round_number >= 0:
                costs.append((cpu_seconds(pid) - before) / count * 1e3)
            for home in nodes:
                home.reset()
    median = statistics.median(costs)
    report(Row(f"master's CPU per task, {count:,} tasks that do nothing, ms", "-", f"{median:.3f} ms",
               median, min(costs), max(costs), 1, 0.2, ""))
    for home in nodes:
        home.remove()
    shutil.rmtree(folder)


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wire(sizes):
    """Rows of the network: go-libp2p against ours as server of the same client, and blocks from node to node."""
    setup = subprocess.run([HERE.parent / "Tests/Interop/setup.sh"], check=True, capture_output=True, text=True).stdout
    exports = dict(word.split("=", 1) for word in setup.replace("export ", "").split())
    scratch = TMP / "wire"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = [exports["INTEROP_PYTHON"], HERE / "wire.py", RELEASE, scratch, "1024", str(arguments.rounds or 3)]
    lines = subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, env={**ENVIRONMENT, **exports}
    ).stdout
    for name, theirs, ours, ratios in map(json.loads, lines.splitlines()):
        aim = {"memory of an idle connection": 0.5, "memory of an open stream": 0.25}.get(name, 0.67)
        report(Row(name, theirs, ours, statistics.median(ratios), min(ratios), max(ratios), 1, aim, ""))
    shutil.rmtree(scratch)
    if "256M" in sizes:
        fetch("256M")


def fetch(size):
    """A file from another node by bitswap, verified and stored, against the limits of fetching and of adding."""
    path = corpus(size)
    touch(path)
    holder = Home("fetch-holder", path)
    blocks = SIZES[size] >> 18
    nothing = TMP / "nothing"
    nothing.write_bytes(b"")
    empty = Home("fetch-empty", nothing)
    ours, limits, ratios = [], [], []
    for round_number in range(-1, arguments.rounds or 3):
        limit, _, _ = execute([BIN / "fetch-limit", "chacha", "16", str(blocks), "verify"])
        (TMP / "limit.db").unlink(missing_ok=True)
        adding, _, _ = execute([BIN / "add-limit", "db", path, TMP / "limit.db"])
        with Daemon(holder) as source, Daemon(empty):
            address = next(line.split()[1] for line in source.lines if line.startswith("listening "))
            empty.ctl("connect", address)
            wall, _, _ = execute([PEERCTL, "--home", empty.path, "-q", "pin", "add", holder.cid])
            empty.ctl("pin", "rm", holder.cid)
        empty.reset()
        if round_number >= 0:
            ours.append(wall)
            limits.append(limit + adding)
            ratios.append(wall / (limit + adding))
    median = statistics.median
    report(Row(f"fetch {size} by bitswap / limits of fetching and adding", seconds(median(limits)), seconds(median(ours)),
               median(ratios), min(ratios), max(ratios), 2.5, 1.5, ""))
    for home in (holder, empty):
        home.remove()


EXAMPLES = HERE.parent / "Examples"


def functions(sizes):
    """Rows of the user's own functions: against Node, against a built-in, against a pipeline, and how fast they start."""
    for size in [size for size in ("581K", "32M", "256M") if size in sizes]:
        path, out = corpus(size), TMP / "out"
        touch(path)
        home = Home(f"functions-{size}", path)
        # A minute a run over more.
        has_scripts = size != "256M"
        if has_scripts:
            javascript(size, path, home)
        module = word_count_module()
        if module:
            execute([PEERCTL, "--home", home.path, "result", subprocess.run(
                [str(word) for word in home.run("--map", "wc")], capture_output=True, text=True, env=ENVIRONMENT,
                check=True).stdout.split()[-1], "-o", out])
            same_output(home, "WebAssembly word count", out, "--map", module, "--reduce", "sum")
            paired(f"wasm (C) word count {size} / built-in", size, home.run("--map", "wc"),
                   home.run("--map", module, "--reduce", "sum"), 1.6, 1.2, home.reset)
        if has_scripts:
            streaming(size, path, home)
        home.remove()
    starts()


def javascript(size, path, home):
    """JavaScript's word count, against Node with the same file."""
    out, script = TMP / "out", EXAMPLES / "javascript/wc.js"
    node = ["node", HERE / "peers/functions.mjs", script, path, out]
    ours = ["--slots", "1", "--map", script]
    execute(node)
    same_output(home, "JavaScript word count", out, *ours)
    paired(f"JS word count {size}, one core / Node {node_version()}", size, node, home.run(*ours), 1, 0.8, home.reset)


def node_version():
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip().lstrip("v")


def word_count_module():
    """The word count of Examples/c as a WebAssembly module, built with the Swift toolchain's clang."""
    folder = EXAMPLES / "c"
    if not (folder / "wordcount.c").exists():
        return None
    module = TMP / "wc.wasm"
    clang = pathlib.Path(shutil.which("swift")).resolve().parent / "clang"
    subprocess.run([clang, "--target=wasm32", "-msimd128", "-nostdlib", "-O3", "-Wl,--no-entry", "-I", folder, "-o", module, folder / "wordcount.c"],
                   check=True)
    return module


def streaming(size, path, home):
    """Python's word count by Hadoop Streaming, against the same scripts in a pipeline on two processors."""
    out, scripts = TMP / "out", EXAMPLES / "python"
    pipeline = shell(
        "seq 1 2 | xargs -P2 -I{} sh -c 'split -n l/{}/2 \"$0\" | python3 \"$2/map.py\" | sort >\"$1.{}\"' \"$1\" \"$2\" \"$3\"; "
        "sort -m \"$2.1\" \"$2.2\" | python3 \"$3/reduce.py\" >\"$2\"", path, out, scripts)
    ours = ["--slots", "2", "--map-cmd", "python3 map.py", "--file", scripts / "map.py",
            "--reduce-cmd", "python3 reduce.py", "--file", scripts / "reduce.py"]
    execute(pipeline)
    same_output(home, "Python word count", out, *ours)
    paired(f"Python streaming word count {size} / the bare pipeline", size, pipeline, home.run(*ours), 1.2, 1.0, home.reset)


def starts():
    """How long an attempt of each engine takes to begin: in a process that is warm, and in a new one.

    A reduce of an empty partition does nothing but begin. Jobs of 1 and of 257 reduces, with a function and with a
    built-in, tell the two apart: the second function's attempts are all warm.
    """
    path, many = corpus("1K"), 256
    home = Home("starts", path)
    script = TMP / "start.js"
    script.write_text("export function reduce(key, values, emit) { for (const value of values) emit(key, value); }\n")
    engines = {"JavaScript": (["--reduce", script], 2), "command": (["--reduce-cmd", "cat"], None)}
    module = word_count_module()
    if module:
        engines["WebAssembly"] = (["--reduce", module], 2)

    def wall(reduces, *reduce):
        """Milliseconds of a job whose map and combine are built in."""
        command = [PEERCTL, "--home", home.path, "-q", "run", "--no-cache", "--slots", "1", "--reduces", reduces,
                   "--map", "wc", "--combine", "none", *reduce, home.cid]
        taken, _, _ = execute(command)
        home.reset()
        return taken * 1e3

    cold_limit = 50
    for name, (flags, warm_limit) in engines.items():
        cold, warm = [], []
        for round_number in range(-1, arguments.rounds or 7):
            first = wall(1, *flags) - wall(1, "--reduce", "identity")
            every = wall(many + 1, *flags) - wall(many + 1, "--reduce", "identity")
            if round_number >= 0:
                cold.append(first)
                warm.append((every - first) / many)
        report(Row(f"cold start of a task, {name}, ms", "-", f"{statistics.median(cold):.1f} ms",
                   statistics.median(cold), min(cold), max(cold), cold_limit, cold_limit / 2, "with the check of the function"))
        report(Row(f"warm start of a task, {name}, ms", "-", f"{statistics.median(warm):.2f} ms",
                   statistics.median(warm), min(warm), max(warm), warm_limit, warm_limit and warm_limit / 2, ""))
    home.remove()


SUITES = {"one-machine": one_machine, "cluster": cluster, "wire": wire, "functions": functions}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rows", default=",".join(SUITES), help="which suites, by commas")
parser.add_argument("--sizes", default="1K,581K,32M,256M,1G")
parser.add_argument("--rounds", type=int, help="rounds a row (default by size)")
parser.add_argument("--json", help="also write the rows to this file")
arguments = parser.parse_args()

print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors\n")
print("| row | theirs | ours | ratio (min-max) | must | aim | verdict | note |\n|---|---|---|---|---|---|---|---|")
for suite in arguments.rows.split(","):
    SUITES[suite](arguments.sizes.split(","))
print(f"\nload {os.getloadavg()[0]:.1f}")
if arguments.json:
    pathlib.Path(arguments.json).write_text(json.dumps([row._asdict() for row in ROWS], indent=1))
