#!/usr/bin/env python3
"""Writes messages.txt: one message of every kind, encoded by Google's protobuf from docs/peer.proto, without the project's code.

Needs the Python package `grpcio-tools`, which brings protoc. Each line: a name and the encoded message in hexadecimal.
"""
import hashlib
import importlib
import os
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(FOLDER, "..", "..", "docs")
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MAX = (1 << 64) - 1


def compiled():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{DOCS}", f"--python_out={folder}", "peer.proto"], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module("peer_pb2")


def sha256(text):
    return hashlib.sha256(text.encode()).digest()


def ids(*numbers):
    return b"".join(sha256(f"identifier {n}") for n in numbers)


offer = dict(role=4, free=1, reserve=127, quota=128, used=16384, granted=1 << 32, wanted=MAX, generation=300)
seven, far = dict(request=7), dict(request=MAX)
to_seven, to_far = dict(answer=7), dict(answer=MAX)
sample = {
    "hello": dict(hello=dict(features=5, offer=offer)),
    "hello-least": dict(hello=dict(offer=dict(role=1))),
    "offer": dict(offer=offer),
    "ping": dict(ping=dict(value=1)),
    "pong": dict(pong=dict(value=MAX)),
    "credit": dict(credit=dict(value=MIB)),
    "goodbye": dict(goodbye=dict(code=7, reason="zurück")),
    "goodbye-least": dict(goodbye=dict(code=1)),
    "ask-vault": dict(seven, ask_vault={}),
    "have": dict(seven, have=dict(kind=1, ids=ids(1, 2, 3))),
    "put": dict(far, put=dict(kind=1, id=ids(1), total_bytes=16 * MIB, offset=4096)),
    "put-ask": dict(seven, put=dict(kind=4, id=ids(4), total_bytes=5000)),
    "get": dict(seven, get=dict(kind=3, id=ids(1), length_bytes=MIB)),
    "get-far": dict(seven, get=dict(kind=2, id=ids(1), offset=16000, length_bytes=1)),
    "list": dict(seven, list={}),
    "list-after": dict(seven, list=dict(after=ids(5))),
    "commit": dict(seven, commit=dict(draft=ids(6))),
    "commit-full": dict(seven, commit=dict(draft=ids(6), based_on=ids(7), replacement=True)),
    "forget": dict(seven, forget={}),
    "sweep": dict(seven, sweep={}),
    "audit": dict(seven, audit=dict(seed=sha256("seed"), packs=ids(1, 2))),
    "reserve": dict(seven, reserve=dict(bytes=5 * GIB)),
    "reserve-nothing": dict(seven, reserve={}),
    "pair": dict(seven, pair=dict(quota_bytes=10 * GIB, device=ids(8), name="läptop")),
    "unpair": dict(seven, unpair={}),
    "recover": dict(seven, recover=dict(owner=ids(9), signature=sha256("first") + sha256("second"))),
    "failed": dict(to_seven, failed=dict(code=2, reason="the quota of 10 GB is full")),
    "vault": dict(to_seven, vault=dict(
        exists=True, generation=4, packs=3, snapshots=2, used_bytes=1 << 40, quota_bytes=MAX)),
    "no-vault": dict(to_seven, vault={}),
    "missing": dict(to_seven, missing=dict(ids=ids(1, 3), generation=9)),
    "missing-none": dict(to_seven, missing={}),
    "stored": dict(to_seven, stored=dict(received_bytes=16 * MIB, durable=True, generation=1)),
    "stored-part": dict(to_seven, stored=dict(received_bytes=4096)),
    "part": dict(to_seven, part=dict(total_bytes=70000)),
    "listing": dict(to_seven, listing=dict(snapshots=b"".join(sorted([ids(1), ids(2), ids(3)])), more=True)),
    "listing-none": dict(to_seven, listing={}),
    "committed": dict(to_seven, outcome=dict(result=1, generation=2)),
    "uncommitted": dict(to_seven, outcome=dict(result=2, generation=2, packs=ids(1), pages=ids(2, 3))),
    "rejected": dict(to_seven, outcome=dict(result=3, reason="not permitted")),
    "forgotten": dict(to_seven, forgotten=dict(count=3)),
    "swept": dict(to_seven, swept=dict(generation=8, trashed_packs=2, trashed_bytes=32 * MIB)),
    "samples": dict(to_seven, samples={}),
    "reserved": dict(to_seven, reserved=dict(bytes=GIB)),
    "paired": dict(to_seven, paired=dict(quota_bytes=GIB)),
    "admitted": dict(to_seven, paired=dict(quota_bytes=MAX, certificate=b"\1\2\3", keys=b"\4\5")),
    "unpaired": dict(to_far, unpaired={}),
}
peer = compiled()
with open(os.path.join(FOLDER, "messages.txt"), "w") as file:
    for name, fields in sample.items():
        file.write(f"{name} {peer.Message(**fields).SerializeToString(deterministic=True).hex()}\n")
