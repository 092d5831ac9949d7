"""kv_dot_product: the sum of the products of the weights that two maps have for the same key.

The definition is `tvm_rank/ops/kv_dot_product.py`. Both maps are read once for all rows that lead to them (`te_schedules/map_rows.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.bucketize import boundaries
from te_schedules.feature import normalize
from te_schedules.feature.id_feature import separators
from te_schedules.feature.kind import Column, Kind
from te_schedules.feature.kv_dot_sums import SUMS, sums
from te_schedules.map_rows import MapRow
from te_schedules.procedure import Procedure
from te_schedules.tokens import find_splits
from te_schedules.word_pairs import WORD_PAIRS

QUERY, DOCUMENT = 0, 1


@dataclass(frozen=True)
class KvDotKind(Kind):
    """`normalizer` is a shape of `feature/normalize.py`, then boundaries if `bucketized`. Column constants: `separator`, `delimiter`,
    arrays `normalizer` and `missing` (the number of a row without a common key, in output space)."""

    normalizer: Any = None
    bucketized: bool = False

    stem: ClassVar[str] = "kv_dot_product"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:  # noqa: ARG003  the same for all
        """Sums of many rows."""
        return [WORD_PAIRS, SUMS]

    @property
    def inputs(self) -> int:
        """Query and document."""
        return 2

    @property
    def yields_ids(self) -> bool:
        """True with boundaries."""
        return self.bucketized

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for the entries of both maps."""
        scope.bind("separator", "delimiter", "normalizer_at", "missing_at")
        if self.bucketized:
            scope.bind("boundaries_at", "boundaries_count")
        find_splits(scope, first_row, end_row, separators(scope))
        delimiter = intrin.let(T.cast(scope.int("delimiter"), "uint8"))
        scope.maps = [MapRow(scope, field, separators(scope), delimiter=delimiter, bare=True) for field in scope.fields]
        if not intrin.on_gpu():
            scope.state = sums(scope, scope.fields[QUERY], scope.fields[DOCUMENT], first_row, end_row)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the bucket id of one row."""
        accept(boundaries.emit(scope, self._value(scope, row)), T.float32(1))

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the number of one row."""
        write(T.int64(0), self._value(scope, row))

    def _value(self, scope, row):
        """The float32 of one row."""
        query, document = scope.maps
        total, common = intrin.local("float64", 0.0), intrin.local("int64", 0)
        if scope.state is None:
            self._add_products(scope, row, (total, common))
        else:
            with T.If(scope.state.are_there):
                with T.Then():
                    for target, made in zip((total, common), scope.state.of(row, "float64", "int64"), strict=True):
                        intrin.assign(target, made)
                with T.Else():
                    self._add_products(scope, row, (total, common))
        result = intrin.local("float32", scope.float("missing"))
        with T.If(common[0] > T.int64(0)), T.Then():
            in_double = T.Or(query.values_are_text, document.values_are_text)
            number = intrin.let(total[0])
            intrin.assign(result, normalize.emit_double(self.normalizer, number, in_double, lambda k: scope.float("normalizer", k)))
        return intrin.let(result[0])

    @staticmethod
    def _add_products(scope, row, state) -> None:
        """Emit the walk over the keys of a row that counts in `state`: the sum of the products, and how many they are."""
        query, document = scope.maps[QUERY], scope.maps[DOCUMENT]
        query.load(row)
        document.load(row)
        total, common = state
        with T.If(query.count > T.int64(0)), T.Then(), T.serial(document.count) as number, T.If(document.is_last(number)), T.Then():
            other = query.find_key_of(document, number)
            with T.If(other >= T.int64(0)), T.Then():
                product = intrin.rounded(_weight(query, other) * _weight(document, number))
                intrin.assign(total, total[0] + product)
                intrin.assign(common, common[0] + T.int64(1))


def _weight(map_row: MapRow, number):
    """The float64 weight of an entry; 1 when it has none, or no number."""
    valid, value = map_row.value_number(number)
    return intrin.let(T.if_then_else(valid, value, T.float64(1)))
