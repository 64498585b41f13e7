#!/usr/bin/env python3
"""Holds a running peernode against go-libp2p, py-libp2p and byte-level probes, on loopback.

    run.py --bin .build/debug [--only NAME]…      (make interop sets the peers up and calls this)

Every check starts what it needs and stops it. Ends with "N passed, N failed" and exit code 1 when one failed.
"""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

import wire

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = sys.executable
ECHO = "/bench/echo/1"
BLOCK_SIZES = [1, 1000, 1024, 1025, 65536, 262144, 1 << 20, 2 << 20]
# Read only after our half-close, so all of it has to fit in the two windows of 256 KiB.
HALF_CLOSED_SIZE = 200_000
CHECKS = []
RUNNING = []


def check(function):
    CHECKS.append(function)
    return function


class Node:
    """A peernode on loopback with a home of its own, and the peerctl that talks to it."""

    def __init__(self, name, *flags):
        self.home = pathlib.Path(SCRATCH.name) / name
        self.log = open(SCRATCH.name + f"/{name}.log", "wb")
        command = [BIN / "peernode", "--home", self.home, "--listen", "/ip4/127.0.0.1/tcp/0", "--diagnostics", *flags]
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=self.log, text=True)
        RUNNING.append(self.process)
        self.address = None
        for line in self.process.stdout:
            if line.startswith("listening "):
                self.address = self.address or line.split()[1]
            if line.strip() == "ready":
                break
        if not self.address:
            raise AssertionError(f"{name} printed no listening line; its log is {self.log.name}")
        self.peer = self.address.rsplit("/", 1)[1]

    def ctl(self, *words, data=None, timeout=60):
        command = [str(BIN / "peerctl"), "--home", str(self.home), *map(str, words)]
        done = subprocess.run(command, input=data, capture_output=True, timeout=timeout)
        assert done.returncode == 0, f"peerctl {' '.join(map(str, words))}: {done.stderr.decode(errors='replace').strip()}"
        return done.stdout

    def put(self, block):
        return self.ctl("block", "put", "--cid-codec=raw", "-", data=block).decode().split()[-1]

    def fails(self, *words, timeout=60):
        """What peerctl says on the way to an exit code other than 0."""
        command = [str(BIN / "peerctl"), "--home", str(self.home), *map(str, words)]
        done = subprocess.run(command, capture_output=True, timeout=timeout)
        assert done.returncode != 0, f"peerctl {' '.join(map(str, words))} succeeded"
        return done.stderr.decode(errors="replace")

    def counters(self):
        return json.loads(self.ctl("status", "--json"))["counters"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        assert code == 0, f"the node ended with {code}; its log is {self.log.name}"


class Script:
    """One of the peers in this folder, kept up until the check ends."""

    def __init__(self, name, *words):
        command = [PYTHON, str(HERE / name), *map(str, words), "--serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        RUNNING.append(self.process)
        self.address = None
        self.serving = []

    def until(self, pattern):
        for line in self.process.stdout:
            address = re.search(r"/ip4/\S+/p2p/\S+", line)
            if address:
                self.address = address.group()
            if line.startswith("serving"):
                self.serving.append(line.split()[1])
            if re.search(pattern, line):
                return self
        raise AssertionError(f"{self.process.args} ended early")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=15)


def script(name, *words, timeout=180):
    done = subprocess.run([PYTHON, str(HERE / name), *map(str, words)], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{name} {' '.join(map(str, words))}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def block(size, salt=0):
    """Bytes that no other check uses, the same on every run."""
    return hashlib.shake_256(f"{size}/{salt}".encode()).digest(size)


def block_file(size, salt):
    path = pathlib.Path(SCRATCH.name) / f"block-{size}-{salt}"
    path.write_bytes(block(size, salt))
    return path


# ---------------------------------------------------------------- the wire, byte by byte
@check
def wire_probe():
    """Every byte-level check of the probe against our listener."""
    node = Node("probe")
    out = script("wire_probe.py", node.address, "--echo", ECHO, timeout=300)
    assert "FAIL" not in out, out
    node.stop()


@check
def wire_probe_listens():
    """Our dialer against the probe's listener: security, muxer, identify."""
    node = Node("dials-probe")
    probe = subprocess.Popen(
        [PYTHON, str(HERE / "wire_probe.py"), "--listen", "14301", "--seconds", "5"], stdout=subprocess.PIPE, text=True
    )
    RUNNING.append(probe)
    address = None
    for line in probe.stdout:
        found = re.search(r"/ip4/\S+/p2p/\S+", line)
        if found:
            address = found.group()
            break
    node.ctl("connect", address)
    rest = probe.stdout.read()
    assert probe.wait(timeout=30) == 0, rest
    assert "/ipfs/id/1.0.0" in rest, rest
    node.stop()


# ---------------------------------------------------------------- peers connect to us
@check
def go_connects():
    """go-libp2p: identify, ping, an echo of 64 MB."""
    node = Node("go-in")
    out = script("go_peer.py", "--connect", node.address, "--identify", "--ping", 10, "--echo", ECHO, "--size", 64_000_000)
    for word in ("/ipfs/bitswap/1.2.0", "/mapreduce/1", "/ipfs/ping/1.0.0", "ping ms", "64000000 bytes ok"):
        assert word in out, out
    node.stop()


@check
def py_connects():
    """py-libp2p: identify, ping, an echo of 64 MB, half-close."""
    node = Node("py-in")
    out = script("py_peer.py", "--dial", node.address, "--identify", "--ping", 10, "--echo", ECHO, "--size", 64_000_000)
    assert "/mapreduce/1" in out and "64000000 bytes ok" in out, out
    out = script("py_peer.py", "--dial", node.address, "--half-close", ECHO, "--size", HALF_CLOSED_SIZE)
    assert "half-close echo" in out, out
    node.stop()


# ---------------------------------------------------------------- we connect to peers
def dial_and_echo(peer, name):
    node = Node(name)
    peer_id = peer.address.rsplit("/", 1)[1]
    node.ctl("connect", peer.address)
    peers = node.ctl("peers").decode()
    assert peer_id in peers, peers
    node.ctl("ping", "-n", 5, peer_id)
    out = node.ctl("diag", "echo", "--size", 64_000_000, peer_id, timeout=120).decode()
    assert "64000000" in out, out
    return node, peer_id


def part(node, peer, peer_id):
    node.ctl("disconnect", peer_id)
    node.stop()
    peer.stop()


@check
def we_dial_go():
    """Our dialer against go-libp2p: identify, ping, an echo of 64 MB."""
    peer = Script("go_peer.py", "--port", 14011, "--serve-echo", ECHO).until("/p2p/")
    node, peer_id = dial_and_echo(peer, "go-out")
    part(node, peer, peer_id)


@check
def we_dial_py():
    """Our dialer against py-libp2p: identify, ping, an echo of 64 MB, and one that is read after our half-close."""
    peer = Script("py_peer.py", "--port", 14111, "--serve-echo", ECHO).until("/p2p/")
    node, peer_id = dial_and_echo(peer, "py-out")
    out = node.ctl("diag", "echo", "--half-close", "--size", HALF_CLOSED_SIZE, peer_id).decode()
    assert str(HALF_CLOSED_SIZE) in out, out
    part(node, peer, peer_id)


@check
def another_peer_id():
    """An address that names another peer than the one that answers is refused, and counted."""
    peer = Script("go_peer.py", "--port", 14012).until("/p2p/")
    node = Node("wrong-id")
    other = Node("other-id")
    wrong = peer.address.rsplit("/", 1)[0] + "/" + other.peer
    message = node.fails("connect", wrong)
    assert peer.address.rsplit("/", 1)[1] in message, message
    assert node.counters()["dials failed"]["wrong peer id"] >= 1, node.counters()
    for each in (node, other, peer):
        each.stop()


# ---------------------------------------------------------------- private networks
def swarm_key(name, byte):
    path = pathlib.Path(SCRATCH.name) / f"{name}.key"
    path.write_text(f"/key/swarm/psk/1.0.0/\n/base16/\n{byte * 32}\n")
    return path


@check
def private_network():
    """py-libp2p behind an XSalsa20 of its own: echo both ways with the same swarm.key, nothing with another or none."""
    node = Node("pnet", "--swarm-key", swarm_key("pnet", "5a"))
    script("py_peer.py", "--swarm-key", "5a" * 32, "--dial", node.address, "--identify", "--echo", ECHO, "--size", 5_000_000)
    peer = Script("py_peer.py", "--port", 14113, "--swarm-key", "5a" * 32, "--serve-echo", ECHO).until("/p2p/")
    node.ctl("connect", peer.address)
    out = node.ctl("diag", "echo", "--size", 5_000_000, peer.address.rsplit("/", 1)[1]).decode()
    assert "5000000" in out, out
    for words in (["--swarm-key", "5b" * 32], []):
        stranger = [PYTHON, str(HERE / "py_peer.py"), *words, "--dial", node.address, "--identify"]
        # Without a key it waits for more than it is told: whether we let go of it is what counts, below.
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(stranger, capture_output=True, timeout=20)
            assert done.returncode != 0, f"connected with {words}"
    other = Node("pnet-other", "--swarm-key", swarm_key("other", "5b"))
    other.fails("connect", node.address)
    assert sum(node.counters()["inbound handshakes failed"].values()) >= 3, node.counters()
    for each in (node, other, peer):
        each.stop()


# ---------------------------------------------------------------- bitswap
@check
def py_fetches_from_us():
    """py-libp2p's bitswap client, for blocks of every size."""
    node = Node("py-want")
    cids = [node.put(block(size, 1)) for size in BLOCK_SIZES]
    out = script("py_peer.py", "--dial", node.address, *[word for cid in cids for word in ("--want", cid)])
    assert out.count("verified") == len(cids), out
    node.stop()


@check
def kubo_like_fetches_from_us():
    """boxo's habits: HAVE, DONT_HAVE, blocks on streams that we open."""
    node = Node("kubo-want")
    cids = [node.put(block(size, 2)) for size in BLOCK_SIZES]
    absent = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    words = [word for cid in cids for word in ("--want", cid)]
    out = script("kubo_like.py", "--connect", node.address, *words, "--have", cids[-1], "--have", absent)
    assert out.count("verified") == len(cids), out
    assert f"have {cids[-1]} HAVE" in out and f"have {absent} DONT_HAVE" in out, out
    node.stop()


def fetch_from(peer, name, salt):
    node = Node(name)
    node.ctl("connect", peer.address)
    for size, cid in zip(BLOCK_SIZES, peer.serving):
        assert node.ctl("block", "get", cid) == block(size, salt), f"{size} bytes came back wrong"
    node.stop()
    peer.stop()


@check
def we_fetch_from_kubo_like():
    """Our bitswap client against boxo's habits."""
    files = [word for size in BLOCK_SIZES for word in ("--serve-block", block_file(size, 3))]
    peer = Script("kubo_like.py", "--port", 14211, *files)
    while len(peer.serving) < len(BLOCK_SIZES):
        peer.until("serving")
    fetch_from(peer, "kubo-serve", 3)


@check
def we_fetch_from_py():
    """Our bitswap client against py-libp2p, which answers on the stream that we opened (blocks up to 512 KiB)."""
    global BLOCK_SIZES
    sizes, BLOCK_SIZES = BLOCK_SIZES, [size for size in BLOCK_SIZES if size <= 512 << 10]
    try:
        files = [word for size in BLOCK_SIZES for word in ("--serve-block", block_file(size, 4))]
        peer = Script("py_peer.py", "--port", 14112, *files)
        while len(peer.serving) < len(BLOCK_SIZES):
            peer.until("serving|/p2p/")
        if not peer.address:
            peer.until("/p2p/")
        fetch_from(peer, "py-serve", 4)
    finally:
        BLOCK_SIZES = sizes


@check
def version_0_cids():
    """CIDv0, as most files of IPFS have: fetched from us, and by us, under their Qm… names."""
    node = Node("v0")
    data = block(700, 5)
    dag_pb = node.ctl("block", "put", "--cid-codec=dag-pb", "-", data=pb_node(data)).decode().split()[-1]
    name = node.ctl("cid", "-v", "0", dag_pb).decode().split()[-1]
    assert name.startswith("Qm"), name
    out = script("kubo_like.py", "--connect", node.address, "--have", name, "--want", name)
    assert "verified" in out and f"have {name} BLOCK" in out, out
    path = pathlib.Path(SCRATCH.name) / "v0-block"
    path.write_bytes(pb_node(block(3000, 6)))
    for number, words in enumerate((["kubo_like.py", "--port", 14212], ["py_peer.py", "--port", 14114])):
        peer = Script(*words, "--cid-v0", "--serve-block", path)
        peer.until("serving")
        if not peer.address:
            peer.until("/p2p/")
        fetcher = Node(f"v0-{number}")
        fetcher.ctl("connect", peer.address)
        assert fetcher.ctl("block", "get", peer.serving[0]) == path.read_bytes()
        fetcher.stop()
        peer.stop()
    node.stop()


def pb_node(data):
    """A UnixFS file of one block, as dag-pb."""
    unixfs = wire.pb_uint(1, 2) + wire.pb_bytes(2, data) + wire.pb_uint(3, len(data))
    return wire.pb_bytes(1, unixfs)


@check
def block_nobody_has():
    """A block that no peer has ends with an error that names it, not with a hang."""
    peer = Script("kubo_like.py", "--port", 14213).until("/p2p/")
    node = Node("absent")
    node.ctl("connect", peer.address)
    absent = wire.cid_text(wire.cid_v1_raw(b"in no store at all"))
    message = node.fails("block", "get", absent, timeout=90)
    assert absent in message, message
    node.stop()
    peer.stop()


# ---------------------------------------------------------------- /mapreduce/1
@check
def mapreduce_from_python():
    """/mapreduce/1 through go-libp2p, with the classes that protoc makes of docs/mapreduce.proto."""
    classes = pathlib.Path(SCRATCH.name) / "classes"
    classes.mkdir()
    docs = HERE.parent.parent / "docs"
    subprocess.run(["protoc", f"--proto_path={docs}", f"--python_out={classes}", "mapreduce.proto"], check=True)
    node = Node("mapreduce")
    text = b"the quick brown fox jumps over the lazy dog\n" * 1000
    cid = node.put(text)
    words = [node.address, "--classes", classes, "--cid", cid, "--size", len(text)]
    out = script("mapreduce_call.py", *words, "--stranger", timeout=120)
    assert out.count("ok  ") == 2, out
    node.ctl("policy", "allow", "others", "--engine", "builtin")
    out = script("mapreduce_call.py", *words, timeout=120)
    assert out.count("ok  ") == 13, out
    node.stop()


@contextlib.contextmanager
def scratch(keep):
    folder = tempfile.mkdtemp(prefix="peernode-interop-")
    try:
        yield folder
    finally:
        if keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def main():
    global BIN, SCRATCH
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of peernode and peerctl")
    parser.add_argument("--only", action="append", help="names of checks")
    parser.add_argument("--keep", action="store_true", help="keep homes and logs")
    arguments = parser.parse_args()
    BIN = arguments.bin.resolve()
    passed, failed = 0, 0
    with scratch(arguments.keep) as folder:
        SCRATCH = argparse.Namespace(name=folder)
        for function in CHECKS:
            if arguments.only and function.__name__ not in arguments.only:
                continue
            try:
                function()
                passed += 1
                print(f"ok    {function.__name__}: {function.__doc__}", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL  {function.__name__}: {traceback.format_exc()}", flush=True)
            finally:
                for process in RUNNING:
                    if process.poll() is None:
                        process.kill()
                        process.wait()
                RUNNING.clear()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
