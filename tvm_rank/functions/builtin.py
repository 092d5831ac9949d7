"""The operators that ship: EditDistance and SeqExpr."""

from __future__ import annotations

from collections.abc import Mapping

from tvm_rank.functions.function import Udf, udf


@udf(name="EditDistance")
def edit_distance(a: str, b: str) -> int:
    """How many characters must be put in, taken out or replaced to make one text of the other (Levenshtein)."""
    previous = [j for j in range(len(b) + 1)]
    current = [0] * (len(b) + 1)
    for i, x in enumerate(a):
        current[0] = i + 1
        for j, y in enumerate(b):
            if x == y:
                current[j + 1] = previous[j]
            else:
                current[j + 1] = 1 + min(previous[j], previous[j + 1], current[j])
        previous, current = current, previous
    return previous[len(b)]


@udf(name="EditDistance")
def edit_distance_of_bytes(a: bytes, b: bytes) -> int:
    """The same over bytes, for `encoding` latin."""
    previous = [j for j in range(len(b) + 1)]
    current = [0] * (len(b) + 1)
    for i, x in enumerate(a):
        current[0] = i + 1
        for j, y in enumerate(b):
            if x == y:
                current[j + 1] = previous[j]
            else:
                current[j + 1] = 1 + min(previous[j], previous[j + 1], current[j])
        previous, current = current, previous
    return previous[len(b)]


ENCODINGS: Mapping[str, Udf] = {"utf-8": edit_distance, "latin": edit_distance_of_bytes}
EDIT_DISTANCE, SEQ_EXPR = "EditDistance", "SeqExpr"
BUILTIN = (EDIT_DISTANCE, SEQ_EXPR)
