"""User-defined functions that are fuzzed; Python itself is their reference. Their results have no rounding that machines may differ in."""

from __future__ import annotations

import tvm_rank


@tvm_rank.udf
def clipped(x: float, y: float, *, low: float = -2.0, high: float = 9.0) -> float | None:
    """Branches, comparisons, None."""
    if x != x or y != y:
        return None
    if low <= x <= high:
        return x * y
    return low if x < low else high


@tvm_rank.udf
def shared(left: list[str], right: list[str], *, weight: float = 1.0) -> float:
    """Lists of texts; an empty one has no length to divide by."""
    found = 0
    for word in left:
        if word in right:
            found += 1
    return weight * found / len(left)


@tvm_rank.udf
def initials(text: str, *, most: int = 3) -> str:
    """Texts: characters, slices, sums."""
    result = ""
    for k in range(len(text)):
        if k == 0 or text[k - 1] == " ":
            result = result + text[k : k + 1]
    return result[:most]


@tvm_rank.udf
def polynomial_hash(text: bytes, *, modulus: int = 1000) -> int:
    """Integers that stay small."""
    h = 7
    for byte in text:
        h = (h * 31 + byte) & 0xFFFFFFFF
    return h % modulus


@tvm_rank.udf
def steps(values: list[float]) -> list[float]:
    """Lists of numbers, made and indexed."""
    return [values[k] - values[k - 1] for k in range(1, len(values))]


FUNCTIONS = (clipped, shared, initials, polynomial_hash, steps)
