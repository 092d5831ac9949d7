"""The loops over the values of one row, and over the elements of one embedding, which sinks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import PlainTexts, are_plain_texts
from te_schedules.tokens import Text

LANES = 16  # float32 in the widest vector of any CPU target; LLVM splits it where vectors are narrower


def row_ids(section, scope, row, accept: Callable, nothing: Callable[[], None] | None = None) -> None:
    """Emit `accept(id, weight)` for the ids that a row keeps, in a sequence for those of its elements; `nothing()` when there are none."""
    if scope.elements is None:
        kept_ids(section, scope, row, accept, nothing)
    else:  # each element has ids, since the default of a sequence is not empty
        scope.elements.each(row, lambda element: kept_ids(section, scope, element, accept))


@dataclass(frozen=True)
class Place:
    """Where a sink writes: the number of its output, and the names of its ints, which end in `suffix`."""

    output: int
    suffix: str = ""

    def int(self, scope, name: str):
        """One of the sink's ints."""
        return scope.int(name + self.suffix)

    def tensor(self, block):
        """The output."""
        return block.buffers.extra[f"out{self.output}"]


class IdReader:
    """What one sink does with the ids of a column, as the loop over them meets these. Several sinks may read the ids of one column.

    A sink of ids gives one by `reader(block, scope, section, place)`; `place` says which output and which ints are its own.
    """

    def begin(self, row) -> None:
        """Emit what comes before the ids of a row."""

    def accept(self, number, weight, row) -> None:
        """Emit what becomes of one id (int64) and its weight (float32)."""
        raise NotImplementedError

    def nothing(self, row) -> None:
        """Emit what becomes of a row without ids."""

    def end(self, row) -> None:
        """Emit what comes behind the ids of a row."""

    def close(self) -> None:
        """Emit what comes behind all rows."""


def read_ids(block, scope, section, readers: Sequence[IdReader]) -> None:
    """Emit the rows of a block for one column: its ids are made once, and each reader has them."""
    scope.bind("limit", "default_ids_at", "default_ids_count")

    def accept(number, weight, row) -> None:
        number = intrin.let(number) if len(readers) > 1 else number
        weight = intrin.let(weight) if len(readers) > 1 and section.kind.has_weights else weight
        for reader in readers:
            reader.accept(number, weight, row)

    def nothing(row) -> None:
        for reader in readers:
            reader.nothing(row)

    with T.serial(block.first, block.end) as row:
        for reader in readers:
            reader.begin(row)
        row_ids(section, scope, row, lambda number, weight: accept(number, weight, row), lambda: nothing(row))
        for reader in readers:
            reader.end(row)
    for reader in readers:
        reader.close()


def for_each_row(block, scope, section, body: Callable) -> None:
    """Emit `body(row)` for the rows of a block; for kinds that say so, code of their own for columns of plain texts."""

    def rows() -> None:
        with T.serial(block.first, block.end) as row:
            body(row)

    if not section.kind.has_plain_texts or scope.elements is not None:
        rows()
        return
    fields = scope.fields
    with T.If(reduce(T.And, map(are_plain_texts, fields))):
        with T.Then(), scope.branch():
            scope.fields = tuple(map(PlainTexts, fields))
            rows()
        with T.Else(), scope.branch():
            scope.fields = fields
            rows()


def kept_ids(section, scope, row, accept: Callable, nothing: Callable[[], None] | None = None) -> None:
    """Emit `accept(id, weight)` for the ids that a row (or element) keeps: at most `limit`, or the defaults when it gives none;
    `nothing()` when there are no defaults either."""
    count, limit = intrin.local("int64", 0), scope.int("limit")

    def keep(number, weight) -> None:
        with T.If(count[0] < limit), T.Then():
            accept(number, weight)
        intrin.assign(count, count[0] + T.int64(1))

    section.kind.emit_ids(scope, row, keep)
    with T.If(count[0] == T.int64(0)), T.Then():
        if nothing is not None:
            with T.If(scope.int("default_ids_count") == T.int64(0)), T.Then():
                nothing()
        with T.serial(scope.int("default_ids_count")) as k:
            accept(intrin.let(scope.int_at(scope.int("default_ids_at") + k)), T.float32(1))


def kept_texts(section, scope, row, accept: Callable, most: int | None = None) -> None:
    """Emit `accept(text, weight)` for the texts that a row (or element) keeps: at most `limit` (or `most`), or the default text when it
    gives none and that is not empty."""
    count, limit = intrin.local("int64", 0), scope.int("limit") if most is None else T.int64(most)

    def keep(text, weight) -> None:
        with T.If(count[0] < limit), T.Then():
            accept(text, weight)
        intrin.assign(count, count[0] + T.int64(1))

    section.kind.emit_texts(scope, row, keep)
    length = scope.int("default_text_count")
    with T.If(T.And(count[0] == T.int64(0), length > T.int64(0))), T.Then():
        accept(Text(scope.bytes_address(scope.int("default_text_at")), length), T.float32(1))


def lanes(width: int, body: Callable) -> None:
    """Emit `body(position)` for positions 0 .. width - 1 in vectors of at most LANES."""
    whole, rest = divmod(width, LANES)
    if whole:
        with T.serial(T.int64(whole)) as chunk, T.vectorized(T.int64(LANES)) as lane:
            body(chunk * T.int64(LANES) + lane)
    if rest:
        with T.vectorized(T.int64(rest)) as lane:
            body(T.int64(whole * LANES) + lane)
