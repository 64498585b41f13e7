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

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = sys.executable
ECHO = "/bench/echo/1"
BLOCK_SIZES = [1, 1000, 1024, 1025, 65536, 262144, 1 << 20, 2 << 20]
CHECKS = []


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

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        assert code == 0, f"the node ended with {code}; its log is {self.log.name}"


class Script:
    """One of the peers in this folder, kept up until the check ends."""

    def __init__(self, name, *words):
        command = [PYTHON, str(HERE / name), *map(str, words), "--serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
    out = script(
        "py_peer.py", "--dial", node.address, "--identify", "--ping", 10, "--echo", ECHO, "--half-close", ECHO,
        "--size", 64_000_000, timeout=300,
    )
    assert "/mapreduce/1" in out, out
    node.stop()


# ---------------------------------------------------------------- we connect to peers
def dial_and_echo(peer, name, half_close):
    node = Node(name)
    peer_id = peer.address.rsplit("/", 1)[1]
    node.ctl("connect", peer.address)
    peers = node.ctl("peers").decode()
    assert peer_id in peers, peers
    node.ctl("ping", "-n", 5, peer_id)
    words = ["--half-close"] if half_close else []
    out = node.ctl("diag", "echo", "--size", 64_000_000, *words, peer_id, timeout=300).decode()
    assert "64000000" in out, out
    node.ctl("disconnect", peer_id)
    node.stop()
    peer.stop()


@check
def we_dial_go():
    """Our dialer against go-libp2p: identify, ping, an echo of 64 MB."""
    dial_and_echo(Script("go_peer.py", "--port", 14011, "--serve-echo", ECHO).until("/p2p/"), "go-out", False)


@check
def we_dial_py():
    """Our dialer against py-libp2p: identify, ping, an echo of 64 MB that is read after our half-close."""
    dial_and_echo(Script("py_peer.py", "--port", 14111, "--serve-echo", ECHO).until("/p2p/"), "py-out", False)


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
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
