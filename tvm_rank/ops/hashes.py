"""The two hash functions of feature generation, in plain Python: 64-bit words that wrap."""

from __future__ import annotations

_MASK = 2**64 - 1

# ---------------------------------------------------------------- std: MurmurHash64A as libstdc++'s std::hash<std::string> has it

_M = 0xC6A4A7935BD1E995
_SEED = 0xC70F6907


def hash_std(text: bytes) -> int:
    """MurmurHash64A with the seed of libstdc++, unsigned 64-bit (Austin Appleby's algorithm; seed and tail as in hash_bytes.cc).

    Words of 8 bytes are little-endian; the last 1 to 7 bytes are one little-endian word that is not mixed before it is joined.
    """
    h = _SEED ^ (len(text) * _M & _MASK)
    whole = len(text) // 8 * 8
    for at in range(0, whole, 8):
        k = _word(text, at) * _M & _MASK
        k = _shift_mix(k) * _M & _MASK
        h = (h ^ k) * _M & _MASK
    if whole < len(text):
        h = (h ^ int.from_bytes(text[whole:], "little")) * _M & _MASK
    return _shift_mix(_shift_mix(h) * _M & _MASK)


def _word(text: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(text[at : at + size], "little")


def _shift_mix(v: int) -> int:
    return v ^ v >> 47


# ---------------------------------------------------------------- farm: FarmHash Fingerprint64 (farmhashna::Hash64)

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def hash_farm(text: bytes) -> int:
    """FarmHash Fingerprint64, unsigned 64-bit: fixed for all time, on every machine (Geoff Pike's google/farmhash)."""
    if len(text) <= 16:
        return _farm_to_16(text)
    if len(text) <= 32:
        return _farm_to_32(text)
    return _farm_to_64(text) if len(text) <= 64 else _farm_long(text)


def _rotate(v: int, bits: int) -> int:
    v &= _MASK
    return v >> bits | v << 64 - bits & _MASK


def _mix(u: int, v: int, mul: int) -> int:
    """Two words to one (HashLen16)."""
    a = _shift_mix(((u ^ v) & _MASK) * mul & _MASK)
    b = _shift_mix(((v ^ a) & _MASK) * mul & _MASK)
    return b * mul & _MASK


def _farm_to_16(s: bytes) -> int:
    n = len(s)
    mul = _K2 + n * 2
    if n >= 8:
        a, b = _word(s, 0) + _K2, _word(s, n - 8)
        return _mix(_rotate(b, 37) * mul + a, (_rotate(a, 25) + b) * mul, mul)
    if n >= 4:
        return _mix(n + (_word(s, 0, 4) << 3), _word(s, n - 4, 4), mul)
    if n > 0:
        y, z = s[0] + (s[n >> 1] << 8), n + (s[n - 1] << 2)
        return _shift_mix((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _farm_to_32(s: bytes) -> int:
    n = len(s)
    mul = _K2 + n * 2
    a, b, c, d = _word(s, 0) * _K1, _word(s, 8), _word(s, n - 8) * mul, _word(s, n - 16) * _K2
    return _mix(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + _K2, 18) + c, mul)


def _farm_to_64(s: bytes) -> int:
    n = len(s)
    mul = _K2 + n * 2
    a, b, c, d = _word(s, 0) * _K2, _word(s, 8), _word(s, n - 8) * mul, _word(s, n - 16) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _mix(y, a + _rotate(b + _K2, 18) + c, mul)
    e, f = _word(s, 16) * mul, _word(s, 24)
    g, h = (y + _word(s, n - 32)) * mul, (z + _word(s, n - 24)) * mul
    return _mix(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, mul)


def _weak_32(s: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """32 bytes at `at` and two seeds to two words (WeakHashLen32WithSeeds)."""
    w, x, y, z = (_word(s, at + k) for k in (0, 8, 16, 24))
    a += w
    b = _rotate(b + a + z, 21)
    c = a
    a += x + y
    return a + z & _MASK, b + _rotate(a, 44) + c & _MASK


def _farm_long(s: bytes) -> int:
    """Blocks of 64 bytes, then the last 64 bytes once more with another multiplier."""
    rest = (len(s) - 1) & 63
    end = len(s) - 1 - rest
    y = 81 * _K1 + 113
    state = (81 * _K2 + _word(s, 0), y, _shift_mix(y * _K2 + 113 & _MASK) * _K2, (0, 0), (0, 0))
    for at in range(0, end, 64):
        state = _farm_block(s, at, *state, _K1, 1)
    x, y, z, v, w = state
    mul = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + rest, w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _farm_block(s, len(s) - 64, x, y, z, v, w, mul, 9)
    return _mix(_mix(v[0], w[0], mul) + _shift_mix(y & _MASK) * _K0 + z, _mix(v[1], w[1], mul) + x, mul)


def _farm_block(s: bytes, at: int, x, y, z, v, w, mul: int, times: int):
    """One block of 64 bytes; x and z change places."""
    x = _rotate(x + y + v[0] + _word(s, at + 8), 37) * mul
    y = _rotate(y + v[1] + _word(s, at + 48), 42) * mul
    x = (x ^ w[1] * times) & _MASK
    y += v[0] * times + _word(s, at + 40)
    z = _rotate(z + w[0], 33) * mul
    v = _weak_32(s, at, v[1] * mul, x + w[0])
    w = _weak_32(s, at + 32, z + w[1], y + _word(s, at + 16))
    return z & _MASK, y & _MASK, x, v, w
