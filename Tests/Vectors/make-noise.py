#!/usr/bin/env python3
"""Writes noise.txt: whole sessions, computed by the Python package `noiseprotocol`, without the project's code.

Each line: SESSION.FIELD and bytes in hexadecimal. Static keys are those of node keys with the given seeds. The last message of
a handshake is followed by twelve transport messages, the initiator's first, in turn; after the fourth and the eighth, both
directions are given new keys (Rekey).
"""
import os

from noise.connection import Keypair, NoiseConnection
from reference import box_key_pair, kdf, sha256


def pattern(count, seed):
    return bytes((i * 131 + (i >> 8) * 7 + seed) & 255 for i in range(count))


def static_secret(seed):
    return box_key_pair(kdf(seed, 1, b"bakareND"))[1]


def session(label, name, prologue, payloads, psk=None):
    lines = []
    sides = {}
    for side in ("initiator", "responder"):
        seed, ephemeral = sha256(side.encode(), label.encode()), sha256(b"ephemeral", side.encode(), label.encode())
        connection = NoiseConnection.from_name(name)
        getattr(connection, "set_as_" + side)()
        connection.set_prologue(prologue)
        connection.set_keypair_from_private_bytes(Keypair.STATIC, static_secret(seed))
        connection.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
        if psk:
            connection.set_psks(psk=psk)
        connection.start_handshake()
        sides[side] = connection
        lines += [(side + "-seed", seed), (side + "-ephemeral", ephemeral)]
    lines += [("prologue", prologue)] + ([("psk", psk)] if psk else [])
    writer, reader = sides["initiator"], sides["responder"]
    for number, payload in enumerate(payloads, 1):
        message = bytes(writer.write_message(payload))
        assert bytes(reader.read_message(message)) == payload
        lines += [(f"payload-{number}", payload), (f"message-{number}", message)]
        writer, reader = reader, writer
    assert writer.get_handshake_hash() == reader.get_handshake_hash()
    lines.append(("handshake-hash", writer.get_handshake_hash()))
    writer, reader = sides["initiator"], sides["responder"]
    for number in range(1, 13):
        text = pattern(number * 37 % 200, number)
        sealed = writer.encrypt(text)
        assert reader.decrypt(sealed) == text
        lines += [(f"text-{number}", text), (f"sealed-{number}", sealed)]
        if number in (4, 8):
            for connection in sides.values():
                connection.rekey_inbound_cipher()
                connection.rekey_outbound_cipher()
        writer, reader = reader, writer
    return [(f"{label}.{field}", data) for field, data in lines]


XX, PSK = b"Noise_XX_25519_ChaChaPoly_BLAKE2b", b"Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b"
everything = (
    session("xx-bare", XX, b"", [b"", b"", b""])
    + session("xx-payloads", XX, b"a prologue", [b"first", pattern(700, 1), pattern(333, 2)])
    + session("psk-bare", PSK, b"", [b"", b"", b""], sha256(b"token 1"))
    + session("psk-payloads", PSK, pattern(60, 3), [pattern(16, 4), pattern(1000, 5), b"last"], sha256(b"token 2")))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "noise.txt"), "w") as file:
    for label, data in everything:
        file.write(f"{label} {data.hex()}\n")
