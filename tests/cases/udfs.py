"""User-defined functions of the tests: each part of the subset of Python at least once."""

# ruff: noqa: B905  zip takes no keywords in the subset

from __future__ import annotations

import math

import tvm_rank

LIMIT = 50
VOWELS = "aeiou"


@tvm_rank.udf
def arithmetic(a: int, b: int) -> int:
    return (a // b) * 3 - a % b + (a & b) - (a ^ 5) + (a << 3) - (b >> 1) + abs(a) + a**2 | -a & ~b


@tvm_rank.udf
def reals(x: float, y: float) -> float:
    if x > y and not math.isnan(x):
        return math.sqrt(x) + y**2.0 - math.exp(y)
    return x / y + x // y - x % y + math.floor(x) + round(y) + min(x, y, 3) + max(x, -y)


@tvm_rank.udf
def loops(n: int, *, step: int = -2, scale: float = 1.0) -> float:
    """Options, a range with a step, break, continue, while, an early return."""
    total = 0
    for i in range(n, 0, step):
        if i % 3 == 0:
            continue
        if total > LIMIT:
            break
        total += i
    k = 0
    while k < n:
        k += 1
        if k == 7:
            return (total * 1000 + k) * scale
    return total * scale


@tvm_rank.udf
def hits(words: list[str], title: str) -> float:
    found = 0
    for word in words:
        if word in title or word == "abc":
            found += 1
        elif title.startswith(word[:2]) or title.endswith("x"):
            found += 10
    return found / len(words)


@tvm_rank.udf
def lists(xs: list[float], ks: list[int]) -> list[float]:
    out: list[float] = []
    for x, k in zip(xs, ks):
        out.append(x * k)
    out.append(sum(ks))
    best = max(out)
    no_three = all([k != 3 for k in ks])
    if any([k < 0 for k in ks]) and not no_three:
        out[0] = best
        out[-1] += 0.5
    return [v + 1 for v in out[:5] if v > -1e9]


@tvm_rank.udf
def pieces(a: str, b: str) -> str:
    if not a:
        return b[1:-1]
    vowels = 0
    for index, c in enumerate(a):
        if c in VOWELS and index < 9:
            vowels += 1
    end = a[0] if vowels > 1 else "中"
    return a[:3] + "-" + b[-2:] + end


@tvm_rank.udf(name="fingerprint")
def hash_of_bytes(a: bytes) -> int:
    h = 7
    for c in a:
        h = (h * 31 + c) & 0xFFFFFFFF
    return h


@tvm_rank.udf
def optional(a: float) -> float | None:
    if a < 0:
        return None
    if a > 100:
        raise ValueError("too large")
    assert a != 5
    return 1.0 if 2 < a <= 3 else a


@tvm_rank.udf
def digits(text: str) -> list[int]:
    found: list[int] = []
    for c in text:
        if "0" <= c <= "9":
            found.append(ord(c) - ord("0"))
        else:
            found = [0] * 2
    return found


@tvm_rank.udf
def window(xs: list[int], a: bool) -> int:
    """Negative indices, nested loops, swaps, a list that two variables share."""
    rows = [[0][0] for _ in range(3)]
    other = rows
    for i in range(len(xs)):
        for j in range(i, len(xs)):
            if xs[j] > xs[i] or (a and xs[-1 - j] == 7):
                rows[j % 3] += 1
    first, last = other[0], other[-1]
    first, last = last, first
    return first * 100 + last * 10 + rows[1]


UDFS = [arithmetic, reals, loops, hits, lists, pieces, hash_of_bytes, optional, digits, window]
