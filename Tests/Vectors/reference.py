"""The primitives that the formats rest on, written from their specifications alone and without libraries but hashlib.

Slow, and not safe against timing: for test vectors only. Sources: RFC 7748 (X25519), RFC 8032 (Ed25519), RFC 8439
(ChaCha20, Poly1305), draft-irtf-cfrg-xchacha-03 (XChaCha20), the NaCl papers (XSalsa20, crypto_box) and libsodium's
documentation (crypto_kdf, crypto_box_seal, the seeding of key pairs).
"""
import hashlib
import hmac
import struct

P = 2**255 - 19


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hmac_sha256(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def kdf(key, number, context):
    """crypto_kdf_derive_from_key of 32 bytes."""
    return hashlib.blake2b(key=key, salt=struct.pack("<QQ", number, 0), person=context.ljust(16, b"\0"), digest_size=32).digest()


# X25519

def x25519(scalar, point):
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        now = k >> bit & 1
        if swap != now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % P, c * b % P, a * a % P, b * b % P
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def box_key_pair(seed):
    """crypto_box_seed_keypair: public, secret."""
    secret = hashlib.sha512(seed).digest()[:32]
    return x25519(secret, (9).to_bytes(32, "little")), secret


# Ed25519

D = -121665 * pow(121666, P - 2, P) % P
L = 2**252 + 27742317777372353535851937790883648493


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x & 1:
        x = P - x
    return x, y, 1, x * y % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def pack_point(point):
    z = pow(point[2], P - 2, P)
    x, y = point[0] * z % P, point[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def signing_scalar(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254, h[32:]


def sign_public(seed):
    return pack_point(times(signing_scalar(seed)[0], base_point()))


def sign(seed, message):
    a, prefix = signing_scalar(seed)
    public = sign_public(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = pack_point(times(r, base_point()))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little")


# Stream ciphers and Poly1305

def rotate(x, n):
    return (x << n | x >> 32 - n) & 0xFFFFFFFF


def chacha_rounds(s):
    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = s[x] + s[y] & 0xFFFFFFFF
            s[z] = rotate(s[z] ^ s[x], n)
    for _ in range(10):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)


def salsa_rounds(s):
    def quarter(a, b, c, d):
        for x, y, z, n in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
            s[x] ^= rotate(s[y] + s[z] & 0xFFFFFFFF, n)
    for _ in range(10):
        for i in range(4):
            quarter(i * 5, (i * 5 + 4) % 16, (i * 5 + 8) % 16, (i * 5 + 12) % 16)
        for i in range(4):
            quarter(i * 5, i * 4 + (i + 1) % 4, i * 4 + (i + 2) % 4, i * 4 + (i + 3) % 4)


SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def words(data):
    return list(struct.unpack("<%dI" % (len(data) // 4), data))


def chacha_block(key, counter, nonce):
    start = list(SIGMA) + words(key) + [counter] + words(nonce)
    s = start[:]
    chacha_rounds(s)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


def chacha20(key, nonce, data, counter=0):
    stream = b"".join(chacha_block(key, counter + i, nonce) for i in range((len(data) + 63) // 64))
    return bytes(a ^ b for a, b in zip(data, stream))


def hchacha20(key, nonce):
    s = list(SIGMA) + words(key) + words(nonce)
    chacha_rounds(s)
    return struct.pack("<8I", *(s[:4] + s[12:]))


def salsa_state(key, middle):
    k, n = words(key), words(middle)
    return [SIGMA[0], *k[:4], SIGMA[1], *n, SIGMA[2], *k[4:], SIGMA[3]]


def hsalsa20(key, nonce):
    s = salsa_state(key, nonce)
    salsa_rounds(s)
    return struct.pack("<8I", *(s[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def xsalsa20(key, nonce, count):
    subkey = hsalsa20(key, nonce[:16])
    stream = b""
    for i in range((count + 63) // 64):
        start = salsa_state(subkey, nonce[16:] + struct.pack("<Q", i))
        s = start[:]
        salsa_rounds(s)
        stream += struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))
    return stream[:count]


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def pad16(data):
    return data + bytes(-len(data) % 16)


def xchacha20poly1305(key, nonce, plain, associated):
    """nonce | ciphertext | tag."""
    subkey, short = hchacha20(key, nonce[:16]), bytes(4) + nonce[16:]
    sealed = chacha20(subkey, short, plain, 1)
    one_time = chacha_block(subkey, 0, short)[:32]
    lengths = struct.pack("<QQ", len(associated), len(sealed))
    return nonce + sealed + poly1305(one_time, pad16(associated) + pad16(sealed) + lengths)


def box_seal(public, ephemeral_seed, plain):
    """crypto_box_seal, with the ephemeral key pair that it would draw at random."""
    epk, esk = box_key_pair(ephemeral_seed)
    nonce = hashlib.blake2b(epk + public, digest_size=24).digest()
    key = hsalsa20(x25519(esk, public), bytes(16))
    stream = xsalsa20(key, nonce, 32 + len(plain))
    sealed = bytes(a ^ b for a, b in zip(plain, stream[32:]))
    return epk + poly1305(stream[:32], sealed) + sealed
