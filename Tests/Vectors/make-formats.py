#!/usr/bin/env python3
"""Writes the vectors of the formats at rest, computed from docs/FORMAT.md alone, without the project's code.

One file a format; each line holds a name and the bytes in hexadecimal. Tests/BackupFormatTests and Tests/CryptographyTests
build the same values, and compare in both directions; the fuzzers begin with these bytes.
"""
import os
import struct

from reference import (box_key_pair, box_seal, chacha20, hmac_sha256, kdf, sha256, sign, sign_public, xchacha20poly1305)
import hashlib

FOLDER = os.path.dirname(os.path.abspath(__file__))
VERSION = b"\1"


def write(name, lines):
    with open(os.path.join(FOLDER, name + ".txt"), "w") as file:
        for label, data in lines:
            file.write(f"{label} {data.hex()}\n")


# Numbers and strings

def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def signed(value):
    return varint((value << 1) ^ (value >> 63) if value < 0 else value << 1)


def text(data):
    return varint(len(data)) + data


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def pattern(count, seed):
    """Bytes without meaning: byte i is (i * 131 + (i >> 8) * 7 + seed) mod 256."""
    return bytes((i * 131 + (i >> 8) * 7 + seed) & 255 for i in range(count))


def identifier(number):
    return sha256(b"identifier", u32(number))


# Keys

owner_seed, node_seed = bytes(range(32)), bytes(range(32, 64))
sealing_seed, owner_signing_seed, dedup_secret, footer_key = (kdf(owner_seed, n, b"bakareOK") for n in (1, 2, 3, 4))
sealing_public, _ = box_key_pair(sealing_seed)
owner = sign_public(owner_signing_seed)
agreement_seed, node_signing_seed = (kdf(node_seed, n, b"bakareND") for n in (1, 2))
agreement_public, _ = box_key_pair(agreement_seed)
device = sign_public(node_signing_seed)
gear_secret = hashlib.blake2b(b"bakare gear table v1", key=dedup_secret, digest_size=32).digest()
gear_table = chacha20(gear_secret, bytes(12), bytes(2048))
chunk_key = hmac_sha256(dedup_secret, b"some plaintext")
chunk_id = sha256(b"bakare chunk id v1", chunk_key)
write("keys", [
    ("owner", owner), ("sealing-public-key", sealing_public), ("dedup-secret", dedup_secret), ("footer-key", footer_key),
    ("device", device), ("agreement-public-key", agreement_public), ("gear-table", gear_table),
    ("chunk-key", chunk_key), ("chunk-id", chunk_id),
])


# Trees

STORED, INLINE, ATTRIBUTES, EXTENTS, LINKED, NUMBERED = 1, 2, 4, 8, 16, 32


def key_list(levels, keys):
    return bytes([levels]) + varint(len(keys)) + b"".join(keys)


def entry(kind, name, mode=0o644, uid=1000, gid=1000, modified=(1700000000, 123456789), changed=(1700000001, 1), inode=77,
          dev=2049, links=1, size=0, number=0, stored=None, inline=None, attributes=(), extents=None, marks=0):
    flags = (STORED * (stored is not None) | INLINE * (inline is not None) | ATTRIBUTES * bool(attributes)
             | EXTENTS * (extents is not None) | LINKED * (links != 1) | NUMBERED * (number != 0))
    body = bytes([kind | marks << 4, flags]) + text(name)
    body += varint(mode) + varint(uid) + varint(gid)
    body += signed(modified[0]) + varint(modified[1]) + signed(changed[0] - modified[0]) + varint(changed[1])
    body += varint(inode) + varint(dev)
    if links != 1:
        body += varint(links)
    body += varint(size)
    if number:
        body += varint(number)
    if stored is not None:
        body += key_list(*stored)
    if inline is not None:
        body += text(inline)
    if attributes:
        body += varint(len(attributes)) + b"".join(text(name) + text(value) for name, value in attributes)
    if extents is not None:
        body += varint(len(extents))
        position = 0
        for offset, length in extents:
            body += varint(offset - position) + varint(length)
            position = offset + length
    return varint(len(body)) + body


FILE, DIRECTORY, SYMLINK, FIFO, SOCKET, CHARACTER, BLOCK = range(7)
write("tree-entries", [
    ("empty-file", entry(FILE, b"empty")),
    ("inline-file", entry(FILE, b"inline", size=5, inline=b"hello")),
    ("inline-file-of-512", entry(FILE, b"inline-512", size=512, inline=pattern(512, 1))),
    ("stored-file", entry(FILE, b"stored", size=1000000, stored=(0, [identifier(1), identifier(2)]))),
    ("nested-file", entry(FILE, b"nested", mode=0o4755, size=10**15, stored=(2, [identifier(3)]))),
    ("sparse-file", entry(FILE, b"sparse", size=1 << 40, stored=(0, [identifier(4)]),
                          extents=[(4096, 8192), (1 << 39, 4096), ((1 << 40) - 1, 1)])),
    ("hole", entry(FILE, b"hole", size=1 << 20, extents=[])),
    ("attributes", entry(FILE, b"attributes", size=1, inline=b"x",
                         attributes=[(b"system.posix_acl_access", pattern(44, 2)), (b"user.empty", b""), (b"user.\xff", b"\0\1")])),
    ("linked-file", entry(FILE, b"linked", links=3, size=4, inline=b"link", inode=2**64 - 1, dev=2**64 - 1)),
    ("changed-while-read", entry(FILE, b"torn", size=2, inline=b"ab", marks=1)),
    ("stale", entry(FILE, b"stale", size=2, inline=b"ab", marks=2)),
    ("mount-point", entry(DIRECTORY, b"mount", mode=0o755, stored=(0, []), marks=6)),
    ("directory", entry(DIRECTORY, b"folder", mode=0o1777, uid=0, gid=0, stored=(0, [identifier(5)]))),
    ("empty-directory", entry(DIRECTORY, b"empty-folder", mode=0o755, stored=(0, []))),
    ("symlink", entry(SYMLINK, b"link", mode=0o777, size=9, inline=b"../\xff/away")),
    ("fifo", entry(FIFO, b"fifo", mode=0o600)),
    ("socket", entry(SOCKET, b"socket", mode=0o600)),
    ("character-device", entry(CHARACTER, b"null", mode=0o666, uid=0, gid=0, number=0x103)),
    ("block-device", entry(BLOCK, b"sda", mode=0o660, uid=0, gid=6, number=0x800)),
    ("before-1970", entry(FILE, b"old", modified=(-1, 999999999), changed=(-2**40, 0))),
    ("ends-of-time", entry(FILE, b"time", modified=(-2**63, 0), changed=(-2**63, 999999999))),
    ("name-not-text", entry(FILE, b"\xff\xfe\n\x1b[31m")),
    ("longest-name", entry(FILE, b"n" * 255, uid=2**32 - 1, gid=2**32 - 1)),
])


# Packs

DATA, TREE = 0, 1


def sealed_chunk(plain, method, payload, nonce):
    key = hmac_sha256(dedup_secret, plain)
    name = sha256(b"bakare chunk id v1", key)
    return name, xchacha20poly1305(key, nonce, bytes([method]) + payload, name), len(plain)


def pack(kind, chunks, nonce):
    header = b"bakarePK" + VERSION + bytes([kind]) + bytes(6)
    footer = bytes([kind]) + b"".join(name + u32(len(sealed)) + u32(plain) for name, sealed, plain in chunks)
    sealed_footer = xchacha20poly1305(footer_key, nonce, footer, header)
    return header + b"".join(sealed for _, sealed, _ in chunks) + sealed_footer + u32(len(sealed_footer)) + u32(0) + b"bakareKP"


# The zstd frame of 300 zero bytes: one block of run-length encoding.
ZEROS = bytes.fromhex("28b52ffd") + bytes([0x60]) + struct.pack("<H", 300 - 256) + (1 | 1 << 1 | 300 << 3).to_bytes(3, "little") + b"\0"
chunks = [
    sealed_chunk(b"some plaintext", 0, b"some plaintext", pattern(24, 3)),
    sealed_chunk(bytes(300), 1, ZEROS, pattern(24, 4)),
    sealed_chunk(pattern(5000, 5), 0, pattern(5000, 5), pattern(24, 6)),
]
write("packs", [
    ("data", pack(DATA, chunks, pattern(24, 7))),
    ("tree", pack(TREE, chunks[:1], pattern(24, 8))),
    ("empty", pack(DATA, [], pattern(24, 9))),
])


# Stubs: what stands for a pack that only peers have

def stub(mark, whole):
    sealed_footer_bytes = struct.unpack("<I", whole[-16:-12])[0]
    return b"bakareST" + VERSION + bytes([mark]) + u32(len(whole)) + whole[:16] + whole[len(whole) - 16 - sealed_footer_bytes:]


write("stubs", [
    ("proven", stub(1, pack(DATA, chunks, pattern(24, 7)))),
    ("shown", stub(0, pack(DATA, chunks, pattern(24, 7)))),
    ("empty", stub(1, pack(DATA, [], pattern(24, 9)))),
])


# Certificates, snapshots, pack lists, orders, key files

def certificate(name, permissions, serial):
    body = b"bakareCT" + VERSION + owner + device + agreement_public + bytes([permissions]) + u64(serial) + text(name)
    return body + sign(owner_signing_seed, b"bakare certificate signature v1" + body)


plain_certificate = certificate("läptop".encode(), 7, 1)
write("certificates", [
    ("all-permissions", plain_certificate),
    ("write-only", certificate(b"", 1, 2**64 - 1)),
    ("longest-name", certificate(b"n" * 255, 0, 0)),
])

page = b"bakarePL" + VERSION + varint(3) + b"".join(identifier(n) for n in (10, 11, 12))
full_page = b"bakarePL" + VERSION + varint(512) + b"".join(identifier(1000 + n) for n in range(512))
write("pack-lists", [("three", page), ("three-id", sha256(page)), ("full", full_page), ("full-id", sha256(full_page))])


def contents(root, host, time, paths, tags, counts, users, groups, problem_count, problems):
    out = VERSION + key_list(*root) + text(host) + signed(time)
    out += varint(len(paths)) + b"".join(map(text, paths))
    out += varint(len(tags)) + b"".join(map(text, tags))
    out += b"".join(map(varint, counts))
    for names in (users, groups):
        out += varint(len(names)) + b"".join(varint(number) + text(name) for number, name in names)
    return out + varint(problem_count) + key_list(*problems)


full_contents = contents(
    (0, [identifier(20), identifier(21)]), "höst".encode(), 1700000000123456789, [b"/home", b"/srv/\xff"], [b"weekly", "ä".encode()],
    (3065438, 400000, 545 * 10**9), [(0, b"root"), (1000, b"alice"), (2**32 - 1, b"")], [(0, b"root"), (100, b"users")],
    2, (0, [identifier(22)]))
least_contents = contents((0, []), b"", -1, [], [], (0, 0, 0), [], [], 0, (0, []))


def record(sequence, sealed, revision, pages):
    core = b"bakareSN" + VERSION + owner + device + u64(sequence) + text(sealed)
    placement = u64(revision) + varint(len(pages)) + b"".join(name + varint(count) for name, count in pages)
    digest = sha256(core, placement)
    signature = sign(node_signing_seed, b"bakare snapshot signature v1" + digest)
    return core + placement + text(plain_certificate) + signature, sha256(core)


sealed_contents = box_seal(sealing_public, pattern(32, 10), full_contents)
first, first_id = record(7, sealed_contents, 0, [(sha256(full_page), 512), (sha256(page), 3)])
rewritten, rewritten_id = record(7, sealed_contents, 2, [(sha256(page), 3)])
assert first_id == rewritten_id
write("snapshots", [
    ("contents", full_contents), ("least-contents", least_contents), ("sealed-contents", sealed_contents),
    ("record", first), ("rewritten-record", rewritten), ("id", first_id),
    ("record-without-packs", record(2**64 - 1, box_seal(sealing_public, pattern(32, 11), least_contents), 0, [])[0]),
])

order = b"bakareFO" + VERSION + owner + device + pattern(32, 12) + varint(3)
order += b"".join(sorted(identifier(n) for n in (30, 31, 32))) + text(plain_certificate)
write("forget-orders", [("three", order + sign(node_signing_seed, b"bakare forget signature v1" + order))])


def checked(data):
    return data + sha256(data)


write("key-files", [
    ("owner", checked(b"bakareOK" + VERSION + owner_seed)),
    ("publisher", checked(b"bakarePB" + VERSION + owner + sealing_public + dedup_secret + footer_key)),
    ("node", checked(b"bakareND" + VERSION + node_seed + text(plain_certificate))),
    ("node-without-certificate", checked(b"bakareND" + VERSION + node_seed + text(b""))),
])


# The book of peers, and invitations

def signed_certificate(signing_seed, owner_id, seed, name, permissions, serial):
    agreement, signing = (kdf(seed, n, b"bakareND") for n in (1, 2))
    body = b"bakareCT" + VERSION + owner_id + sign_public(signing) + box_key_pair(agreement)[0]
    body += bytes([permissions]) + u64(serial) + text(name)
    return body + sign(signing_seed, b"bakare certificate signature v1" + body)


def friend(owner_id, name, quota, promised, paired, unpaired=None):
    out = owner_id + text(name) + varint(quota) + varint(promised) + signed(paired)
    return out + (b"\0" if unpaired is None else b"\1" + signed(unpaired))


def known_device(encoded, blocked, seen, addresses):
    out = text(encoded) + bytes([blocked]) + signed(seen)
    return out + varint(len(addresses)) + b"".join(map(text, addresses))


def listed(items):
    return varint(len(items)) + b"".join(items)


friend_seed = kdf(pattern(32, 13), 2, b"bakareOK")
friend_owner = sign_public(friend_seed)
friends = sorted([
    friend(friend_owner, "Zoë".encode(), 500 << 30, 200 << 30, 1780000000),
    friend(identifier(40), b"former", 0, 2**64 - 1, 1770000000, -1),
])
devices = sorted([
    (owner, device, known_device(plain_certificate, 0, 1780000001, [b"nas.example:4411", b"[2001:db8::7]:4411"])),
    (friend_owner, sign_public(kdf(pattern(32, 14), 2, b"bakareND")),
     known_device(signed_certificate(friend_seed, friend_owner, pattern(32, 14), b"attic", 7, 3), 1, -2, [])),
])
open_invitations = sorted([
    identifier(41) + b"\1" + varint(500 << 30) + signed(1780600000),
    identifier(42) + b"\3" + varint(0) + signed(1780000600),
])
write("peer-books", [
    ("empty", checked(b"bakareBK" + VERSION + bytes(3))),
    ("full", checked(b"bakareBK" + VERSION + listed(friends) + listed([d[2] for d in devices]) + listed(open_invitations))),
])

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def base32(data):
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "".join(DIGITS[int(bits[i:i + 5], 2)] for i in range(0, len(bits), 5))


def invitation(token, kind, quota, expires, name, addresses):
    data = agreement_public + owner + token + bytes([kind]) + varint(quota) + signed(expires)
    return data + text(name) + listed([text(address) for address in addresses])


def invitation_text(data):
    check = sha256(b"bakare invitation text v1", data)[:5]
    return f"bakare-invite1-{base32(data)}-{base32(check)}".encode()


for_friend = invitation(identifier(41), 1, 500 << 30, 1780600000, "Zoë's NAS".encode(), [b"nas.example:4411", b"[2001:db8::7]:4411"])
for_device = invitation(identifier(42), 3, 0, 1780000600, b"", [])
write("invitations", [
    ("friend", for_friend), ("friend-text", invitation_text(for_friend)),
    ("write-only-device", for_device), ("write-only-device-text", invitation_text(for_device)),
])
