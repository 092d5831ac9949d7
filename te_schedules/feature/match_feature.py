"""match_feature: the values that a nested map has for categories and items, as texts that become ids, or as a number.

The definition is `tvm_rank/ops/match_feature.py`. The map is read once for all rows that lead to it (`te_schedules/nested_rows.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.bucketize import boundaries
from te_schedules.feature import normalize
from te_schedules.feature.id_feature import separators
from te_schedules.feature.join import Pieces
from te_schedules.feature.kind import Column, TextOrNumberKind
from te_schedules.feature.match_values import NOTHING, UNKNOWN, VALUES, values
from te_schedules.growable import Growable
from te_schedules.nested_rows import CATEGORY, ITEM, VALUE, NestedRow
from te_schedules.procedure import Procedure
from te_schedules.text import digest, parse_float
from te_schedules.tokens import Text, find_field_splits, for_each_token
from te_schedules.word_pairs import WORD_PAIRS

FIELD, LITERAL, EVERY = "field", "literal", "every"


@dataclass(frozen=True)
class MatchKind(TextOrNumberKind):
    """`category` and `item` are FIELD (the next field of the column), LITERAL (the array of that name) or EVERY (all of the map).

    Discrete: `bucketizer` is a name of `te_schedules.bucketize` (NONE: texts). Texts are [prefix][category_][item_]value (`prefixed`,
    `show_category`, `show_item`), without the value but with it as weight if `weighted`. Else numbers: the first hit that is one, or with
    boundaries (`bucketized`) each; before that the `normalizer`, a shape of `feature/normalize.py`.
    """

    discrete: bool = False
    bucketizer: str = bucketize.NONE
    category: str = FIELD
    item: str = FIELD
    prefixed: bool = False
    show_category: bool = False
    show_item: bool = False
    weighted: bool = False
    normalizer: Any = None
    bucketized: bool = False

    stem: ClassVar[str] = "match_feature"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """Values of many rows."""
        found = any(isinstance(kind := column.kind, cls) and kind.finds_values for column in columns)
        return [WORD_PAIRS, VALUES] if found else []

    @property
    def finds_values(self) -> bool:
        """True where a row may ask for one category and one item."""
        return self.category == FIELD and self.item == FIELD

    @property
    def inputs(self) -> int:
        """The map, and category and item where they are fields."""
        return 1 + (self.category == FIELD) + (self.item == FIELD)

    @property
    def has_weights(self) -> bool:
        """True when the values are weights."""
        return self.weighted

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for the entries of a map."""
        scope.bind("separator", "category_at", "category_count", "item_at", "item_count")
        if self.discrete:
            bucketize.bind_constants(self.bucketizer, scope)
            scope.pieces = Pieces(scope)
        else:
            scope.bind("normalizer_at", *(("boundaries_at", "boundaries_count") if self.bucketized else ("missing_at",)))
        for field in scope.fields[1:]:
            find_field_splits(field, first_row, end_row, separators(scope))
        scope.fields[0].splits = T.bool(False)  # chr(29) does not split a nested map
        chained = ITEM if self.category == EVERY else CATEGORY if self.item == EVERY else 0
        scope.map_row = NestedRow(scope, scope.fields[0], T.uint8(0x1D), chained=chained)
        if self.finds_values and not intrin.on_gpu():
            scope.state = values(scope, first_row, end_row)
            scope.hits = Growable("int64", 8)
            scope.at_end(scope.hits.free)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        if self.discrete:
            super().emit_ids(scope, row, accept)
            return

        def hit(number) -> None:
            valid, value = self._number(scope, number)
            with T.If(valid), T.Then():
                accept(boundaries.emit(scope, value), T.float32(1))

        self._each_hit(scope, row, hit)

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the number of one row."""
        result, found = intrin.local("float32", scope.float("missing")), intrin.local("int32", 0)

        def hit(number) -> None:
            with T.If(found[0] == 0), T.Then():
                valid, value = self._number(scope, number)
                with T.If(valid), T.Then():
                    intrin.assign(result, value)
                    intrin.assign(found, 1)

        self._each_hit(scope, row, hit)
        write(T.int64(0), intrin.let(result[0]))

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        shown = [at for at, show in ((CATEGORY, self.show_category), (ITEM, self.show_item), (VALUE, not self.weighted)) if show]

        def hit(number) -> None:
            place = intrin.let(scope.map_row.entry(number))
            weight = T.float32(1)
            if self.weighted:
                valid, value = self._parsed(scope, number)
                weight = intrin.let(T.if_then_else(valid, T.cast(value, "float32"), T.float32(1)))
            parts = tuple(scope.map_row.part(place, at) for at in shown)
            accept(scope.pieces.joined(parts, prefixed=self.prefixed), weight)

        self._each_hit(scope, row, hit)

    def _each_hit(self, scope, row, body: Callable[[Any], None]) -> None:
        """Emit `body(number of the entry)` for the hits of a row, at one place."""
        if scope.state is None:
            self._walk(scope, row, body)
            return
        value, length = intrin.local("int64", 0), intrin.local("int64", UNKNOWN)
        with T.If(scope.state.are_there), T.Then():
            for target, found in zip((value, length), scope.state.of(row, "int64", "int64"), strict=True):
                intrin.assign(target, found)
        scope.hits.clear()
        with T.If(length[0] == T.int64(UNKNOWN)):
            with T.Then():
                self._walk(scope, row, scope.hits.append)
            with T.Else(), T.If(length[0] != T.int64(NOTHING)), T.Then():
                sides = (_whole(field, row) for field in scope.fields[1:])
                scope.map_row.hold(*sides, Text(intrin.let(value[0]), intrin.let(length[0])))
                scope.hits.append(T.int64(0))
        with T.serial(scope.hits.count) as k:
            body(intrin.let(intrin.load("int64", scope.hits.address + k * T.int64(8))))

    def _walk(self, scope, row, body: Callable[[Any], None]) -> None:
        """Emit `body(number of the entry)` for the hits of a row, whose map is read as a whole."""
        map_row = scope.map_row
        map_row.load(row)
        fields = iter(scope.fields[1:])
        sides = [self._side(scope, name, what, fields, row) for name, what in (("category", self.category), ("item", self.item))]
        with T.If(map_row.count > T.int64(0)), T.Then():
            if self.category == EVERY and self.item == EVERY:
                map_row.for_each(body)
            elif EVERY in (self.category, self.item):
                each = sides[1] if self.category == EVERY else sides[0]
                each(lambda text: map_row.for_each_of(text, body))
            else:
                self._each_pair(map_row, sides, body)

    def _each_pair(self, map_row: NestedRow, sides, body) -> None:
        def category(first: Text) -> None:
            word = digest.emit(first)

            def item(second: Text) -> None:
                number = map_row.find(first, word, second)
                with T.If(number >= T.int64(0)), T.Then():
                    body(number)

            sides[1](item)

        sides[0](category)

    @staticmethod
    def _side(scope, name: str, what: str, fields, row) -> Callable[[Callable[[Text], None]], None]:
        """How to emit `body(text)` for each category or item of a row."""
        if what == FIELD:
            field = next(fields)
            return lambda body: for_each_token(field, row, separators(scope), lambda text, _element: body(text))
        start, length = scope.bytes_address(scope.int(f"{name}_at")), scope.int(f"{name}_count")
        return lambda body: body(Text(intrin.let(start), length))

    def _parsed(self, scope, number):
        value = scope.map_row.part(intrin.let(scope.map_row.entry(number)), VALUE)
        return parse_float.emit(value.address, value.length)

    def _number(self, scope, number):
        """(valid, float32) of an entry's value, normalized in float64 because it is text."""
        valid, value = self._parsed(scope, number)
        normalized = normalize.emit(self.normalizer, intrin.let(value), lambda k: scope.float("normalizer", k), "float64")
        return valid, intrin.let(T.cast(normalized, "float32"))


def _whole(field, row) -> Text:
    """The text of a row of a field that has one a row."""
    first, end = field.text(row)
    return Text(first, intrin.let(end - first))
