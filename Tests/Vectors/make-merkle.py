#!/usr/bin/env python3
"""Writes merkle.txt: the Merkle roots of packs, computed from FORMAT alone, without the project's code.

Each line: the length, the SHA-256 of the bytes, the root. Byte i is (i * 131 + (i >> 8) * 7 + 5) mod 256.
"""
import hashlib

LEAF = 4096


def h(data):
    return hashlib.sha256(data).digest()


def top(hashes):
    if not hashes:
        return h(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return h(b"\x01" + top(hashes[:k]) + top(hashes[k:]))


def root(data):
    leaves = [h(b"\x00" + data[i:i + LEAF]) for i in range(0, len(data), LEAF)]
    return h(b"\x02" + len(data).to_bytes(8, "little") + top(leaves))


for length in [0, 1, 4095, 4096, 4097, 8192, 8193, 12288, 20480, 28672, 28673, 65536, 65537, 100000, 1 << 20, (1 << 20) + 1]:
    data = bytes((i * 131 + (i >> 8) * 7 + 5) & 255 for i in range(length))
    print(length, h(data).hex(), root(data).hex())
