#!/usr/bin/env python3
"""Writes protected-files.txt: the files that hold a content under parity, computed from docs/FORMAT.md alone, without the
project's code.

Each line: the content's length, the SHA-256 of the content, the file's length, the SHA-256 of the file. Byte i of the content
is (i * 131 + (i >> 8) * 7 + 5) mod 256.
"""
import hashlib
import os
import struct

PAGE, GROUP, STRIPE_BLOCKS, PARITY = 4096, 16 << 20, 64, 2

CRC_TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    CRC_TABLE.append(value)


def crc32c(data):
    crc = 0xFFFFFFFF
    table = CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def multiply(a, b):
    """In GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


INVERSE = [0] + [next(b for b in range(1, 256) if multiply(a, b) == 1) for a in range(1, 256)]
TIMES = [bytes(multiply(a, b) for b in range(256)) for a in range(256)]


def parity(blocks):
    """The two parity blocks of a stripe: block p is the sum over j of inverse((k + p) xor j) times data block j."""
    k = len(blocks)
    out = []
    for p in range(PARITY):
        total = 0
        for j, block in enumerate(blocks):
            total ^= int.from_bytes(block.translate(TIMES[INVERSE[(k + p) ^ j]]), "little")
        out.append(total.to_bytes(len(blocks[0]), "little"))
    return out


def protect(content, block_bytes):
    """Data blocks (the last padded with zeros) and parity blocks of a group."""
    data = [content[i:i + block_bytes].ljust(block_bytes, b"\0") for i in range(0, len(content), block_bytes)]
    stripes = -(-len(data) // STRIPE_BLOCKS)
    return data, [block for s in range(stripes) for block in parity(data[s::stripes])]


def table_page(shift, is_last, number, pages, group, count, first, checksums, length):
    page = b"bakareP1" + bytes([1, shift, is_last, 0]) + struct.pack("<HHIIII", number, pages, group, GROUP, count, first)
    page += b"".join(struct.pack("<I", c) for c in checksums)
    page = page.ljust(length - 4, b"\0")
    return page + struct.pack("<I", crc32c(page))


def group(content, number, is_last):
    data, parities = protect(content, PAGE)
    checksums = [crc32c(block) for block in data + parities]
    a_page = (PAGE - 32 - 4) // 4
    pages = max(1, -(-len(checksums) // a_page))
    table = b"".join(
        table_page(12, is_last, p, pages, number, len(content), p * a_page, checksums[p * a_page:(p + 1) * a_page], PAGE)
        for p in range(pages))
    return table + b"".join(data) + b"".join(parities) + table


def file(content):
    if len(content) <= 4096:
        data, parities = protect(content, 64)
        checksums = [crc32c(block) for block in data + parities]
        table = table_page(6, 1, 0, 1, 0, len(content), 0, checksums, 32 + 4 * len(checksums) + 4)
        frame = table + b"".join(data) + b"".join(parities) + table
        return frame.ljust(-(-len(frame) // PAGE) * PAGE, b"\0") * 2
    starts = range(0, len(content), GROUP)
    return b"".join(group(content[i:i + GROUP], n, n == len(starts) - 1) for n, i in enumerate(starts))


lengths = [0, 1, 63, 64, 65, 3200, 4095, 4096, 4097, 8192, 10000, 64 * 4096, 64 * 4096 + 1, 1 << 20, (4 << 20) + 12345, (16 << 20) + 1]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "protected-files.txt"), "w") as out:
    whole = bytes((i * 131 + (i >> 8) * 7 + 5) & 255 for i in range(max(lengths)))
    for length in lengths:
        content = whole[:length]
        made = file(content)
        print(length, hashlib.sha256(content).hexdigest(), len(made), hashlib.sha256(made).hexdigest(), file=out)
