#!/usr/bin/env python3
"""Runs jobs over several real peernode processes and holds their results against the embedded run's.

    run.py --bin .build/release [--only NAME]… [--seed N]      (make test-cluster builds and calls this)

Every check starts its nodes on loopback, or in network namespaces of their own where the machine allows, and stops
them. A result is right when its CID equals the embedded run's and its bytes, read through another node, do too.
Ends with "N passed, N failed, N skipped" and exit code 1 when one failed.
"""
import argparse
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHECKS = []
JOBS = {
    "wc": ["--map", "wc"],
    "index": ["--map", "index"],
    "grep": ["--map", "grep", "--arg", "pattern=a[b-f]+e"],
    "count": ["--map", "count"],
    "sort": ["--map", "sort"],
}
MIB = 1 << 20


class Skipped(Exception):
    pass


def check(function):
    CHECKS.append(function)
    return function


# ---------------------------------------------------------------- texts
def text(name, byte_count, words=5_000):
    """A text with short and long lines, lines over several blocks, `\\r\\n`, UTF-8 and NULs; the same for one seed."""
    path = SCRATCH / f"{name}.txt"
    if path.exists():
        return path
    rng = random.Random(f"{SEED} {name}")
    syllables = ["ab", "ce", "de", "fé", "ga", "xü", "mo", "ne", "€"]
    vocabulary = ["".join(rng.choices(syllables, k=rng.randint(1, 6))) for _ in range(words)]
    with open(path, "wb") as file:
        while file.tell() < byte_count:
            lines = []
            for _ in range(2_000):
                count = min(int(rng.paretovariate(1.1)), 400)
                lines.append(" ".join(rng.choices(vocabulary, k=count)) + rng.choice(["\n", "\n", "\n", "\r\n", "\n\n"]))
            file.write("".join(lines).encode())
            file.write(rng.choice([b"\0nul\n", b"\xff\xfe\n", b"x" * rng.randint(1, 600_000) + b"\n"]))
        file.write(b"no newline at the end")
    return path


# ---------------------------------------------------------------- nodes
def swarm_key():
    """The key of the private network that all nodes are in: it lets them use each other's slots."""
    path = SCRATCH / "swarm.key"
    if not path.exists():
        path.write_text(f"/key/swarm/psk/1.0.0/\n/base16/\n{random.Random(SEED).randbytes(32).hex()}\n")
    return path


class Home:
    """A home folder and the peerctl that works on it: embedded, or through a daemon when one runs."""

    def __init__(self, name):
        self.path = SCRATCH / name

    def ctl(self, *words, timeout=120, prefix=()):
        command = [*prefix, str(BIN / "peerctl"), "--home", str(self.path), *map(str, words)]
        done = subprocess.run(command, capture_output=True, timeout=timeout)
        if done.returncode:
            raise AssertionError(f"peerctl {' '.join(map(str, words))}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def add(self, path):
        return self.ctl("add", "-q", path).decode().split()[-1]

    def run(self, job, reduces, *inputs, flags=()):
        words = ["-q", "run", "--no-cache", "--reduces", reduces, *job, *flags, *inputs]
        return self.ctl(*words).decode().split()[-1]

    def result(self, cid):
        return hashlib.sha256(self.ctl("result", cid)).hexdigest()

    def job(self, identifier):
        return json.loads(self.ctl("--json", "status", identifier))

    def last_job(self):
        return self.job(self.ctl("-q", "jobs").decode().split()[0])


class Node(Home):
    def __init__(self, name, *flags, listen="/ip4/127.0.0.1/tcp/0", prefix=(), private=True):
        super().__init__(name)
        key = ["--swarm-key", swarm_key()] if private else []
        command = [*prefix, BIN / "peernode", "--home", self.path, "--listen", listen, *key, *flags]
        self.log = open(SCRATCH / f"{name}.log", "ab")
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.address = None
        for line in self.process.stdout:
            if line.startswith("listening "):
                self.address = self.address or line.split()[1]
            if line.strip() == "ready":
                break
        assert self.address, f"{name} did not come up; its log is {self.log.name}"

    def workers(self):
        peers = json.loads(self.ctl("--json", "peers"))["peers"]
        return sum(peer["state"] == "connected" and bool(peer["slots"]) for peer in peers)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=15)
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def cluster(count, *flags, private=True):
    """Nodes that all know each other from one bootstrap address."""
    folder = f"cluster-{len(os.listdir(SCRATCH))}"
    (SCRATCH / folder).mkdir()
    nodes = []
    try:
        for index in range(count):
            bootstrap = ["--bootstrap", nodes[0].address] if nodes else []
            nodes.append(Node(f"{folder}/{index}", *bootstrap, *flags, private=private))
        known = (lambda node: node.workers()) if private else (lambda node: len(node.ctl("-q", "peers").split()))
        wait(lambda: all(known(node) == count - 1 for node in nodes), 30, "all nodes to know each other")
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def wait(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


EXPECTED = {}


def expected(job, reduces, *paths):
    """Result CID and digest of the embedded run; inputs are named by CID, as everywhere here."""
    key = (job, reduces, paths)
    if key not in EXPECTED:
        home = Home("embedded")
        result = home.run(JOBS[job], reduces, *[home.add(path) for path in paths])
        EXPECTED[key] = (result, home.result(result))
    return EXPECTED[key]


def same(node, job, reduces, inputs, paths, reader=None):
    result, digest = expected(job, reduces, *paths)
    got = node.run(JOBS[job], reduces, *inputs)
    assert got == result, f"{job} with {reduces} reduces gave {got}, embedded {result}"
    if reader:
        assert reader.result(got) == digest, f"{job}: the bytes of {got} differ"


# ---------------------------------------------------------------- checks
@check
def results_equal_the_embedded_run_whichever_node_is_master():
    path = text("six", 6 * MIB)
    with cluster(3) as nodes:
        cid = nodes[0].add(path)
        for job in JOBS:
            for reduces in (1, 4, 16):
                for index, node in enumerate(nodes):
                    same(node, job, reduces, [cid], [path], reader=nodes[(index + 1) % 3] if reduces == 4 else None)


@check
def work_is_shared_and_runs_where_the_blocks_are():
    paths = [text(f"part{index}", 8 * MIB) for index in range(3)]
    with cluster(3) as nodes:
        cids = [node.add(path) for node, path in zip(nodes, paths)]
        for node in nodes:
            for job in ("wc", "index", "sort"):
                same(node, job, 4, cids, paths)
        status = nodes[1].last_job()
        assert len(status["workers"]) == 3, status["workers"]
        assert all(worker["tasks"] > 0 for worker in status["workers"]), status["workers"]
        local = sum(worker["local"] for worker in status["workers"])
        assert local >= status["map"]["total"] / 2, f"{local} of {status['map']['total']} tasks ran where their block was"


@check
def a_job_whose_blocks_are_only_on_a_third_node():
    path = text("third", 12 * MIB)
    with cluster(3) as nodes:
        cid = nodes[2].add(path)
        for reduces in (1, 4):
            same(nodes[0], "wc", reduces, [cid], [path], reader=nodes[0])
            same(nodes[1], "count", reduces, [cid], [path], reader=nodes[2])


@check
def a_small_job_fetches_its_blocks_and_runs_at_home():
    path = text("small", 200_000)
    with cluster(3) as nodes:
        cid = nodes[2].add(path)
        same(nodes[0], "wc", 4, [cid], [path], reader=nodes[1])


FUNCTIONS = {
    "wc.js": """
        export const encoding = "latin1"
        export function map(_, line, emit) {
            for (const word of line.split(/[ \\t\\n\\v\\f\\r]+/)) if (word) emit(word, 1)
            counter("text", "lines")
        }
        export function reduce(key, values, emit) {
            let sum = 0
            for (const value of values) sum += Number(value)
            emit(key, sum)
        }
        export const combine = reduce
        """,
    "bad.js": """
        export function map(key, line, emit) {
            if (line.endsWith("at the end")) throw new Error("not this line")
            emit(line)
        }
        """,
    "map.py": """
import sys
for line in sys.stdin.buffer:
    for word in line.split():
        sys.stdout.buffer.write(word + b"\\t1\\n")
""",
    "reduce.py": """
import itertools, sys
pairs = (line.rstrip(b"\\n").split(b"\\t") for line in sys.stdin.buffer)
for key, group in itertools.groupby(pairs, lambda pair: pair[0]):
    sys.stdout.buffer.write(key + b"\\t%d\\n" % sum(int(pair[1]) for pair in group))
""",
}


@contextlib.contextmanager
def master_and_two_that_allow_it_commands():
    """Three nodes of one network; the functions are on the first one's disk only."""
    folder = f"functions-{len(os.listdir(SCRATCH))}"
    (SCRATCH / folder).mkdir()
    for name, code in FUNCTIONS.items():
        (SCRATCH / folder / name).write_text(code)
    nodes = []
    try:
        nodes.append(Node(f"{folder}/0"))
        peer = nodes[0].address.split("/")[-1]
        engines = [word for engine in ("builtin", "javascript", "webassembly") for word in ("--engine", engine)]
        for index in (1, 2):
            Home(f"{folder}/{index}").ctl("policy", "allow", *engines, "--commands", peer)
            nodes.append(Node(f"{folder}/{index}", "--bootstrap", nodes[0].address))
        wait(lambda: all(node.workers() == 2 for node in nodes), 30, "all nodes to know each other")
        yield SCRATCH / folder, nodes
    finally:
        for node in nodes:
            node.stop()


@check
def functions_run_on_nodes_that_never_saw_them():
    path = text("functions", 8 * MIB)
    with master_and_two_that_allow_it_commands() as (folder, nodes):
        cid = nodes[1].add(path)
        files = ["--file", folder / "map.py", "--file", folder / "reduce.py"]
        python = ["--map-cmd", "python3 map.py", "--combine-cmd", "python3 reduce.py", "--reduce-cmd", "python3 reduce.py"]
        jobs = {
            "JavaScript": ["--map", folder / "wc.js"],
            "Python": python + files,
            "Python and sum": python[:2] + ["--reduce", "sum"] + files,
            "built-in map, JavaScript": ["--map", "wc", "--combine", folder / "wc.js", "--reduce", folder / "wc.js"],
        }
        for name, job in jobs.items():
            status = same_as_built_in_on_all_three(nodes, name, job, path, cid)
            if name == "JavaScript":
                lines = status["counters"]["user"]["text"]["lines"]
                assert lines == status["counters"]["inputRecords"], status["counters"]


def same_as_built_in_on_all_three(nodes, name, job, path, cid):
    """Counts words with a function of the first node's; gives the job's status."""
    result, digest = expected("wc", 4, path)
    got = nodes[0].run(job, 4, cid)
    assert got == result, f"{name} gave {got}, the built-in {result}"
    assert nodes[0].result(got) == digest, f"{name}: the bytes of {got} differ"
    status = nodes[0].last_job()
    busy = [worker for worker in status["workers"] if worker["tasks"]]
    assert len(busy) == 3, f"{name}: {status['workers']}"
    return status


@check
def the_examples_in_every_language_give_one_result_on_nodes_that_never_saw_them():
    built = wasm_examples()
    path = text("functions", 8 * MIB)
    examples = ROOT / "Examples"
    files = ["--file", examples / "python/map.py", "--file", examples / "python/reduce.py"]
    with master_and_two_that_allow_it_commands() as (_, nodes):
        cid = nodes[2].add(path)
        jobs = {
            "JavaScript": ["--map", examples / "javascript/wc.js"],
            "WebAssembly from C": ["--map", built / "wordcount-c.wasm"],
            "WebAssembly from Embedded Swift": ["--map", built / "wordcount-swift.wasm"],
            "WebAssembly map, JavaScript reduce": [
                "--map", built / "wordcount-c.wasm", "--combine", "none", "--reduce", examples / "javascript/wc.js"],
            "Python": ["--map-cmd", "python3 map.py", "--reduce-cmd", "python3 reduce.py", *files],
        }
        for name, job in jobs.items():
            same_as_built_in_on_all_three(nodes, name, job, path, cid)


def wasm_examples():
    """The folder of the examples in C and Swift, built with the toolchain's own compilers."""
    folder = SCRATCH / "examples"
    done = subprocess.run(["make", "-s", "-C", ROOT / "Examples", f"BUILD={folder}"], capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"the WebAssembly examples cannot be built here: {done.stderr.strip()}")
    return folder


@check
def commands_stay_at_home_unless_a_node_allows_them():
    path = text("functions", 8 * MIB)
    with cluster(2) as nodes:
        cid = nodes[1].add(path)
        job = ["--map-cmd", "tr -s '[:space:]' '\\n' | sed '/^$/d'", "--reduce", "count"]
        assert nodes[0].run(job, 4, cid) == expected("wc", 4, path)[0]
        status = nodes[0].last_job()
        assert [worker["worker"] for worker in status["workers"] if worker["tasks"]] == ["self"], status["workers"]


@check
def a_mistake_in_a_function_is_told_with_its_place_wherever_it_ran():
    path = text("functions", 8 * MIB)
    with master_and_two_that_allow_it_commands() as (folder, nodes):
        cid = nodes[2].add(path)
        try:
            nodes[0].run(["--map", folder / "bad.js"], 2, cid)
        except AssertionError as error:
            report = str(error)
        else:
            raise AssertionError("the job succeeded")
        for part in ("bad.js:3", "not this line", cid, "no newline at the end"):
            assert part in report, f"{part} is not in: {report}"
        # The job after it is served as before.
        assert nodes[0].run(["--map", folder / "wc.js"], 4, cid) == expected("wc", 4, path)[0]


@check
def eight_nodes_run_one_job():
    path = text("eight", 24 * MIB)
    with cluster(8, "--slots", "1") as nodes:
        cid = nodes[3].add(path)
        same(nodes[6], "index", 16, [cid], [path], reader=nodes[1])
        assert len(nodes[6].last_job()["workers"]) > 4


@check
def ten_jobs_at_once_from_three_masters():
    paths = [text("ten-a", 6 * MIB), text("ten-b", 6 * MIB)]
    with cluster(3) as nodes:
        cids = [nodes[index].add(path) for index, path in enumerate(paths)]
        work = [(list(JOBS)[index % 5], 1 + index % 7, index % 2) for index in range(10)]
        for job, reduces, which in work:
            expected(job, reduces, paths[which])
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            runs = [
                pool.submit(same, nodes[index % 3], job, reduces, [cids[which]], [paths[which]])
                for index, (job, reduces, which) in enumerate(work)
            ]
            for run in runs:
                run.result()


@check
def more_jobs_at_once_than_a_worker_takes_of_one_master():
    path = text("ten-a", 6 * MIB)
    with cluster(3, "--slots", "2") as nodes:
        cid = nodes[0].add(path)
        words = ["-q", "run", "--detach", "--no-cache", "--map", "wc", "--reduces"]
        jobs = {reduces: nodes[0].ctl(*words, reduces, cid).decode().split()[-1] for reduces in range(2, 44)}
        for reduces, job in jobs.items():
            wait(lambda: nodes[0].job(job)["state"] not in ("queued", "running"), 240, f"job {job}")
            status = nodes[0].job(job)
            assert status["state"] == "succeeded", status["failure"]
            assert not any(worker["failed"] or worker["excluded"] for worker in status["workers"]), status["workers"]
            if reduces in (2, 43):
                assert status["result"] == expected("wc", reduces, path)[0]


@check
def a_large_shuffle_is_reduced_on_the_workers():
    path = text("large", 72 * MIB, words=60_000)
    with cluster(3) as nodes:
        cid = nodes[0].add(path)
        same(nodes[1], "sort", 16, [cid], [path], reader=nodes[2])
        status = nodes[1].last_job()
        mapped = status["map"]["total"]
        assert sum(worker["tasks"] for worker in status["workers"]) == mapped + 16
        log = nodes[1].ctl("logs", status["id"]).decode()
        assert "on a worker" in log or status["workers"][0]["tasks"] < mapped + 16, status["workers"]


@check
def a_killed_worker_costs_time_and_nothing_else():
    path = text("killed", 48 * MIB)
    result, _ = expected("index", 4, path)
    with cluster(3) as nodes:
        cid = nodes[0].add(path)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            run = pool.submit(nodes[1].run, JOBS["index"], 4, cid)
            wait(lambda: mapped(nodes[1]) > 0 or run.done(), 60, "the first map tasks")
            nodes[2].stop(signal.SIGKILL)
            assert run.result() == result
        status = nodes[1].last_job()
        assert status["state"] == "succeeded"


@check
def a_lost_map_output_is_made_again():
    path = text("lost", 96 * MIB, words=60_000)
    result, _ = expected("sort", 4, path)
    with cluster(3) as nodes:
        cid = nodes[0].add(path)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            run = pool.submit(nodes[1].run, JOBS["sort"], 4, cid)
            # Past the runs that the master copies to itself: what the worker has now is nowhere else.
            wait(lambda: mapped(nodes[1]) >= 0.7 or run.done(), 120, "most map tasks")
            nodes[2].stop(signal.SIGKILL)
            assert run.result() == result
        log = nodes[1].ctl("logs", nodes[1].last_job()["id"]).decode()
        assert "lost worker" in log, log
        assert "made again" in log, log


@check
def workers_may_join_while_a_job_runs():
    path = text("join", 24 * MIB)
    result, _ = expected("wc", 4, path)
    with cluster(1, "--slots", "1") as nodes:
        cid = nodes[0].add(path)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            run = pool.submit(nodes[0].run, slow_job(), 4, cid)
            wait(lambda: mapped(nodes[0]) > 0 or run.done(), 60, "the first map tasks")
            late = Node(f"{nodes[0].path.parent.name}/late", "--bootstrap", nodes[0].address)
            try:
                assert run.result() == result
            finally:
                late.stop()
        assert worked(nodes[0], late), nodes[0].last_job()["workers"]


@check
def a_resumed_job_uses_workers_that_join_after_the_restart():
    path = text("join", 24 * MIB)
    result, _ = expected("wc", 4, path)
    with cluster(1, "--slots", "1") as nodes:
        cid = nodes[0].add(path)
        words = ["-q", "run", "--detach", "--no-cache", "--reduces", 4, *slow_job(), cid]
        job = nodes[0].ctl(*words).decode().split()[-1]
        wait(lambda: mapped(nodes[0]) > 0, 60, "the first map tasks")
        nodes[0].stop(signal.SIGKILL)
        name = nodes[0].path.relative_to(SCRATCH)
        nodes[0] = Node(name, "--slots", "1")
        nodes.append(Node(f"{name.parent}/late", "--bootstrap", nodes[0].address))
        wait(lambda: nodes[0].job(job)["state"] not in ("queued", "running"), 120, "the end of the job")
        status = nodes[0].job(job)
        assert status["state"] == "succeeded" and status["result"] == result, status
        assert worked(nodes[0], nodes[1]), status["workers"]


def slow_job():
    """Counts words as the built-in does, and takes a while."""
    path = SCRATCH / "slow.js"
    path.write_text(FUNCTIONS["wc.js"])
    return ["--map", path]


@check
def cat_get_and_block_get_fetch_from_another_node():
    path = text("fetch", 3 * MIB)
    with cluster(2) as nodes:
        cid = nodes[0].add(path)
        assert nodes[1].ctl("cat", cid) == path.read_bytes()
        assert nodes[1].ctl("cat", "-o", "1000000", "-l", "10", cid) == path.read_bytes()[1000000:1000010]
        raw = nodes[0].ctl("block", "put", "--cid-codec=raw", small_block()).decode().split()[-1]
        assert nodes[1].ctl("block", "get", raw) == small_block().read_bytes()


@check
def a_block_that_nobody_has_is_a_clear_error():
    path = text("nobody", 5 * MIB)
    cid = Home("unconnected").add(path)
    with cluster(2) as nodes:
        try:
            nodes[0].ctl("-q", "run", "--map", "wc", cid, timeout=90)
        except AssertionError as error:
            assert cid in str(error), error
        else:
            raise AssertionError("a job over blocks that nobody has succeeded")


@check
def strangers_run_nothing_until_they_are_named():
    path = text("strangers", 6 * MIB)
    with cluster(2, private=False) as nodes:
        cid = nodes[0].add(path)
        same(nodes[0], "wc", 4, [cid], [path])
        status = nodes[0].last_job()
        assert [worker["worker"] for worker in status["workers"]] == ["self"], status["workers"]
        assert any("no connected node runs any jobs for it" in note for note in status["notes"]), status["notes"]
        identity = nodes[0].ctl("-q", "id").decode().split()[0]
        nodes[1].ctl("policy", "allow", "--engine", "builtin", "--slots", "1", identity)
        wait(lambda: nodes[0].workers() == 1, 30, "the slots of the other node")
        same(nodes[0], "index", 4, [cid], [path])
        assert len(nodes[0].last_job()["workers"]) == 2, nodes[0].last_job()["workers"]
        nodes[1].ctl("policy", "deny", identity)
        same(nodes[0], "count", 4, [cid], [path])
        status = nodes[0].last_job()
        assert all(worker["tasks"] == 0 for worker in status["workers"][1:]), status["workers"]


@check
def commands_stay_at_home_until_their_node_is_named():
    path = text("commands", 6 * MIB)
    job = ["--map-cmd", "LC_ALL=C tr -s ' ' '\\n'", "--reduce", "count"]
    home = Home("embedded-commands")
    wanted = home.run(job, 4, home.add(path))
    with cluster(2) as nodes:
        cid = nodes[0].add(path)
        assert nodes[0].run(job, 4, cid) == wanted
        status = nodes[0].last_job()
        assert [worker["worker"] for worker in status["workers"]] == ["self"], status["workers"]
        assert any("no connected node runs commands for it" in note for note in status["notes"]), status["notes"]
        nodes[1].ctl("policy", "allow", "--commands", nodes[0].ctl("-q", "id").decode().split()[0])

        def shared():
            assert nodes[0].run(job, 4, cid) == wanted
            return len(nodes[0].last_job()["workers"]) == 2

        wait(shared, 60, "the other node to run commands")


@check
def nodes_in_network_namespaces():
    with namespaces(3) as places:
        nodes = []
        try:
            for index, (prefix, address) in enumerate(places):
                bootstrap = ["--bootstrap", nodes[0].address] if nodes else []
                nodes.append(Node(f"ns{index}", *bootstrap, listen=f"/ip4/{address}/tcp/4001", prefix=prefix))
            wait(lambda: all(node.workers() == 2 for node in nodes), 30, "all nodes to know each other")
            path = text("namespaces", 12 * MIB)
            cid = nodes[2].add(path)
            for job in ("wc", "sort"):
                same(nodes[0], job, 4, [cid], [path], reader=nodes[1])
            path = text("large", 72 * MIB, words=60_000)
            cid = nodes[1].add(path)
            same(nodes[0], "sort", 16, [cid], [path])
        finally:
            for node in nodes:
                node.stop()


def worked(master, node):
    """Whether a node did tasks of the master's newest job."""
    identity = node.address.split("/")[-1]
    return any(worker["worker"] == identity and worker["tasks"] > 0 for worker in master.last_job()["workers"])


def mapped(node):
    """Share of the map tasks of the newest job that are done."""
    jobs = node.ctl("-q", "jobs").decode().split()
    if not jobs:
        return 0
    progress = node.job(jobs[0])["map"]
    return progress["done"] / progress["total"] if progress["total"] else 0


def small_block():
    path = SCRATCH / "block"
    path.write_bytes(bytes(range(256)) * 100)
    return path


@contextlib.contextmanager
def namespaces(count):
    """Network namespaces on one bridge, each with an address of its own."""
    tag = f"pn{os.getpid() % 10000}"
    made = []

    def ip(*words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            raise Skipped(f"ip {' '.join(words)}: {done.stderr.strip()}")

    if not shutil.which("ip") or os.geteuid() != 0:
        raise Skipped("needs ip and root")
    try:
        ip("netns", "add", f"{tag}hub")
        made.append(f"{tag}hub")
        ip("-n", f"{tag}hub", "link", "add", "hub", "type", "bridge")
        ip("-n", f"{tag}hub", "link", "set", "hub", "up")
        places = []
        for index in range(count):
            name = f"{tag}{index}"
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{index}", "netns", f"{tag}hub")
            ip("-n", f"{tag}hub", "link", "set", f"port{index}", "master", "hub", "up")
            ip("-n", name, "addr", "add", f"10.77.0.{index + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            places.append((["ip", "netns", "exec", name], f"10.77.0.{index + 1}"))
        yield places
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for function in CHECKS:
        name = function.__name__
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        start = time.monotonic()
        note = ""
        try:
            function()
            outcome = "passed"
        except Skipped as reason:
            outcome, note = "skipped", f": {reason}"
        except Exception as error:
            outcome, note = "failed", f": {error}"
            if arguments.verbose:
                traceback.print_exc()
        counts[outcome] += 1
        print(f"{outcome:8} {name.replace('_', ' ')} ({time.monotonic() - start:.1f} s){note}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the built peernode and peerctl")
    parser.add_argument("--only", action="append", help="run only checks whose name contains this")
    parser.add_argument("--seed", default="1", help="of the texts")
    parser.add_argument("--keep", action="store_true", help="keep homes and logs")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    BIN, SEED = pathlib.Path(arguments.bin).resolve(), arguments.seed
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="peernode-cluster-"))
    try:
        raise SystemExit(main())
    finally:
        if arguments.keep:
            print(f"kept {SCRATCH}")
        else:
            shutil.rmtree(SCRATCH, ignore_errors=True)
