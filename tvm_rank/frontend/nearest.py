"""The "did you mean" of messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MAX_SUGGESTIONS = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'a' or 'b'?" with the names most like `name`, or "" when none is near."""
    by_lower: dict[str, str] = {}
    for one in known:
        by_lower.setdefault(one.lower(), one)
    near = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=MAX_SUGGESTIONS)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
