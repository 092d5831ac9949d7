"""Raw columns for generated samples: values that features know, next to boundaries, or of no vocabulary; several in a row; empty; null."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.runtime.columns import MAPS, NESTED, NUMBER, TEXT, WEIGHTED
from tvm_rank.samples.wanted import Wanted

RICH, REGULAR, CONSTANT = 0, 1, 2
"""How much a column varies: all forms; a value in each row; the same value in each row."""
WORDS = ("a", "b", "7", "é", "裙子")  # few, so that keys meet the maps that hold them
SENTENCES = ("Blue Shirt 42", "ＡＢＣ，价格", "kitten sitting", "l'été à Paris!")
INTEGERS = ("0", "1", "2", "7")
NUMBERS = (0.0, 1.0, 0.5, 2.5, -1.0, 7.0)
MASK = ("true", "1", "false", "0")
EXACT = 2.0**53  # float64 below it holds integers exactly
NULLS, EMPTIES = 0.1, 0.08  # of the rows of a column
MOST_VALUES = 3


@dataclass(frozen=True)
class Shape:
    """How many values, and how many elements of sequences, each row has: the same in all columns, since formulas and masks ask for it."""

    values: tuple[int, ...]
    elements: tuple[int, ...]

    @classmethod
    def of(cls, rows: int, draw: random.Random) -> Shape:
        """Rows of one value first, then of several."""
        values = [1 if row == 0 else draw.randint(1, MOST_VALUES) for row in range(rows)]
        return cls(tuple(values), tuple(1 if row == 0 else draw.randint(1, 4) for row in range(rows)))


def column(wanted: Wanted, shape: Shape, draw: random.Random, level: int) -> pa.Array:
    """A column for these rows."""
    if level != RICH:
        shape = Shape((1,) * len(shape.values), (1,) * len(shape.elements))
    form = _form(wanted, draw, level)
    rows: list[Any] = []
    for values, elements in zip(shape.values, shape.elements, strict=True):
        chance = draw.random()
        if level == RICH and rows and chance < NULLS + EMPTIES:  # the first row has a value in all columns
            rows.append(None if chance < NULLS else form.empty)
        else:
            count = wanted.count or (1 if wanted.is_text or form.single else values)
            made = [form.row(count) for _ in range(elements if wanted.elements else 1)]
            rows.append(form.together(made) if wanted.elements else made[0])
    return pa.array(rows, form.type)


@dataclass(frozen=True)
class _Form:
    """How a column is written: its Arrow type, `row` gives an element or a row of so many values, `together` a row of elements."""

    type: pa.DataType
    row: Callable[[int], Any]
    together: Callable[[list[Any]], Any] = list
    empty: Any = None
    single: bool = False


def _form(wanted: Wanted, draw: random.Random, level: int) -> _Form:
    roles, is_constant = wanted.roles, level == CONSTANT
    if NESTED in roles:
        form = _texts(lambda _count: _nested(draw, is_constant), "|")
    elif roles & {*MAPS, WEIGHTED}:
        form = _maps(wanted, draw, is_constant)
    elif roles == {NUMBER}:
        form = _numbers(wanted, draw, is_constant)
    else:
        word = _word(wanted, draw, is_constant)
        form = _texts(lambda count: [word() for _ in range(count)], wanted.separator)
        if not wanted.elements and not wanted.is_text and draw.random() < 0.3:
            return _Form(pa.list_(pa.string()), lambda count: [word() for _ in range(count)], empty=[])
    if not wanted.elements:
        return form
    if len(wanted.delimiters) == 1 and form.type == pa.string() and draw.random() < 0.5:
        (delimiter,) = wanted.delimiters
        return _Form(pa.string(), form.row, delimiter.join, "")
    return _Form(pa.list_(form.type), form.row, list, [], form.single)


def _texts(parts: Callable[[int], Sequence[str]], separator: str) -> _Form:
    return _Form(pa.string(), lambda count: separator.join(parts(count)), empty="")


def _word(wanted: Wanted, draw: random.Random, is_constant: bool) -> Callable[[], str]:
    """Texts: those that the features know, others, or numbers where some feature reads numbers."""
    if is_constant:
        return lambda: "1"
    if wanted.is_mask:
        return lambda: draw.choice(MASK)
    others: Sequence[str] = INTEGERS if wanted.integers else WORDS
    if NUMBER in wanted.roles:
        others = [_number_text(number) for number in (*wanted.numbers, *NUMBERS)] if not wanted.integers else INTEGERS
    elif wanted.is_text and not wanted.integers:
        others = (*WORDS, *SENTENCES)
    return lambda: draw.choice(wanted.words if wanted.words and draw.random() < 0.6 else others)


def _numbers(wanted: Wanted, draw: random.Random, is_constant: bool) -> _Form:
    """Numbers, or lists of them."""
    pool, kind = (*wanted.numbers, *NUMBERS), draw.choice((pa.float32(), pa.float64(), pa.int64()))
    if wanted.integers:
        pool = tuple(float(word) for word in (*wanted.words, *INTEGERS) if word.isdecimal() and len(word) < 16)
    if is_constant:
        pool = (1.0,)
    if wanted.integers or (kind == pa.int64() and max(map(abs, pool)) < EXACT):
        kind = pa.int64()
    elif kind == pa.int64():
        kind = pa.float64()

    def number() -> float | int:
        value = draw.choice(pool)
        return int(value) if kind == pa.int64() else float(np.float32(value)) if kind == pa.float32() else value

    if wanted.count == 1 or (wanted.count is None and draw.random() < 0.5):
        return _Form(kind, lambda _count: number(), single=True)
    return _Form(pa.list_(kind), lambda count: [number() for _ in range(count)], empty=[])


def _maps(wanted: Wanted, draw: random.Random, is_constant: bool) -> _Form:
    """Texts of `key:value`, lists of such, or Arrow maps to numbers."""
    keys = ("1",) if is_constant else (*WORDS, *INTEGERS)
    numbers = INTEGERS if wanted.integers else [_number_text(number) for number in (*wanted.numbers, *NUMBERS)]

    def value() -> str:
        if is_constant:
            return "1"
        if wanted.words and draw.random() < 0.5:
            return draw.choice(wanted.words)
        return ",".join(draw.choice(numbers) for _ in range(wanted.width))

    delimiter = next(iter(sorted(wanted.key_delimiters)), ":")
    weighted = wanted.words if wanted.roles & {WEIGHTED} and not is_constant else ()

    def entries(count: int) -> list[tuple[str, str]]:
        known = (*keys, *weighted)
        chosen = draw.sample(known, min(len(known), count + MOST_VALUES))
        return [(key, draw.choice(numbers) if weighted else value()) for key in chosen]

    def parts(count: int) -> list[str]:
        return [f"{key}{delimiter}{text}" for key, text in entries(count)]

    is_plain = not wanted.elements and TEXT not in wanted.roles and NUMBER not in wanted.roles and wanted.width == 1
    if len(wanted.key_delimiters) > 1 or (is_plain and not wanted.words and draw.random() < 0.4):
        return _Form(pa.map_(pa.string(), pa.float64()), lambda count: [(k, float(v)) for k, v in entries(count)], empty=[])
    if is_plain and draw.random() < 0.4:
        return _Form(pa.list_(pa.string()), parts, empty=[])
    return _texts(parts, "\x1d")


def _nested(draw: random.Random, is_constant: bool) -> list[str]:
    """Groups of `category^item:value,...`."""
    if is_constant:
        return ["1^1:1"]
    keys = (*WORDS, *INTEGERS)
    groups = {draw.choice(keys): draw.sample(keys, 3) for _ in range(3)}
    return [f"{key}^{','.join(f'{item}:{draw.choice(INTEGERS)}' for item in items)}" for key, items in groups.items()]


def _number_text(number: float) -> str:
    return f"{number:.6g}"
