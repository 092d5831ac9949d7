"""Eight decimal digits at a time: eight ASCII bytes in one word, the first digit in the lowest byte."""

from __future__ import annotations

from te_schedules.intrin import Word

COUNT = 8
ZEROS = 0x3030303030303030  # the text "00000000"
_HIGH_HALVES = 0xF0F0F0F0F0F0F0F0
PAIRS = 0x000000FF000000FF  # every other pair of digits; their weights in the upper half of the sum:
BYTE_PAIRS, QUADS = 0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF  # every pair of digits, every four
OUTER, INNER = 100 + (1_000_000 << 32), 1 + (10_000 << 32)


def are_digits(text: Word):
    """Condition: all eight bytes are ASCII digits."""
    # adding 6 moves ':' to '?' out of the bytes that begin with 3; a carry into the next byte needs a byte of 0xFA or more
    high = (text & _HIGH_HALVES) | ((text + 0x0606060606060606 & _HIGH_HALVES) >> 4)
    return high.equals(0x3333333333333333)


def value_of(text: Word) -> Word:
    """The number that eight ASCII digits write."""
    return number_of(text - ZEROS)


def number_of(pairs: Word) -> Word:
    """The number of eight digits, each a byte of 0 to 9."""
    pairs = pairs * 10 + (pairs >> 8)  # bytes 0, 2, 4, 6 are the four pairs
    outer, inner = pairs & PAIRS, (pairs >> 16) & PAIRS
    return (outer * OUTER + inner * INNER) >> 32
