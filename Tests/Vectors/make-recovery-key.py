#!/usr/bin/env python3
"""Writes recovery-key.txt: recovery key texts, computed from FORMAT alone, without the project's code.

Each line: the key in hexadecimal, its text.
"""
import hashlib

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def times(a, b):
    """Multiplies in GF(32) with x^5 + x^2 + 1."""
    product = 0
    for bit in range(5):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(8, 4, -1):
        if product >> bit & 1:
            product ^= 0b100101 << (bit - 5)
    return product


def text(key):
    bits = "".join(f"{byte:08b}" for byte in key) + "0000"
    bits += "".join(f"{b:08b}" for b in hashlib.sha256(b"bakare recovery key v1" + key).digest())[:20]
    symbols = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
    groups = []
    for number in range(1, 15):
        data = symbols[number * 4 - 4:number * 4]
        check = number
        for symbol, weight in zip(data, (16, 8, 4, 2)):
            check ^= times(symbol, weight)
        groups.append("".join(ALPHABET[s] for s in data + [check]))
    return "bakare-key1-" + "-".join(groups)


for key in [bytes(32), b"\xff" * 32, bytes(range(32)), hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest()]:
    print(key.hex(), text(key))
