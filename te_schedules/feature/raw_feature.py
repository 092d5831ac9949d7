"""raw_feature: `dimension` numbers of one field, normalized; bucketized when the feature has boundaries.

Numeric columns are normalized in float32, texts in float64 and then rounded (docs/features.md). Defaults bypass the normalizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import dense_numbers, flat_numbers, intrin
from te_schedules.bucketize import boundaries
from te_schedules.column import Word
from te_schedules.feature import normalize
from te_schedules.feature.id_feature import separators
from te_schedules.feature.kind import Column, Kind
from te_schedules.procedure import Procedure
from te_schedules.text import parse_float
from te_schedules.tokens import find_splits, for_each_token

MOST_BUCKETIZED = 192  # numbers at once; they stay on the stack


@dataclass(frozen=True)
class RawKind(Kind):
    """`normalizer` is a shape of `feature/normalize.py`. Column constants: `dimension`, `separator`, arrays `normalizer` (float64),
    `defaults` (float64, `dimension` of them); with boundaries also `boundaries`, `null_id` (id of a numeric null when there is no
    default, else -1)."""

    normalizer: Any = None
    bucketized: bool = False

    stem: ClassVar[str] = "raw_feature"

    @property
    def takes_memory(self) -> bool:
        """False: a row's numbers go where they belong."""
        return False

    @property
    def can_fail(self) -> bool:
        """True: a row may have another number of values than wanted."""
        return True

    @property
    def yields_ids(self) -> bool:
        """True with boundaries."""
        return self.bucketized

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column."""
        scope.bind("separator", "dimension", "normalizer_at")
        find_splits(scope, first_row, end_row, separators(scope))
        scope.bind(*(["boundaries_at", "boundaries_count", "null_id"] if self.bucketized else ["defaults_at"]))

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """Conversions of numbers side by side."""
        every = [kind for column in columns if isinstance(kind := column.kind, cls)]
        of_ids = [kind.stage for kind in every if kind.bucketized]
        buckets = [boundaries.MANY, dense_numbers.nulls("int64"), *dense_numbers.conversions("float32", of_ids)] if of_ids else []
        stages = [kind.stage for kind in every if not kind.bucketized]
        finishes = [dense_numbers.finish(stage, "float64") for stage in stages if stage.lanes]
        of_numbers = [*dense_numbers.conversions("float32", stages), *finishes, *flat_numbers.PROCEDURES] if stages else []
        return [*buckets, *of_numbers]

    @property
    def stage(self) -> dense_numbers.Stage:
        """The normalizer for many numbers at a time."""
        return normalize.stage(self.normalizer)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the bucket ids of one row."""
        self._emit_values(
            scope, row, lambda _k, value: accept(boundaries.emit(scope, value), T.float32(1)), self._null_id(scope, accept)
        )

    @property
    def has_single_ids(self) -> bool:
        """True with boundaries."""
        return self.bucketized

    def single_ids(self, scope, first_row, end_row):
        """Condition: the rows have numbers side by side, one each, and an id where they are null."""
        field = scope.fields[0]
        scope.state, is_flat = _side_by_side(field, first_row, end_row, scope.int("dimension"))
        has_default = T.Or(scope.int("null_id") >= T.int64(0), scope.int("default_ids_count") == T.int64(1))
        complete = T.Or(field[Word.VALID] == T.int64(0), has_default)
        return intrin.let(T.And(T.And(is_flat, scope.int("dimension") == T.int64(1)), complete))

    def emit_single_ids(self, scope, first_row, end_row, out) -> None:
        """Emit the bucket ids of a block, some at once."""
        field, begin, rows = scope.fields[0], scope.state, intrin.let(end_row - first_row)
        numbers = intrin.array(MOST_BUCKETIZED, "float32")
        address = intrin.let(intrin.address_of(numbers))
        constants, edges = scope.float_address(scope.int("normalizer_at")), scope.float_address(scope.int("boundaries_at"))
        with T.serial((rows + T.int64(MOST_BUCKETIZED - 1)) // T.int64(MOST_BUCKETIZED)) as window:
            at = intrin.let(window * T.int64(MOST_BUCKETIZED))
            count = intrin.let(T.min(T.int64(MOST_BUCKETIZED), rows - at))
            dense_numbers.call_convert(field, "float32", begin + at, count, address, stage=self.stage, constants=constants)
            boundaries.MANY.call(address, edges, scope.int("boundaries_count"), count, out + at * T.int64(8))
        intrin.keep(numbers)
        with T.If(field[Word.VALID] != T.int64(0)), T.Then():
            without = scope.int("null_id")
            default = T.if_then_else(without >= T.int64(0), without, scope.int_at(scope.int("default_ids_at")))
            bit = field[Word.VALID_BIT] + first_row
            dense_numbers.nulls("int64").call(field[Word.VALID], bit, rows, T.cast(default, "float64"), out, T.int64(1))

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the numbers of one row."""

        def defaults(_field) -> None:
            with T.serial(scope.int("dimension")) as k:
                write(k, T.cast(scope.float_at(scope.int("defaults_at") + k), "float32"))

        self._emit_values(scope, row, write, defaults)

    def emit_number_rows(self, scope, first_row, end_row, out) -> None:
        """Emit the numbers of a block: numbers that lie side by side at once."""
        field, width = scope.fields[0], scope.int("dimension")
        begin, is_flat = _side_by_side(field, first_row, end_row, width)
        with T.If(is_flat):
            with T.Then():
                self._emit_flat((begin, first_row, intrin.let(end_row - first_row)), scope, out)
            with T.Else():
                if self.stage.lanes:
                    self._emit_texts(scope, first_row, end_row, out)
                else:
                    super().emit_number_rows(scope, first_row, end_row, out)

    def _emit_texts(self, scope, first_row, end_row, out) -> None:
        """Texts of one number a row some at once, all others row by row."""
        field, most = scope.fields[0], flat_numbers.MOST_ROWS
        single = intrin.let(T.And(T.And(field.is_text, field.is_scalar), scope.int("dimension") == T.int64(1)))
        block = flat_numbers.Block(field, scope.int("separator"))
        step = intrin.let(T.if_then_else(single, T.int64(most), T.max(end_row - first_row, T.int64(1))))
        with T.serial((end_row - first_row + step - T.int64(1)) // step) as window:
            first = intrin.let(first_row + window * step)
            end = intrin.let(T.min(first + step, end_row))
            with T.If(single), T.Then():
                block.read(first, end)
            with T.If(block.is_flat):
                with T.Then():
                    constants, fill = scope.float_address(scope.int("normalizer_at")), scope.float_at(scope.int("defaults_at"))
                    finish = dense_numbers.finish(self.stage, "float64")
                    finish.call(block.numbers, block.missing, constants, fill, end - first, out.address(first), out.stride)
                with T.Else():
                    super().emit_number_rows(scope, first, end, out)
        block.keep()

    def _emit_flat(self, rows, scope, out) -> None:
        """All numbers in one run if they lie as densely in the output, or are one a row; else a run for each row."""
        begin, first_row, row_count = rows
        field, width = scope.fields[0], scope.int("dimension")
        constants = scope.float_address(scope.int("normalizer_at"))
        dense = T.Or(out.stride == width, width == T.int64(1))
        runs = intrin.let(T.if_then_else(dense, T.int64(1), row_count))
        count = intrin.let(row_count * width // runs)
        stride = intrin.let(T.if_then_else(width == T.int64(1), out.stride, T.int64(1)))
        with T.serial(runs) as run:
            address, element = out.address(first_row + run), intrin.let(begin + run * width)
            dense_numbers.call_convert(
                field, "float32", element, count, address, stride=stride, stage=self.stage, constants=constants
            )
            with T.If(T.And(field.is_scalar, field[Word.VALID] != T.int64(0))), T.Then():
                bit, fill = field[Word.VALID_BIT] + element, scope.float_at(scope.int("defaults_at"))
                dense_numbers.nulls("float32").call(field[Word.VALID], bit, count, fill, address, stride)

    @staticmethod
    def _null_id(scope, accept):
        """A null of a scalar numeric column without a default falls into the bucket of 0; other missing rows get no id here."""

        def emit(field) -> None:
            applies = T.And(T.And(field.is_scalar, T.Not(field.is_text)), scope.int("null_id") >= T.int64(0))
            with T.If(applies), T.Then():
                accept(scope.int("null_id"), T.float32(1))

        return emit

    def _emit_values(self, scope, row, write, missing) -> None:
        field = scope.fields[0]
        count = intrin.local("int64", 0)

        def one(value, dtype: str) -> None:
            with T.If(count[0] < scope.int("dimension")), T.Then():
                normalized = normalize.emit(self.normalizer, value, lambda k: scope.float("normalizer", k), dtype)
                write(intrin.let(count[0]), intrin.let(T.cast(normalized, "float32")))
            intrin.assign(count, count[0] + T.int64(1))

        with T.If(field.is_text):
            with T.Then():
                for_each_token(field, row, separators(scope), lambda text, _element: one(_parsed(text), "float64"))
            with T.Else():
                first, last = field.elements(row)
                with T.serial(first, last) as element:
                    valid = field.element_is_valid(element)
                    one(intrin.let(T.if_then_else(valid, field.number(element, "float32"), T.float32(0))), "float32")
        with T.If(count[0] == T.int64(0)):
            with T.Then():
                missing(field)
                is_number = T.And(field.is_scalar, T.Not(field.is_text))
                never_fits = T.And(is_number, scope.int("dimension") != T.int64(1))
                with T.If(never_fits), T.Then():  # refused for its type, although this row is null
                    scope.fail(row)
            with T.Else(), T.If(count[0] != scope.int("dimension")), T.Then():
                scope.fail(row)


def _side_by_side(field, first_row, end_row, width):
    """(the first element, condition: each row of a block has `width` numbers, which lie side by side). Null rows of a scalar column
    count; lists with nulls do not."""
    direct = T.And(T.Not(field.is_text), T.And(T.Not(field.is_mapped), field[Word.STRIDE] == T.int64(1)))
    begin, fits = intrin.local("int64", first_row), intrin.local("int64", T.cast(T.And(direct, width == T.int64(1)), "int64"))
    with T.If(T.Not(field.is_scalar)), T.Then():
        has_nulls = T.Or(field[Word.VALID] != T.int64(0), field[Word.ELEMENT_VALID] != T.int64(0))
        intrin.assign(fits, T.cast(T.And(direct, T.Not(has_nulls)), "int64"))
        with T.If(fits[0] == T.int64(1)), T.Then():

            def offset(row):
                return T.cast(intrin.load("int32", field[Word.LIST] + row * T.int64(4)), "int64")

            intrin.assign(begin, offset(first_row))
            with T.serial(first_row, end_row) as row:
                even = offset(row + T.int64(1)) == begin[0] + (row + T.int64(1) - first_row) * width
                intrin.assign(fits, T.bitwise_and(fits[0], T.cast(even, "int64")))
    return intrin.let(begin[0]), intrin.let(fits[0] == T.int64(1))


def _parsed(text):
    """The float64 of a text; 0 when it is no number."""
    valid, value = parse_float.emit(text.address, text.length)
    return intrin.let(T.if_then_else(valid, value, T.float64(0)))
