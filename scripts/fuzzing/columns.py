"""Random Arrow columns: nulls, empty texts and lists, any bytes, extreme numbers, repeated keys, malformed maps.

A column is built from few different rows, so that rows repeat, and sliced, so that it does not begin with its buffers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Row = Any
Draw = random.Random
TEXT = pa.string()
NUMBERS = (pa.int32(), pa.int64(), pa.float32(), pa.float64())
WORDS = ("a", "b", "ab", "7", "-3", "2.5", "1e3", "价格", "é", "🙂", "a\0b", "\0", " ", "x" * 40, "ALL", "true", "1", "0")
SEPARATORS = ("|", "\x1d", "||", "|\x1d|")
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.1, 0.5, 2.5, 1e-40, 3e38, 1e300, -1e300, 5e-324, float("inf"), float("-inf"), float("nan"))


def number(draw: Draw, kind: pa.DataType) -> float | int:
    """A number of the type: small, special, or of random bits."""
    if kind in (pa.int32(), pa.int64()):
        bits = 32 if kind == pa.int32() else 64
        if draw.random() < 0.5:
            return draw.randint(-20, 20)
        return draw.choice([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, draw.getrandbits(bits) - 2 ** (bits - 1)])
    choice = draw.randrange(3)
    if choice == 0:
        return draw.choice(SPECIAL)
    return round(draw.uniform(-9, 9), 2) if choice == 1 else float(np.frombuffer(draw.randbytes(8), np.float64)[0])


def word(draw: Draw) -> bytes:
    """A text without separators: a word that others have too, a number, or random bytes."""
    choice = draw.randrange(8)
    if choice < 5:
        return draw.choice(WORDS).encode()
    if choice == 5:
        return str(number(draw, draw.choice(NUMBERS))).encode()
    return draw.randbytes(draw.randrange(12)).replace(b"|", b"").replace(b"\x1d", b"") if choice == 6 else b""


def numeric_text(draw: Draw) -> bytes:
    """A text that is a number, mostly."""
    return word(draw) if draw.randrange(12) == 0 else str(number(draw, draw.choice(NUMBERS))).encode()


def integer_text(draw: Draw) -> bytes:
    """A text that is an integer, also beyond int64 and with zeros before it; sometimes none."""
    return (
        draw.choice([b"", b"", b"+", b"-"])
        + b"0" * draw.choice([0, 0, 3])
        + str(draw.getrandbits(draw.choice([1, 4, 8, 63, 70]))).encode()
    )


def entry(draw: Draw) -> bytes:
    """A part of a map: key:value, sometimes malformed."""
    value = draw.choice([numeric_text, numeric_text, word])(draw)
    return draw.choice([word(draw) + b":" + value, word(draw) + b":" + value, word(draw), word(draw) + b":", b"a:b:c"])


def nested(draw: Draw) -> bytes:
    """A map of maps as match_feature reads it, sometimes malformed."""
    groups = []
    for _ in range(draw.randint(0, 3)):
        items = b",".join(word(draw) + b":" + numeric_text(draw) for _ in range(draw.randint(0, 3)))
        groups.append(word(draw) + b"^" + items)
    text = b"|".join(groups)
    if text and draw.randrange(8) == 0:
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice([b"^", b",", b":", b"|", b" "]) + text[at:]
    return text


# ---------------------------------------------------------------- rows and columns


def _validity(rows: Sequence[Row]) -> pa.Buffer | None:
    valid = np.array([row is not None for row in rows], bool)
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def scalars(values: Sequence[Row], kind: pa.DataType) -> pa.Array:
    """A column of text (any bytes) or numbers; below a null lies something."""
    if kind != TEXT:
        filled = np.array([77 if value is None else value for value in values])
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = filled.astype(kind.to_pandas_dtype())
        return pa.Array.from_buffers(kind, len(values), [_validity(values), pa.py_buffer(numbers)])
    texts = [b"1|2" if value is None else value for value in values]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.Array.from_buffers(kind, len(values), [_validity(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])


def lists(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    """A column of lists."""
    filled = [[None] if row is None else row for row in rows]
    offsets = np.cumsum([0, *map(len, filled)], dtype=np.int32)
    values = scalars([element for row in filled for element in row], kind)
    return pa.Array.from_buffers(pa.list_(kind), len(rows), [_validity(rows), pa.py_buffer(offsets)], children=[values])


def column(draw: Draw, rows: int, kind: pa.DataType, row: Callable[[int], Row]) -> pa.Array:
    """A column whose row r is `row(r)` or null."""
    before = draw.choice([0, 0, 1, 9])
    count = before + rows
    values = [None if draw.randrange(9) == 0 else row(max(0, r - before)) for r in range(count)]
    whole = lists(values, kind.value_type) if pa.types.is_list(kind) else scalars(values, kind)
    return whole.slice(before)


def shared(draw: Draw, columns: Mapping[str, pa.Array], read: Sequence[str]) -> dict[str, pa.Array]:
    """The columns, in every other batch some of those that are read with one row that serves all; one at least has them all."""
    whole = draw.choice(read)
    chosen = {name for name in read if name != whole and draw.randrange(3) == 0} if draw.randrange(2) else set()
    return {name: column.slice(draw.randrange(len(column)), 1) if name in chosen else column for name, column in columns.items()}


def values(
    draw: Draw, rows: int, *, text: Callable[[Draw], bytes] = word, counts: Sequence[int] | None = None, numeric: bool = True
) -> pa.Array:
    """A column of a random type: texts with separators, numbers, or lists of them. `counts`: how many values row r has, if it is
    fixed; `numeric`: whether numbers may come."""

    def count(r: int) -> int:
        return draw.randrange(5) if counts is None else draw.choice([counts[r], counts[r], 1, 0])

    element = draw.choice((TEXT, TEXT, *NUMBERS)) if numeric else TEXT
    if draw.random() < 0.4:
        make = (lambda: text(draw)) if element == TEXT else (lambda: number(draw, element))
        nulls = 0 if counts is not None and element == TEXT else 9
        return column(
            draw,
            rows,
            pa.list_(element),
            lambda r: [None if nulls and draw.randrange(nulls) == 0 else make() for _ in range(count(r))],
        )
    if element == TEXT:
        between = (lambda: draw.choice(SEPARATORS)) if counts is None else (lambda: "|")
        return column(draw, rows, TEXT, lambda r: between().encode().join(text(draw) for _ in range(count(r))))
    return column(draw, rows, element, lambda _r: number(draw, element))


def maps(draw: Draw, rows: int, *, numeric: bool) -> pa.Array:
    """A column of maps: Arrow's, lists of parts, or texts of parts."""
    form = draw.randrange(3)
    if form == 0:
        item = draw.choice(NUMBERS) if numeric else draw.choice((TEXT, *NUMBERS))
        make = (lambda: numeric_text(draw)) if item == TEXT else (lambda: number(draw, item))
        made = [[(word(draw), None if draw.randrange(9) == 0 else make()) for _ in range(draw.randrange(5))] for _ in range(rows)]
        keys, items = scalars([k for row in made for k, _ in row], TEXT), scalars([v for row in made for _, v in row], item)
        kind = pa.map_(TEXT, item)
        pairs = pa.StructArray.from_arrays([keys, items], fields=[kind.key_field, kind.item_field])
        offsets = pa.py_buffer(np.cumsum([0, *map(len, made)], dtype=np.int32))
        return pa.Array.from_buffers(kind, rows, [None, offsets], children=[pairs])
    if form == 1:
        return column(draw, rows, pa.list_(TEXT), lambda _r: [entry(draw) for _ in range(draw.randrange(5))])
    return column(draw, rows, TEXT, lambda _r: b"\x1d".join(entry(draw) for _ in range(draw.randrange(5))))
