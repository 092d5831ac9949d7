"""What each character becomes under text_normalizer: one table for width, case, traditional characters and special characters."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Collection
from functools import lru_cache

import numpy as np

from tvm_rank.errors import RankError

CODE_POINTS = sys.maxunicode + 1
BLANK = 0x20
SPACES = np.array([9, 10, 11, 12, 13, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
HAN_RANGES = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_KEPT = frozenset((*SPACES.tolist(), 0x1D))  # chr(29) separates values
_LAST_CHECKED = 0x1FFFF  # no cased, wide or special character lies behind, but tags
_FULL_WIDTH, _FULL_BLANK, _TO_HALF = range(0xFF01, 0xFF5F), 0x3000, 0xFEE0
_SPECIAL = ("P", "S", "C")  # Unicode's categories of punctuation, symbols, controls
_UNASSIGNED = ("Cn", "Cs", "Co")


def character_table(
    *, case: str, half_width: bool, simplified: bool, filter_special: bool, stop_characters: Collection[str] | None = None
) -> bytes:
    """Pairs (code point, what it becomes) of little-endian uint32, for the characters that change.

    case: "lower", "upper" or "" · half_width: full-width ASCII and the ideographic blank become ASCII · simplified: traditional characters,
    one by one, by OpenCC's table · filter_special: punctuation, symbols and control characters, or the `stop_characters` in their place,
    become a blank. They apply in this order. Raises RankError when `simplified` needs OpenCC and it is not installed.
    """
    steps: list[Callable[[str], str]] = []
    if half_width:
        steps.append(_half_width)
    if case:
        steps.append(_lower if case == "lower" else _upper)
    if simplified:
        to_simplified = simplified_characters()
        steps.append(lambda c: to_simplified.get(c, c))
    if filter_special:
        steps.append(lambda c: " " if (is_special(c) if stop_characters is None else c in stop_characters) else c)
    checked = [chr(code) for code in range(_LAST_CHECKED + 1) if not 0xD800 <= code <= 0xDFFF]
    if simplified:
        checked += [c for c in to_simplified if ord(c) > _LAST_CHECKED]
    if filter_special and stop_characters is not None:
        checked += [c for c in stop_characters if ord(c) > _LAST_CHECKED]
    pairs = []
    for character in checked:
        becomes = character
        for step in steps:
            becomes = step(becomes)
        if becomes != character:
            pairs.append((ord(character), ord(becomes)))
    return np.array(pairs, "<u4").reshape(-1, 2).tobytes()


def _half_width(character: str) -> str:
    code = ord(character)
    return " " if code == _FULL_BLANK else chr(code - _TO_HALF) if code in _FULL_WIDTH else character


def _lower(character: str) -> str:
    return other if len(other := character.lower()) == 1 else character


def _upper(character: str) -> str:
    return other if len(other := character.upper()) == 1 else character


def is_special(character: str) -> bool:
    """Punctuation, a symbol or a control character. Tabs and line ends are blanks already, and stay, as does chr(29)."""
    category = unicodedata.category(character)
    return category[0] in _SPECIAL and category not in _UNASSIGNED and ord(character) not in _KEPT


@lru_cache(maxsize=1)
def simplified_characters() -> dict[str, str]:
    """Traditional character -> simplified one, where they differ, by OpenCC."""
    try:
        import opencc
    except ImportError as error:
        raise RankError(
            "text_normalizer needs the package 'OpenCC' for traditional characters: pip install 'tvm-rank[text]'"
        ) from error
    characters = [chr(code) for first, last in HAN_RANGES for code in range(first, last + 1)]
    converted = opencc.OpenCC("t2s").convert("\n".join(characters)).split("\n")
    pairs = zip(characters, converted, strict=True)
    return {before: after for before, after in pairs if before != after and len(after) == 1}
