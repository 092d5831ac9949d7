"""lookup_feature: the values that a map has for the keys of a row, as texts that become ids, or combined to one number.

The definition is `tvm_rank/ops/lookup_feature.py`. The map is read once for all rows that lead to it (`te_schedules/map_rows.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.bucketize import boundaries
from te_schedules.feature import combine, normalize
from te_schedules.feature.id_feature import separators
from te_schedules.feature.join import Pieces
from te_schedules.feature.kind import Column, TextOrNumberKind
from te_schedules.feature.lookup_totals import TOTALS, totals
from te_schedules.map_rows import MapRow, map_separators
from te_schedules.procedure import Procedure
from te_schedules.scratch import Scratch
from te_schedules.text import parse_float
from te_schedules.tokens import Text, find_byte, find_field_splits, for_each_token
from te_schedules.word_pairs import WORD_PAIRS

MAP, KEY = 0, 1
PART = ord(",")  # between the numbers of a value of several


@dataclass(frozen=True)
class LookupKind(TextOrNumberKind):
    """Discrete: `bucketizer` is a name of `te_schedules.bucketize` (NONE: texts). Texts are [prefix][key_]value (`prefixed`, `with_key`),
    or [prefix]key with the value as weight (`weighted`). If the int `filled` is 1, a key that the map lacks has the array `miss` as value.

    Else numbers: `single` makes one of all hits by the int `combiner` (a place in `feature/combine.py: COMBINERS`), otherwise each hit is
    one; then `normalizer`, then boundaries if `bucketized`. `vector`: values are `dimension` numbers, and each place is combined by itself.
    """

    discrete: bool = False
    bucketizer: str = bucketize.NONE
    prefixed: bool = False
    with_key: bool = False
    weighted: bool = False
    single: bool = True
    normalizer: Any = None
    bucketized: bool = False
    vector: bool = False

    stem: ClassVar[str] = "lookup_feature"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """Totals of many rows."""
        has_totals = any(isinstance(column.kind, cls) and column.kind.has_totals for column in columns)
        return [WORD_PAIRS, TOTALS] if has_totals else []

    @property
    def has_totals(self) -> bool:
        """True where a row makes one number of all hits."""
        return not self.discrete and self.single and not self.vector

    @property
    def inputs(self) -> int:
        """Map and key."""
        return 2

    @property
    def has_weights(self) -> bool:
        """True when the values are weights."""
        return self.weighted

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for the entries of a map."""
        scope.bind("separator", "map_separator")
        if self.discrete:
            bucketize.bind_constants(self.bucketizer, scope)
            scope.bind("filled", "miss_at", "miss_count")
            scope.pieces = Pieces(scope)
        else:
            scope.bind("dimension", "combiner", "normalizer_at")
            scope.bind(*(["boundaries_at", "boundaries_count"] if self.bucketized else ["defaults_at"]))
        find_field_splits(scope.fields[MAP], first_row, end_row, map_separators(scope))
        find_field_splits(scope.fields[KEY], first_row, end_row, separators(scope))
        scope.map_row = MapRow(scope, scope.fields[MAP], map_separators(scope))
        if self.has_totals and not intrin.on_gpu():
            scope.state = totals(scope, scope.fields[MAP], scope.fields[KEY], first_row, end_row)
        if self.vector:
            scope.totals = Scratch(scope)
            scope.totals.ensure(intrin.let(scope.int("dimension") * T.int64(16)))

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        if self.discrete:
            super().emit_ids(scope, row, accept)
        else:
            self._emit_values(scope, row, lambda _k, value: accept(boundaries.emit(scope, value), T.float32(1)))

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the numbers of one row."""
        hits = self._emit_values(scope, row, write)
        with T.If(hits == T.int64(0)), T.Then(), T.serial(scope.int("dimension")) as k:
            write(k, T.cast(scope.float_at(scope.int("defaults_at") + k), "float32"))

    def _each_key(self, scope, row, body: Callable[[Text, Any], None]) -> None:
        """Emit `body(key, number of its entry or -1)` for the keys of a row."""
        map_row = scope.map_row
        map_row.load(row)

        def token(key: Text, _element) -> None:
            body(key, map_row.find(key, scope.fields[KEY]))

        filled = scope.int("filled") if self.discrete else T.int64(0)
        with T.If(map_row.count + filled > T.int64(0)), T.Then():
            for_each_token(scope.fields[KEY], row, separators(scope), token)

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        map_row = scope.map_row

        def key_of_map(key: Text, number) -> None:
            start, length = intrin.local("int64", key.address), intrin.local("int64", key.length)
            weight = intrin.local("float32", 1.0)
            found = intrin.let(number >= T.int64(0))
            if self.weighted:
                with T.If(found), T.Then():
                    valid, value = map_row.value_number(number)
                    intrin.assign(weight, T.if_then_else(valid, T.cast(value, "float32"), T.float32(1)))
            else:
                with T.If(found), T.Then():
                    value = map_row.value_text(number)
                    intrin.assign(start, value.address)
                    intrin.assign(length, value.length)
                with T.If(T.Not(found)), T.Then():
                    intrin.assign(start, scope.bytes_address(scope.int("miss_at")))
                    intrin.assign(length, scope.int("miss_count"))
            with T.If(T.Or(found, scope.int("filled") == T.int64(1))), T.Then():
                last = Text(intrin.let(start[0]), intrin.let(length[0]))
                parts = (key, last) if self.with_key and not self.weighted else (last,)
                accept(scope.pieces.joined(parts, prefixed=self.prefixed), intrin.let(weight[0]))

        self._each_key(scope, row, key_of_map)

    def _emit_values(self, scope, row, write):
        """Emit `write` for the numbers that the hits of a row give; gives how many hits there are."""
        if self.vector:
            return _Vectors(self, scope).emit(row, write)
        total, hits = intrin.local("float64", 0.0), intrin.local("int64", 0)
        if scope.state is None:
            self._each_value(scope, row, write, (total, hits))
        else:
            with T.If(scope.state.are_there):
                with T.Then():
                    for target, made in zip((total, hits), scope.state.of(row, "float64", "int64"), strict=True):
                        intrin.assign(target, made)
                with T.Else():
                    self._each_value(scope, row, write, (total, hits))
        if self.single:
            with T.If(hits[0] > T.int64(0)), T.Then():
                number = intrin.let(combine.finish(scope.int("combiner"), total[0], hits[0]))
                write(T.int64(0), self.normalized(scope, number))
        return intrin.let(hits[0])

    def _each_value(self, scope, row, write, state) -> None:
        """Emit the walk over the hits of a row: `write` for each, or all of them combined in `state` (total, hits)."""
        map_row, (total, hits) = scope.map_row, state
        previous = intrin.local("float64", 0.0)

        def key_of_map(_key: Text, number) -> None:
            with T.If(number >= T.int64(0)), T.Then():
                valid, value = map_row.value_number(number)
                with T.If(valid), T.Then():
                    if self.single:
                        intrin.assign(total, combine.add(scope.int("combiner"), total[0], previous[0], hits[0], value))
                        intrin.assign(previous, value)
                    else:
                        write(intrin.let(hits[0]), self.normalized(scope, value))
                    intrin.assign(hits, hits[0] + T.int64(1))

        self._each_key(scope, row, key_of_map)

    def normalized(self, scope, number):
        """A float64 as the float32 of the output."""
        is_text = scope.map_row.values_are_text
        return normalize.emit_double(self.normalizer, number, is_text, lambda k: scope.float("normalizer", k))


class _Vectors:
    """Values of several numbers: the totals of each place lie in memory, `dimension` of them, and then the numbers before."""

    def __init__(self, kind: LookupKind, scope):
        self.kind, self.scope = kind, scope
        self.dimension = scope.int("dimension")

    def emit(self, row, write):
        """Emit `write` for each place if there is a hit; gives the count of hits."""
        scope, kind = self.scope, self.kind
        hits = intrin.local("int64", 0)

        def key_of_map(_key: Text, number) -> None:
            with T.If(number >= T.int64(0)), T.Then():
                self._add(number, intrin.let(hits[0]))
                intrin.assign(hits, hits[0] + T.int64(1))

        kind._each_key(scope, row, key_of_map)
        with T.If(hits[0] > T.int64(0)), T.Then(), T.serial(self.dimension) as k:
            total = intrin.let(intrin.load("float64", self._place(k)))
            write(k, kind.normalized(scope, intrin.let(combine.finish(scope.int("combiner"), total, hits[0]))))
        return intrin.let(hits[0])

    def _place(self, k):
        return self.scope.totals.address + k * T.int64(8)

    def _add(self, number, index) -> None:
        """Add the value of an entry, the hit `index`: its numbers, cut or filled up with zeros."""
        map_row = self.scope.map_row
        is_text, start, end = map_row.value_range(number)
        at = intrin.local("int64", start)
        with T.serial(self.dimension) as k:
            value = intrin.local("float64", 0.0)
            with T.If(is_text):
                with T.Then(), T.If(at[0] < end), T.Then():
                    stop = find_byte(intrin.let(at[0]), end, T.uint8(PART))
                    intrin.assign(value, parse_float.emit(intrin.let(at[0]), intrin.let(stop - at[0]))[1])
                    intrin.assign(at, stop + T.int64(1))
                with T.Else(), T.If(k == T.int64(0)), T.Then():
                    intrin.assign(value, map_row.element_number(number)[1])
            total_at, before_at = self._place(k), self._place(k + self.dimension)
            total = intrin.let(T.if_then_else(index == T.int64(0), T.float64(0), intrin.load("float64", total_at)))
            before = intrin.let(T.if_then_else(index == T.int64(0), T.float64(0), intrin.load("float64", before_at)))
            intrin.store("float64", total_at, combine.add(self.scope.int("combiner"), total, before, index, intrin.let(value[0])))
            intrin.store("float64", before_at, value[0])
