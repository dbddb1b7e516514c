#!/usr/bin/env python3
"""Writes session.txt: what two devices of one owner send each other, computed from docs/PROTOCOL.md with the Python package
`noiseprotocol` and messages.txt, without the project's code.

Both have node keys and ephemeral keys as in the lines `…-seed` and `…-ephemeral`, and certificates by the owner of `owner-seed` with
all permissions, serial 1 and the name "test". `initiator` and `responder` are all bytes of either until both have said hello, and
the initiator has put 66,000 bytes, which takes two records, and was answered. `…-later` is the SHA-256 of the bytes of 16,400
requests for the vault, numbered on, and of as many answers that there is none: enough for both directions to take a new key.
"""
import hashlib
import os
import struct

from noise.connection import Keypair, NoiseConnection
from reference import box_key_pair, kdf, sha256, sign, sign_public

FOLDER = os.path.dirname(os.path.abspath(__file__))
CONTENT, RECORDS_PER_KEY = 65519, 1 << 14
PREAMBLE = b"bakarePP\1\0"
with open(os.path.join(FOLDER, "messages.txt")) as file:
    MESSAGES = {name: bytes.fromhex(data) for name, data in (line.rstrip("\n").split(" ") for line in file)}


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    """A byte string field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def certificate(owner_seed, node_seed):
    owner_signing = kdf(owner_seed, 2, b"bakareOK")
    signed = b"bakareCT\1" + sign_public(owner_signing) + sign_public(kdf(node_seed, 2, b"bakareND"))
    signed += box_key_pair(kdf(node_seed, 1, b"bakareND"))[0] + b"\7" + struct.pack("<Q", 1) + b"\4test"
    return signed + sign(owner_signing, b"bakare certificate signature v1" + signed)


class Side:
    def __init__(self, name, owner_seed):
        self.seed, self.ephemeral = sha256(b"session " + name.encode()), sha256(b"session ephemeral " + name.encode())
        self.noise = NoiseConnection.from_name(b"Noise_XX_25519_ChaChaPoly_BLAKE2b")
        getattr(self.noise, "set_as_" + name)()
        self.noise.set_prologue(b"bakare peer protocol v1" + PREAMBLE)
        self.noise.set_keypair_from_private_bytes(Keypair.STATIC, box_key_pair(kdf(self.seed, 1, b"bakareND"))[1])
        self.noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, self.ephemeral)
        self.noise.start_handshake()
        self.payload = field(1, certificate(owner_seed, self.seed)) + field(2, b"bakare-test 1")
        self.wire, self.records = b"", 0

    def handshake(self, other, payload):
        message = bytes(self.noise.write_message(payload))
        assert bytes(other.noise.read_message(message)) == payload
        self.wire += struct.pack(">H", len(message)) + message

    def say(self, control, bulk=b""):
        plain = struct.pack(">II", len(control), len(bulk)) + control + bulk
        sent = b""
        for start in range(0, len(plain), CONTENT):
            record = self.noise.encrypt(plain[start:start + CONTENT])
            sent += struct.pack(">H", len(record)) + record
            self.records += 1
            if self.records % RECORDS_PER_KEY == 0:
                self.noise.rekey_outbound_cipher()
        self.wire += sent


owner_seed = sha256(b"session owner")
first, second = Side("initiator", owner_seed), Side("responder", owner_seed)
first.wire += PREAMBLE
first.handshake(second, b"")
second.wire += b"bakarePP\1\0"
second.handshake(first, second.payload)
first.handshake(second, first.payload)
first.say(MESSAGES["hello-least"])
second.say(MESSAGES["hello-least"])
bulk = bytes((i * 131 + (i >> 8) * 7) & 255 for i in range(66000))
first.say(b"\x08\x01" + field(22, b"\x08\x01" + field(2, sha256(b"pack")) + b"\x18" + varint(66000)), bulk)
second.say(b"\x10\x01" + field(43, b"\x08" + varint(66000) + b"\x10\1\x18\5"))
lines = [("owner-seed", owner_seed), ("initiator-seed", first.seed), ("initiator-ephemeral", first.ephemeral),
         ("responder-seed", second.seed), ("responder-ephemeral", second.ephemeral),
         ("handshake-hash", first.noise.get_handshake_hash()), ("initiator", first.wire), ("responder", second.wire)]
first.wire = second.wire = b""
for number in range(2, 16402):
    first.say(b"\x08" + varint(number) + field(20, b""))
    second.say(b"\x10" + varint(number) + field(41, b""))
lines += [("initiator-later", hashlib.sha256(first.wire).digest()), ("responder-later", hashlib.sha256(second.wire).digest())]
with open(os.path.join(FOLDER, "session.txt"), "w") as file:
    for label, data in lines:
        file.write(f"{label} {data.hex()}\n")
