"""The hash of libstdc++'s `std::hash<std::string>`: MurmurHash64A with seed 0xc70f6907 (docs/features.md, `hash_function: std`).

8-byte little-endian words, then the 1..7 bytes that remain, also little-endian
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word
from te_schedules.text import short

SEED = 0xC70F6907
_MULTIPLIER = 0xC6A4A7935BD1E995
_SHIFT = 47


def emit(address, length) -> Word:
    """The uint64 hash of the `length` bytes at `address` (both int64); any length. Reads only these bytes."""
    result = intrin.local("uint64", (Word.of(length) * _MULTIPLIER ^ SEED).expr)
    end = T.bind(address + length)
    with T.If(length >= T.int64(8)):
        with T.Then():
            _absorb_words(result, address, end)
            _absorb_rest_of_long(result, length, end)
        with T.Else(), T.If(length > T.int64(0)), T.Then():
            _absorb(result, short.load(address, length))
    return _mix(_mix(Word.let(result[0])) * _MULTIPLIER)


def _mix(word: Word) -> Word:
    return word ^ (word >> _SHIFT)


def _absorb(result, word: Word) -> None:
    intrin.assign(result, ((Word.let(result[0]) ^ word) * _MULTIPLIER).expr)


def _absorb_words(result, address, end) -> None:
    at = intrin.local("int64", address)
    with T.While(at[0] + T.int64(8) <= end):
        _absorb(result, _mix(Word.let(intrin.load("uint64", at[0])) * _MULTIPLIER) * _MULTIPLIER)
        intrin.assign(at, at[0] + T.int64(8))


def _absorb_rest_of_long(result, length, end) -> None:
    """The last length % 8 bytes of a text of 8 or more: a select and not a branch, which would be mispredicted often."""
    count = T.bind(T.bitwise_and(length, T.int64(7)))
    before = Word.let(result[0])
    # the part of the last 8 bytes that no word held; two shifts, because one of 64 bits is undefined
    rest = (Word.let(intrin.load("uint64", end - T.int64(8))) >> 8) >> Word.of((T.int64(7) - count) * T.int64(8))
    after = (before ^ rest) * _MULTIPLIER
    intrin.assign(result, T.Select(count > T.int64(0), after.expr, before.expr))
