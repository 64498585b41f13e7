#!/usr/bin/env python3
"""/mapreduce/1 called from Python through go-libp2p, with the classes that protoc makes of docs/mapreduce.proto.

    mapreduce_call.py MULTIADDR --classes FOLDER --cid CID --size N [--port 14301]

FOLDER holds mapreduce_pb2.py; CID is a raw block of N bytes of text that the node stores. Calls hello, have, gossip,
cancel, job status, a call that no version knows, bytes that are no message, and a map task whose receipt is checked.
With --stranger: the node allows us nothing, and says so.
"""
from __future__ import annotations

import argparse
import hashlib
import sys

import wire
from go_peer import GoPeer, exit_on_sigterm, recv_delimited

PROTOCOL = "/mapreduce/1"


def cbor_head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | code]) + value.to_bytes(size, "big")
    raise ValueError(value)


def dag_cbor(value) -> bytes:
    """Canonical dag-cbor of the types a job specification has; bytes are a link's CID."""
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return cbor_head(0, value)
    if isinstance(value, str):
        return cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return b"\xd8\x2a" + cbor_head(2, len(value) + 1) + b"\0" + value
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(dag_cbor, value))
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    return cbor_head(5, len(keys)) + b"".join(dag_cbor(key) + dag_cbor(value[key]) for key in keys)


class Caller:
    def __init__(self, go: GoPeer, peer: str, pb):
        self.go, self.peer, self.pb = go, peer, pb

    def raw(self, request: bytes) -> list:
        """All answers to one request."""
        stream, _ = self.go.open_stream(self.peer, [PROTOCOL])
        answers = []
        with stream:
            stream.settimeout(60)
            stream.sendall(wire.delimited(request))
            while True:
                try:
                    answer = self.pb.Response.FromString(recv_delimited(stream))
                except (EOFError, ConnectionResetError):
                    return answers
                answers.append(answer)
                if answer.WhichOneof("answer") != "progress":
                    return answers

    def call(self, **fields):
        return self.raw(self.pb.Request(**fields).SerializeToString())[-1]


def check(name: str, holds: bool, detail) -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {name}: {str(detail).strip()[:400]}", flush=True)
    if not holds:
        sys.exit(1)


def task_head(pb, engine: str, cid: bytes):
    """A word count of the block, as the head of its first task."""
    spec = dag_cbor({
        "type": "mapreduce-job", "version": 1, "map": "wc", "combine": "sum", "reduce": "sum", "reduces": 4,
        "format": "words", "output": "text", "args": {}, "inputs": [{"name": "text", "root": cid}],
        "recordLimit": 1 << 24, "skipLong": False,
    })
    job = b"\x01\x71\x12\x20" + hashlib.sha256(spec).digest()
    return pb.TaskHead(job=job, spec=spec, attempt=7, key=b"from python", engine=engine)


def stranger(caller: Caller, cid: bytes, size: int) -> None:
    pb = caller.pb
    hello = caller.call(hello=pb.Hello(version=1, agent="python/1")).hello
    check("a stranger is offered no slots", hello.slots == 0 and len(hello.engines) > 0, hello)
    segment = pb.Segment(file_name="text", leaves=[pb.Leaf(cid=cid, byte_count=size)], reaches_end=True)
    task = pb.MapTask(head=task_head(pb, hello.engines[0], cid), segments=[segment])
    refused = caller.call(map=task)
    check("a stranger's task is not allowed, and the answer says why",
          refused.failure.code == pb.Failure.NOT_ALLOWED and "strangers" in refused.failure.message, refused)


def map_task(caller: Caller, master: bytes, engine: str, cid: bytes, size: int) -> None:
    pb = caller.pb
    head = task_head(pb, engine, cid)
    job, spec = head.job, head.spec
    segment = pb.Segment(file_name="text", leaves=[pb.Leaf(cid=cid, byte_count=size)], reaches_end=True)
    answers = caller.raw(pb.Request(map=pb.MapTask(head=head, segments=[segment])).SerializeToString())
    last = answers[-1]
    check("a map task gives a result", last.WhichOneof("answer") == "result", last)
    envelope = wire.pb_all(last.result.receipt)
    signer, kind = wire.pb_one(envelope, 1), wire.pb_one(envelope, 2)
    payload, signature = wire.pb_one(envelope, 3), wire.pb_one(envelope, 5)
    wire.verify_ed25519(signer, signature, wire.envelope_signed_bytes(b"mapreduce-receipt", kind, payload))
    receipt = pb.Receipt.FromString(payload)
    worker = wire.parse_peer_id(caller.peer)
    check("its receipt is the worker's own", kind == b"/mapreduce/receipt/1" and receipt.worker == worker
          and wire.peer_id_of(signer) == worker, kind)
    check("its receipt is for this task", (receipt.kind, receipt.job, receipt.key, receipt.attempt, receipt.master)
          == (pb.Receipt.MAP, job, b"from python", 7, master), receipt.key)
    check("it counted the input", receipt.counters.input_bytes == size and receipt.output.byte_count > 0,
          receipt.counters)
    missing = wire.cid_v1_raw(b"nobody stores this block")
    segment.leaves[0].cid = missing
    head.attempt = 8
    failed = caller.raw(pb.Request(map=pb.MapTask(head=head, segments=[segment])).SerializeToString())[-1]
    check("a map task over a block that nobody has fails with its name",
          failed.failure.code == pb.Failure.BLOCK_UNAVAILABLE and failed.failure.cid == missing, failed)
    head.spec = spec + b"\0"
    failed = caller.raw(pb.Request(map=pb.MapTask(head=head, segments=[segment])).SerializeToString())[-1]
    check("a specification that is not its CID's is refused", failed.failure.code == pb.Failure.MALFORMED, failed)


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("address")
    ap.add_argument("--classes", required=True)
    ap.add_argument("--cid", required=True)
    ap.add_argument("--size", type=int, required=True)
    ap.add_argument("--port", type=int, default=14301)
    ap.add_argument("--stranger", action="store_true")
    a = ap.parse_args()
    exit_on_sigterm()
    sys.path.insert(0, a.classes)
    import mapreduce_pb2 as pb

    cid = wire.cid_parse(a.cid)
    missing = wire.cid_v1_raw(b"not stored anywhere")
    with GoPeer(a.port, f"mapreduce-{a.port}") as go:
        caller = Caller(go, go.connect(a.address), pb)
        if a.stranger:
            stranger(caller, cid, a.size)
            return 0
        hello = caller.call(hello=pb.Hello(version=1, agent="python/1"))
        check("hello", hello.hello.version == 1 and hello.hello.agent.startswith("peernode/")
              and hello.hello.slots > 0, hello)
        have = caller.call(have=pb.Have(cids=[missing, cid, missing]))
        check("have", have.have.bitmap == b"\x02", have.have.bitmap.hex())
        gossip = caller.call(gossip=pb.Gossip())
        records = [wire.open_peer_record(record) for record in gossip.gossip.records]
        check("gossip", gossip.WhichOneof("answer") == "gossip", f"{len(records)} records, all signatures right")
        cancel = caller.call(cancel=pb.Cancel(attempt=99))
        check("cancel of nothing", cancel.WhichOneof("answer") == "cancel" and not cancel.cancel.was_running, "")
        unknown_job = caller.call(job_status=pb.JobStatusRequest(job=cid))
        check("status of no job", unknown_job.failure.code == pb.Failure.UNKNOWN_JOB, unknown_job)
        future = caller.raw(wire.pb_bytes(1000, b"a call of a later version"))[-1]
        check("a call of a later version", future.failure.code == pb.Failure.UNKNOWN_CALL, future)
        garbage = caller.raw(b"\x0a\xff\xff\xff\x7f")[-1]
        check("bytes that are no message", garbage.failure.code == pb.Failure.MALFORMED, garbage)
        map_task(caller, go.identity.peer_id, hello.hello.engines[0], cid, a.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
