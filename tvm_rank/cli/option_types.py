"""Values of options that several verbs have; a wrong one is a usage error."""

from __future__ import annotations

import argparse
import re


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers, separated by commas."""
    return tuple(count(part) for part in text.split(","))


def names(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(part for part in text.split(",") if part)


def targets(text: str) -> tuple[str, ...]:
    """Targets, separated by commas; TVM's own are JSON in braces."""
    return tuple(part for part in re.findall(r"\{[^{}]*\}|[^,{}]+", text) if part)


def seconds(text: str) -> float:
    """A time; 10m and 2h are understood."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    number = text[:-1] if unit else text
    try:
        found = float(number) * (unit or 1)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, or 10m, or 2h")
    return found
