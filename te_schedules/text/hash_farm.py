"""FarmHash `Fingerprint64` of a text, as google/farmhash defines it (farmhashna::Hash64; docs/features.md, `hash_function: farm`).

One branch per class of length, because short texts are the rule: 0, 1..3, 4..7, 8..16, 17..32, 33..64 bytes, and a loop over blocks
of 64 bytes beyond. Every class reads words that overlap at the end of the text, never bytes outside.
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word

_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F
_BLOCK = 64

Pair = tuple[Word, Word]


def emit(address, length) -> Word:
    """The uint64 fingerprint of the `length` bytes at `address` (both int64); any length. Reads only these bytes."""
    text = _Text(address, length)
    result = intrin.local("uint64", _K2)  # of the empty text

    def branch(limit: int, short, long) -> None:
        with T.If(length <= T.int64(limit)):
            with T.Then():
                short()
            with T.Else():
                long()

    def leaf(compute):
        return lambda: intrin.assign(result, compute(text).expr)

    def not_empty() -> None:
        with T.If(length > T.int64(0)), T.Then():
            leaf(_hash_1_to_3)()

    def up_to_16() -> None:
        branch(7, lambda: branch(3, not_empty, leaf(_hash_4_to_7)), leaf(_hash_8_to_16))

    def beyond_32() -> None:
        branch(64, leaf(_hash_33_to_64), leaf(_hash_blocks))

    branch(16, up_to_16, lambda: branch(32, leaf(_hash_17_to_32), beyond_32))
    return Word.let(result[0])


class _Text:
    """Little-endian words of a text: at `k >= 0` from its start, at `k < 0` from its end."""

    def __init__(self, address, length):
        self.address, self.length = address, length
        self.end = T.bind(address + length)

    def word(self, k: int) -> Word:
        base = self.address if k >= 0 else self.end
        return Word.let(intrin.load("uint64", base + T.int64(k)))

    def half(self, k: int) -> Word:
        base = self.address if k >= 0 else self.end
        return Word.of(intrin.load("uint32", base + T.int64(k)))

    def byte(self, k) -> Word:
        return Word.of(intrin.load("uint8", self.address + k))

    @property
    def multiplier(self) -> Word:
        return Word.of(self.length) * 2 + _K2


def _mix(word: Word) -> Word:
    return word ^ (word >> 47)


def _join(u: Word, v: Word, multiplier: Word) -> Word:
    """HashLen16: two words to one."""
    a = _mix((u ^ v) * multiplier)
    return _mix((v ^ a) * multiplier) * multiplier


def _hash_1_to_3(text: _Text) -> Word:
    first, middle = text.byte(T.int64(0)), text.byte(T.shift_right(text.length, T.int64(1)))
    last = text.byte(text.length - T.int64(1))
    y = first + (middle << 8)
    z = Word.of(text.length) + (last << 2)
    return _mix(y * _K2 ^ z * _K0) * _K2


def _hash_4_to_7(text: _Text) -> Word:
    return _join(Word.of(text.length) + (text.half(0) << 3), text.half(-4), text.multiplier)


def _hash_8_to_16(text: _Text) -> Word:
    multiplier = text.multiplier
    a, b = text.word(0) + _K2, text.word(-8)
    c = b.rotr(37) * multiplier + a
    d = (a.rotr(25) + b) * multiplier
    return _join(c, d, multiplier)


def _outer(text: _Text, first_factor: int) -> tuple[Word, Word, Word]:
    """(a, y, x) of the first and the last 16 bytes, common to 17..32 and 33..64."""
    a, b = text.word(0) * first_factor, text.word(8)
    c, d = text.word(-8) * text.multiplier, text.word(-16) * _K2
    return a, (a + b).rotr(43) + c.rotr(30) + d, a + (b + _K2).rotr(18) + c


def _hash_17_to_32(text: _Text) -> Word:
    _a, y, x = _outer(text, _K1)
    return _join(y, x, text.multiplier)


def _hash_33_to_64(text: _Text) -> Word:
    multiplier = text.multiplier
    a, y, x = _outer(text, _K2)
    z = _join(y, x, multiplier)
    e, f = text.word(16) * multiplier, text.word(24)
    g, h = (y + text.word(-32)) * multiplier, (z + text.word(-24)) * multiplier
    return _join((e + f).rotr(43) + g.rotr(30) + h, e + (f + a).rotr(18) + g, multiplier)


def _weak(block: _Text, k: int, a: Word, b: Word) -> Pair:
    """WeakHashLen32WithSeeds of the 32 bytes at `k`."""
    w, x, y, z = (block.word(k + 8 * i) for i in range(4))
    a = a + w
    b = (b + a + z).rotr(21)
    total = a + x + y
    return total + z, b + total.rotr(44) + a


class _State:
    """The seven words that a block of 64 bytes changes."""

    def __init__(self, x: Word, y: Word, z: Word, v: Pair, w: Pair):
        self.x, self.y, self.z, self.v, self.w = x, y, z, v, w

    def words(self) -> list[Word]:
        return [self.x, self.y, self.z, *self.v, *self.w]

    def absorb(self, block: _Text, multiplier: Word, scale: int) -> _State:
        """The state after one block; `scale` is 9 for the last block and 1 before."""
        x = (self.x + self.y + self.v[0] + block.word(8)).rotr(37) * multiplier
        y = (self.y + self.v[1] + block.word(48)).rotr(42) * multiplier
        x = x ^ self.w[1] * scale
        y = y + self.v[0] * scale + block.word(40)
        z = (self.z + self.w[0]).rotr(33) * multiplier
        v = _weak(block, 0, self.v[1] * multiplier, x + self.w[0])
        w = _weak(block, 32, z + self.w[1], y + block.word(16))
        return _State(z, y, x, v, w)  # x and z change places


def _hash_blocks(text: _Text) -> Word:
    """More than 64 bytes: whole blocks first; the last 64 bytes of the text are the final block and may overlap the one before."""
    y0 = (81 * _K1 + 113) % 2**64
    z0 = (y0 * _K2 + 113) % 2**64
    z0 = (z0 ^ z0 >> 47) * _K2 % 2**64
    start = [(text.word(0) + 81 * _K2).expr, y0, z0, 0, 0, 0, 0]
    words = [intrin.local("uint64", value) for value in start]
    rest = T.bind(T.bitwise_and(text.length - T.int64(1), T.int64(_BLOCK - 1)))
    with T.serial(T.shift_right(text.length - T.int64(1), T.int64(6))) as number:
        block = _Text(T.bind(text.address + number * T.int64(_BLOCK)), T.int64(_BLOCK))
        for buffer, word in zip(words, _state(words).absorb(block, Word(_K1), 1).words(), strict=True):
            intrin.assign(buffer, word.expr)
    state = _state(words)
    multiplier = ((state.z & 0xFF) << 1) + _K1
    w0 = state.w[0] + Word.of(rest)
    v0 = state.v[0] + w0
    state.v, state.w = (v0, state.v[1]), (w0 + v0, state.w[1])
    last = _Text(T.bind(text.end - T.int64(_BLOCK)), T.int64(_BLOCK))
    done = state.absorb(last, multiplier, 9)
    left = _join(done.v[0], done.w[0], multiplier) + _mix(done.y) * _K0 + done.z
    return _join(left, _join(done.v[1], done.w[1], multiplier) + done.x, multiplier)


def _state(words) -> _State:
    x, y, z, v0, v1, w0, w1 = (Word.let(buffer[0]) for buffer in words)
    return _State(x, y, z, (v0, v1), (w0, w1))
