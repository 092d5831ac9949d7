"""The two hashes in plain Python: the definitions that the kernels are compared with."""

from __future__ import annotations

MASK = 2**64 - 1
_MURMUR = 0xC6A4A7935BD1E995
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def std_hash(text: bytes) -> int:
    """libstdc++'s std::hash<std::string>: MurmurHash64A, seed 0xc70f6907."""
    value = 0xC70F6907 ^ (len(text) * _MURMUR & MASK)
    whole = len(text) // 8 * 8
    for k in range(0, whole, 8):
        word = _mix(int.from_bytes(text[k : k + 8], "little") * _MURMUR & MASK) * _MURMUR & MASK
        value = (value ^ word) * _MURMUR & MASK
    if whole < len(text):
        value = (value ^ int.from_bytes(text[whole:], "little")) * _MURMUR & MASK
    return _mix(_mix(value) * _MURMUR & MASK)


def fingerprint64(text: bytes) -> int:
    """FarmHash Fingerprint64 (farmhashna::Hash64)."""
    n = len(text)
    multiplier = _K2 + 2 * n & MASK
    if n == 0:
        return _K2
    if n <= 3:
        y, z = text[0] + (text[n >> 1] << 8), n + (text[-1] << 2)
        return _mix(y * _K2 & MASK ^ z * _K0 & MASK) * _K2 & MASK
    if n <= 7:
        return _join(n + (_word(text, 0, 4) << 3), _word(text, n - 4, 4), multiplier)
    if n <= 16:
        a, b = _word(text, 0) + _K2 & MASK, _word(text, n - 8)
        return _join(_rotate(b, 37) * multiplier + a & MASK, (_rotate(a, 25) + b) * multiplier & MASK, multiplier)
    if n <= 64:
        return _medium(text, multiplier)
    return _long(text)


def _mix(x: int) -> int:
    return x ^ x >> 47


def _rotate(x: int, bits: int) -> int:
    x &= MASK
    return (x >> bits | x << 64 - bits) & MASK


def _word(text: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(text[at : at + size], "little")


def _join(u: int, v: int, multiplier: int) -> int:
    a = _mix((u ^ v) * multiplier & MASK)
    return _mix((v ^ a) * multiplier & MASK) * multiplier & MASK


def _medium(text: bytes, multiplier: int) -> int:
    n = len(text)
    a, b = _word(text, 0) * (_K1 if n <= 32 else _K2) & MASK, _word(text, 8)
    c, d = _word(text, n - 8) * multiplier & MASK, _word(text, n - 16) * _K2
    y, x = _rotate(a + b, 43) + _rotate(c, 30) + d & MASK, a + _rotate(b + _K2, 18) + c & MASK
    z = _join(y, x, multiplier)
    if n <= 32:
        return z
    e, f = _word(text, 16) * multiplier & MASK, _word(text, 24)
    g, h = (y + _word(text, n - 32)) * multiplier & MASK, (z + _word(text, n - 24)) * multiplier
    return _join(_rotate(e + f, 43) + _rotate(g, 30) + h & MASK, e + _rotate(f + a, 18) + g & MASK, multiplier)


def _weak(text: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_word(text, at + 8 * k) for k in range(4))
    a += w
    b = _rotate(b + a + z, 21)
    total = a + x + y
    return total + z & MASK, b + _rotate(total, 44) + a & MASK


def _long(text: bytes) -> int:
    n = len(text)
    x, y = 81 * _K2 + _word(text, 0) & MASK, 81 * _K1 + 113 & MASK
    z = _mix(y * _K2 + 113 & MASK) * _K2 & MASK
    v, w = (0, 0), (0, 0)

    def absorb(at: int, factor: int, scale: int) -> None:
        nonlocal x, y, z, v, w
        x = _rotate(x + y + v[0] + _word(text, at + 8), 37) * factor & MASK ^ w[1] * scale & MASK
        y = (_rotate(y + v[1] + _word(text, at + 48), 42) * factor + v[0] * scale + _word(text, at + 40)) & MASK
        z = _rotate(z + w[0], 33) * factor & MASK
        v = _weak(text, at, v[1] * factor, x + w[0])
        w = _weak(text, at + 32, z + w[1], y + _word(text, at + 16))
        x, z = z, x

    for block in range((n - 1) // 64):
        absorb(64 * block, _K1, 1)
    multiplier = _K1 + ((z & 0xFF) << 1)
    w0 = w[0] + (n - 1 & 63) & MASK
    v = (v[0] + w0 & MASK, v[1])
    w = (w0 + v[0] & MASK, w[1])
    absorb(n - 64, multiplier, 9)
    left = _join(v[0], w[0], multiplier) + _mix(y) * _K0 + z & MASK
    return _join(left, _join(v[1], w[1], multiplier) + x & MASK, multiplier)
