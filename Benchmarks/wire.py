"""The rows «wire» of measure.py: go-libp2p's p2pd as client of another p2pd and of peernode, by turns.

usage: wire.py BIN SCRATCH MIB ROUNDS   (with the Python and the environment of Tests/Interop/setup.sh)

Prints one JSON array a line: name, what go took, what ours took, ratios ours / go of each round. CPU is the server's own
seconds for each GB: the client and the pipe to it take the same either way. The rows of streams opened here turn it round:
a go client and ours, of one go server. Memory has no other side.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

BIN, SCRATCH, MIB, ROUNDS = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
INTEROP = pathlib.Path(__file__).resolve().parent.parent / "Tests/Interop"
sys.path.insert(0, str(INTEROP))

from go_peer import GoPeer, pump_sink, pump_source  # noqa: E402
from throughput import ECHO, PING, SINK, SOURCE, cpu_of, go_download, go_opens, go_trips, go_upload  # noqa: E402
import rawnode  # noqa: E402


class Node:
    def __init__(self, name):
        self.home = SCRATCH / name
        command = [BIN / "peernode", "--home", self.home, "--listen", "/ip4/127.0.0.1/tcp/0", "--diagnostics"]
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("listening "):
                self.address = line.split()[1]
            if line.strip() == "ready":
                break
        self.pid = self.process.pid

    def ctl(self, *words):
        command = [BIN / "peerctl", "--home", self.home, *words]
        return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout

    def memory(self):
        status = open(f"/proc/{self.pid}/status").read()
        return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=15)


def emit(name, go, ours, ratios):
    print(json.dumps([name, go, ours, ratios]), flush=True)


def middle(values):
    return sorted(values)[len(values) // 2]


def streams(go, ours):
    """Every measurement against both servers by turns, on one connection each."""
    with GoPeer(14501, "bench-go-client") as client:
        servers = []
        for address, pid in ((go.addr, go.proc.pid), (ours.address, ours.pid)):
            peer = client.connect(address)
            for transfer in (go_upload, go_download):
                transfer(client, peer, 8 << 20)  # opens the windows
            servers.append((peer, pid))
        for name, transfer in (("one stream in", go_upload), ("one stream out", go_download)):
            rates, costs = ([], []), ([], [])
            for _ in range(ROUNDS):
                for index, (peer, pid) in enumerate(servers):
                    before = cpu_of(pid)
                    wall = transfer(client, peer, MIB << 20)
                    rates[index].append((MIB << 20) / wall / 1e6)
                    costs[index].append((cpu_of(pid) - before) / (MIB << 20) * 1e9)
            emit(f"{name}, wall", f"{middle(rates[0]):.0f} MB/s", f"{middle(rates[1]):.0f} MB/s",
                 [a / b for a, b in zip(*rates)])
            emit(f"{name}, server's CPU", f"{middle(costs[0]):.2f} s/GB", f"{middle(costs[1]):.2f} s/GB",
                 [b / a for a, b in zip(*costs)])
        trips = (("pings on one stream", lambda p: go_trips(client, p, PING, 1, 2)[0]),
                 ("echoes on 32 streams", lambda p: go_trips(client, p, ECHO, 32, 2)[0]),
                 ("streams opened, pinged, closed", lambda p: go_opens(client, p, 500)))
        for name, measure in trips:
            rates = ([], [])
            for _ in range(ROUNDS):
                for index, (peer, _) in enumerate(servers):
                    rates[index].append(measure(peer))
            emit(name, f"{middle(rates[0]):.0f}/s", f"{middle(rates[1]):.0f}/s", [a / b for a, b in zip(*rates)])


def go_echo(client, peer, size):
    """Sends bytes and reads them back at once."""
    stream, _ = client.open_stream(peer, [ECHO])
    with stream:
        stream.settimeout(300)
        buffer, left, chunk, start = bytearray(1 << 20), size, bytes(1 << 20), time.perf_counter()
        sender = threading.Thread(target=lambda: [stream.sendall(chunk) for _ in range(size >> 20)], daemon=True)
        sender.start()
        while left:
            count = stream.recv_into(buffer)
            if not count:
                raise EOFError
            left -= count
        sender.join()
        return time.perf_counter() - start


def dialing(go, ours):
    """Streams that we open: go's client and ours echo through the same go server, by turns."""
    with GoPeer(14501, "bench-go-client") as client:
        peer = client.connect(go.addr)
        ours.ctl("connect", go.addr)

        def our_echo(size):
            start = time.perf_counter()
            ours.ctl("-q", "diag", "echo", "--size", size, peer)
            return time.perf_counter() - start

        ends = ((client.proc.pid, lambda size: go_echo(client, peer, size)), (ours.pid, our_echo))
        for _, echo in ends:
            echo(8 << 20)  # opens the windows
        rates, costs, size = ([], []), ([], []), (MIB // 4) << 20
        for _ in range(ROUNDS):
            for index, (pid, echo) in enumerate(ends):
                before = cpu_of(pid)
                rates[index].append(size / echo(size) / 1e6)
                costs[index].append((cpu_of(pid) - before) / size * 1e9)
        emit("echo on a stream opened here, wall", f"{middle(rates[0]):.0f} MB/s", f"{middle(rates[1]):.0f} MB/s",
             [a / b for a, b in zip(*rates)])
        emit("echo on a stream opened here, dialer's CPU", f"{middle(costs[0]):.2f} s/GB", f"{middle(costs[1]):.2f} s/GB",
             [b / a for a, b in zip(*costs)])


def memory():
    node = Node("memory")
    warm = [rawnode.dial(node.address, seed=os.urandom(32).hex()) for _ in range(20)]
    time.sleep(2)
    before, count = node.memory(), 200
    idle = [rawnode.dial(node.address, seed=os.urandom(32).hex()) for _ in range(count)]
    time.sleep(2)
    emit("memory of an idle connection", "-", f"{(node.memory() - before) / count / 1024:.1f} KiB",
         [(node.memory() - before) / count / 65_536])
    before, count = node.memory(), 0
    held = []
    for connection in idle[:8]:
        for _ in range(200):
            held.append(connection.open(ECHO))
            count += 1
    time.sleep(2)
    emit("memory of an open stream", "-", f"{(node.memory() - before) / count / 1024:.2f} KiB",
         [(node.memory() - before) / count / 8_192])
    for connection in warm + idle:
        connection.close()
    node.stop()


def main():
    ours = Node("streams")
    with GoPeer(14502, "bench-go-server") as go:
        go.serve(SINK, lambda c, _p: pump_sink(c))
        go.serve(SOURCE, lambda c, _p: pump_source(c))
        go.serve_echo(ECHO)
        streams(go, ours)
        dialing(go, ours)
    ours.stop()
    memory()


main()
