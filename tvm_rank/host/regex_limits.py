"""What a pattern may cost: its size when repetitions are written out, and whether it can be quadratic.

RE2 never backtracks, so one search is linear in the text. Two things are left: the factor, which is the size of the pattern, and the
replacement of *all* matches, which begins a search behind each match: `a.*b|a` over "aaaa..." searches to the end each time. Only a
pattern with an unbounded repetition can do that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_PATTERN_SIZE = 2_000  # characters and classes with repetitions written out
MAX_UNBOUNDED_TEXT = 64 * 1024  # bytes of a text whose matches are all replaced by a pattern that can be quadratic
MAX_TEXT = 4 * 1024 * 1024  # bytes of any other text

_TOKEN = re.compile(
    r"\\Q.*?(?:\\E|$)|\\[pPx]\{[^}]*\}|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]])*\]|\(\?[^)]*?:|\(\?P?<\w+>|\(\?[imsU-]*\)"
    r"|\{\d+(?:,\d*)?\}|.",
    re.DOTALL,
)
_COUNTS = re.compile(r"\{(\d+)(,(\d*))?\}")


@dataclass(frozen=True)
class PatternCost:
    """`size`: of the pattern written out · `unbounded`: it has a repetition without an upper limit."""

    size: int
    unbounded: bool

    @property
    def text_limit(self) -> int:
        """The bytes of a text in which all matches may be replaced."""
        return MAX_UNBOUNDED_TEXT if self.unbounded else MAX_TEXT


def pattern_cost(pattern: str) -> PatternCost:
    """The cost of a pattern that RE2 accepts."""
    sizes = [0]  # of the open groups, outermost first
    last, unbounded = 0, False
    for token in _TOKEN.findall(pattern):
        if token.startswith("(") and not (token.startswith("(?") and token.endswith(")")):
            sizes.append(0)
            last = 0
        elif token == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        elif token in ("*", "+") or _COUNTS.fullmatch(token):
            times, endless = _repetitions(token)
            sizes[-1] += last * (times - 1)
            last *= times
            unbounded = unbounded or endless
        elif token == "|" or token.startswith("(?"):
            last = 0
        elif token != "?":
            last = len(token) if token.startswith("\\Q") else 1
            sizes[-1] += last
    return PatternCost(sum(sizes), unbounded)


def _repetitions(token: str) -> tuple[int, bool]:
    """(copies of what is repeated, whether there is no upper limit)"""
    counts = _COUNTS.fullmatch(token)
    if counts is None:
        return 1, True
    least, is_range, most = counts.groups()
    return max(1, int(most or least)), bool(is_range) and not most
