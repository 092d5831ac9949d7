"""expr_feature: a formula over the numbers of several fields, as `tvm_rank.ops.expr_feature` defines it.

A block whose fields have one number a row is copied field by field and evaluated as a whole. Otherwise each row is: its numbers are
counted, compared, copied and evaluated part by part (`expr_rows.py`). Formulas are procedures (`lanes.py`), and columns that differ
in nothing else share the code here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import dense_numbers, field_numbers, intrin, thread_memory
from te_schedules.feature import expr_memory, expr_rows, lanes, normalize
from te_schedules.feature.kind import Column, Kind
from te_schedules.feature.typed_numbers import TypedNumber
from te_schedules.procedure import Procedure

Expr = Any


@dataclass(frozen=True)
class ExprKind(Kind):
    """A formula over `variables` fields; value_type, normalizer, bucketizer as `TypedNumber` has them.

    Column constants: `dimension` (numbers of a row; 0: any), `separator`, `formula` (`lanes.identity` of its tree), `elements` (a bit
    for each variable outside of reductions), arrays `reductions` (int64, see `expr_memory.py`), `numbers` (float64, of the formula),
    `fill` (one float64, NaN for none), those of `TypedNumber`, and `defaults` (float64) unless it is bucketized. Column trees: the
    formula's, and those of the reductions.
    """

    variables: int
    value_type: str = "float"
    normalizer: Any = None
    bucketizer: str = ""

    stem: ClassVar[str] = "expr_feature"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """The formulas of the columns, and the walks over rows."""
        columns = list(columns)
        kinds = [kind for column in columns if isinstance(kind := column.kind, cls) and kind.typed.is_lanes]
        finishes = [dense_numbers.finish(normalize.stage(kind.normalizer), "float32") for kind in kinds]
        return [*expr_rows.PROCEDURES, *finishes, *lanes.procedures(tree for column in columns for tree in column.trees)]

    @property
    def inputs(self) -> int:
        """The variables."""
        return self.variables

    @property
    def can_fail(self) -> bool:
        """True: the variables of a row may not fit."""
        return True

    @property
    def yields_ids(self) -> bool:
        """True with a bucketizer."""
        return bool(self.bucketizer)

    @property
    def typed(self) -> TypedNumber:
        """How a computed number becomes a value."""
        return TypedNumber(self.value_type, self.normalizer, self.bucketizer)

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; compute the block as a whole if it can be."""
        scope.bind("dimension", *(() if self.bucketizer else ("defaults_at",)))
        self.typed.bind(scope)
        scope.state = _Rows(scope, self.variables, first_row, end_row)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        scope.state.emit(row, lambda _k, number: accept(self.typed.emit_id(scope, number), T.float32(1)), lambda: None)

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the numbers of one row."""

        def defaults() -> None:
            with T.serial(scope.int("dimension")) as k:
                write(k, T.cast(scope.float_at(scope.int("defaults_at") + k), "float32"))

        scope.state.emit(row, lambda k, number: write(k, self.typed.emit_number(scope, number)), defaults)

    def emit_number_rows(self, scope, first_row, end_row, out) -> None:
        """Emit the numbers of a block: as many rows at once as a formula takes, where each has one number."""
        if not self.typed.is_lanes:
            super().emit_number_rows(scope, first_row, end_row, out)
            return
        windows = (end_row - first_row + T.int64(lanes.width() - 1)) // T.int64(lanes.width())
        with T.serial(windows) as window:
            first = intrin.let(first_row + window * T.int64(lanes.width()))
            end = intrin.let(T.min(first + T.int64(lanes.width()), end_row))
            scope.state.look(first)
            with T.If(scope.state.is_simple):
                with T.Then():
                    constants = scope.float_address(scope.int("normalizer_at"))
                    fill = scope.float_at(scope.int("defaults_at"))
                    scope.state.finish(self.normalizer, constants, fill, end - first, (out.address(first), out.stride))
                with T.Else():
                    super().emit_number_rows(scope, first, end, out)


class _Rows:
    """A block of rows of one column: its work memory, and the code of a row."""

    def __init__(self, scope, variables: int, first_row: Expr, end_row: Expr):
        self._scope, self._first = scope, first_row
        self._fill = intrin.let(scope.float("fill"))
        self._numbers = intrin.let(scope.float_address(scope.int("numbers_at")))
        reductions = intrin.let(scope.int("reductions_count") // T.int64(expr_memory.REDUCTION))
        self._passes = intrin.let(scope.int_address(scope.int("reductions_at")))
        self._counts = (T.int64(variables), reductions)
        self._memory = thread_memory.take(expr_memory.Memory(T.int64(0), *self._counts).end)
        scope.at_end(lambda: thread_memory.give(self._memory))
        self._work = expr_memory.Memory(self._memory, *self._counts)
        for v, field in enumerate(scope.fields):
            field_numbers.copy_words(field, self._work.words(T.int64(v)))
        self._end = end_row
        self._window = intrin.local(
            "int64", -1
        )  # the `lanes.width()` rows that BLOCK saw: the first of them, counted from the block's first
        self._flat = intrin.local("int64", 0)
        self._flags = scope.int("elements"), scope.int("formula"), scope.int("separator")

    def emit(self, row: Expr, write: Callable[[Expr, Expr], None], missing: Callable[[], None]) -> None:
        """Emit `write(position, float64)` for the results of a row, or `missing()`."""
        place = self.look(row)
        with T.If(self.is_simple):
            with T.Then(), T.If(intrin.load("uint8", self._work.missing + place) == T.uint8(0)):
                with T.Then():
                    write(T.int64(0), intrin.let(intrin.load("float64", self._work.results + place * T.int64(8))))
                with T.Else():
                    missing()
            with T.Else():
                self._general(row, place, write, missing)

    @property
    def is_simple(self) -> Expr:
        """Condition: each row of the window has one result or none."""
        return T.And(self._is_flat, self._scope.int("dimension") <= T.int64(1))

    def finish(self, normalizer: Any, constants: Expr, fill: Expr, count: Expr, out: tuple[Expr, Expr]) -> None:
        """Emit the results of a simple window as float32 at `out` (address, stride); `fill` for rows without one."""
        work = self._work
        dense_numbers.finish(normalize.stage(normalizer), "float32").call(work.results, work.missing, constants, fill, count, *out)

    @property
    def _is_flat(self) -> Expr:
        """Condition: BLOCK has the results of the window."""
        return self._flat[0] == T.int64(1)

    def look(self, row: Expr) -> Expr:
        """The place of a row in its window; BLOCK sees the window when a row of another one comes."""
        place = intrin.let(row - self._first)
        begin = intrin.let(T.bitwise_and(place, T.int64(-lanes.width())))
        with T.If(self._window[0] != begin), T.Then():
            elements, formula, separator = self._flags
            first = intrin.let(self._first + begin)
            end = T.min(first + T.int64(lanes.width()), self._end)
            expr_rows.BLOCK.call(
                self._memory, *self._counts, self._passes, elements, formula, self._numbers, self._fill, separator, first, end,
                self._work.answer,
            )  # fmt: skip
            intrin.assign(self._flat, intrin.load("int64", self._work.answer))
            intrin.assign(self._window, begin)
        return intrin.let(place - begin)

    def _general(self, row: Expr, place: Expr, write: Callable[[Expr, Expr], None], missing: Callable[[], None]) -> None:
        total = intrin.local("int64", 1)
        with T.If(self._is_flat):
            with T.Then():
                intrin.assign(total, T.int64(1) - T.cast(intrin.load("uint8", self._work.missing + place), "int64"))
            with T.Else():
                elements, _, separator = self._flags
                expr_rows.COUNT.call(
                    self._memory, *self._counts, self._passes, elements, self._fill, separator, row, self._work.answer
                )
                intrin.assign(total, intrin.load("int64", self._work.answer))
        dimension = self._scope.int("dimension")
        misfit = T.And(T.And(dimension > T.int64(0), total[0] != dimension), total[0] != T.int64(0))
        with T.If(T.Or(misfit, total[0] < T.int64(0))), T.Then():
            self._scope.fail(row)
            intrin.assign(total, 0)
        with T.If(total[0] == T.int64(0)):
            with T.Then():
                missing()
            with T.Else():
                self._results(row, place, intrin.let(total[0]), write)

    def _results(self, row: Expr, place: Expr, total: Expr, write: Callable[[Expr, Expr], None]) -> None:
        """Parts of a row; a row of a flat block is one part, whose result lies at its place in the block."""
        elements, formula, separator = self._flags
        at = intrin.local("int64", 0)
        before = intrin.let(T.if_then_else(self._is_flat, place, T.int64(0)))
        with T.While(at[0] < total):
            begin = intrin.let(at[0])
            count = intrin.let(T.min(total - begin, T.int64(lanes.width())))
            with T.If(T.Not(self._is_flat)), T.Then():
                expr_rows.PART.call(
                    self._memory, *self._counts, self._passes, elements, formula, self._numbers, self._fill, separator, row, begin,
                    count,
                )  # fmt: skip
            with T.serial(count) as k:
                value = intrin.let(intrin.load("float64", self._work.results + (before + k) * T.int64(8)))
                write(intrin.let(begin + k), value)
            intrin.assign(at, begin + count)
