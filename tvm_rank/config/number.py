"""The two number grammars of feature values: what counts as an integer, and what counts as a number, in text.

Both take bytes, because kernels see bytes, and both accept ASCII only and no blanks, underscores or hexadecimal digits.
"""

from __future__ import annotations

import re

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

_INTEGER = re.compile(rb"([+-]?)([0-9]+)")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)


def parse_int64(text: bytes) -> int | None:
    """The integer that `text` spells: an optional sign, then one or more decimal digits; None for anything else.

    Beyond int64 it saturates: no bucket count reaches INT64_MAX + 1, so such an id is out of range for every feature.
    """
    match = _INTEGER.fullmatch(text)
    if not match:
        return None
    digits = match[2].lstrip(b"0") or b"0"
    magnitude = int(digits) if len(digits) <= 19 else 2**64  # Python refuses to convert very long digit strings
    return max(INT64_MIN, min(INT64_MAX, -magnitude if match[1] == b"-" else magnitude))


def parse_float(text: bytes) -> float | None:
    """The double nearest to the number that `text` spells, None when it spells none.

    An optional sign; decimal digits with an optional point (at least one digit); an optional exponent. Or inf, infinity, nan in any
    case. Too large gives infinity, too small zero.
    """
    return float(text) if _FLOAT.fullmatch(text) else None
