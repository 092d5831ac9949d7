"""custom_feature: a user's function over the values of a row, as `tvm_rank.ops.custom_feature` defines it.

The function is a procedure (`te_schedules/udf`); here its arguments are gathered, its calls counted and its results taken. All memory of
a row lies in the arena of a state that a column has for a block of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin, thread_memory
from te_schedules.feature.custom_values import GATHER, Values, gather
from te_schedules.feature.id_feature import separators
from te_schedules.feature.kind import Column, Kind
from te_schedules.feature.typed_numbers import TypedNumber
from te_schedules.field_numbers import WORD_COUNT, copy_words
from te_schedules.procedure import Procedure
from te_schedules.text import copy, format_int
from te_schedules.tokens import INT_TEXT_BYTES, Text, find_splits
from te_schedules.udf import memory
from te_schedules.udf.function import SUPPORT, Signature, procedure
from te_schedules.udf.memory import State, Status

Expr = Any
LISTS = ("ints", "floats")


@dataclass(frozen=True)
class _Memory:
    """What a column has for a block of rows: the state of its function, and the words of its fields' descriptors."""

    state: Expr
    words: Expr


@dataclass(frozen=True)
class CustomKind(Kind):
    """A program (`te_schedules/udf/__init__.py`): parameters and variables are (name, type), `scalars` says which parameters take one
    value of a row. `as_texts`: results are texts, ids by `bucketizer` (a name of `te_schedules.bucketize`; NONE: texts) behind the array
    `prefix`. Otherwise they are numbers, and value_type, normalizer, bucketizer those of `TypedNumber`; constants as `ExprKind` has them.
    """

    parameters: tuple[tuple[str, str], ...]
    scalars: tuple[bool, ...]
    returns: str
    variables: tuple[tuple[str, str], ...]
    body: tuple
    as_texts: bool = False
    value_type: str = "float"
    normalizer: Any = None
    bucketizer: str = ""

    stem: ClassVar[str] = "custom_feature"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """The functions of the columns, and what they call."""
        return [*SUPPORT, GATHER, *(column.kind.procedure for column in columns if isinstance(column.kind, CustomKind))]

    @property
    def procedure(self) -> Procedure:
        """The function."""
        return procedure(Signature(self.parameters, self.variables, self.returns), self.body)

    @property
    def inputs(self) -> int:
        """The parameters."""
        return len(self.parameters)

    @property
    def can_fail(self) -> bool:
        """True: inputs may not fit, and a function may take too long."""
        return True

    @property
    def yields_ids(self) -> bool:
        """True with a bucketizer."""
        return bool(self.bucketizer)

    @property
    def yields_texts(self) -> bool:
        """True for texts without a bucketizer."""
        return self.as_texts and not self.bucketizer

    @property
    def _typed(self) -> TypedNumber:
        return TypedNumber(self.value_type, self.normalizer, self.bucketizer)

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room."""
        scope.bind("separator")
        find_splits(scope, first_row, end_row, separators(scope))
        if self.as_texts:
            bucketize.bind_constants(self.bucketizer, scope)
            scope.bind("prefix_at", "prefix_count")
        else:
            scope.bind("dimension", *(() if self.bucketizer else ("defaults_at",)))
            self._typed.bind(scope)
        state = memory.open_state()
        words = thread_memory.take(8 * WORD_COUNT * self.inputs)
        for k, field in enumerate(scope.fields):
            copy_words(field, words + T.int64(8 * WORD_COUNT * k))
        scope.at_end(lambda: thread_memory.give(words))
        scope.at_end(lambda: memory.close_state(state))
        scope.state = _Memory(state, words)

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""

        def result(text: Text) -> None:
            accept(self._prefixed(scope, text), T.float32(1))

        self._emit_row(scope, row, self._each_text(result), lambda _position: None)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        if self.as_texts:
            self.emit_texts(
                scope, row, lambda text, weight: accept(bucketize.emit_text_id(self.bucketizer, scope, text, row), weight)
            )
            return
        self._emit_numbers(scope, row, lambda _k, number: accept(self._typed.emit_id(scope, number), T.float32(1)), lambda _k: None)

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the numbers of one row."""

        def default(k: Expr) -> None:
            write(k, T.cast(scope.float_at(scope.int("defaults_at") + k), "float32"))

        self._emit_numbers(scope, row, lambda k, number: write(k, self._typed.emit_number(scope, number)), default)

    # ---------------------------------------------------------------- results

    def _emit_numbers(self, scope, row, write: Callable[[Expr, Expr], None], default: Callable[[Expr], None]) -> None:
        """Numbers and the defaults of calls without one; all defaults when the row is missing, or has another count than wanted."""
        count = intrin.local("int64", 0)
        dimension = scope.int("dimension")

        def place(emit: Callable[[Expr], None]) -> None:
            with T.If(T.Or(dimension == T.int64(0), count[0] < dimension)), T.Then():
                emit(intrin.let(count[0]))
            intrin.assign(count, count[0] + T.int64(1))

        def each(state: Expr) -> None:
            if self.returns not in LISTS:
                bits = memory.get(state, State.RESULT)
                place(lambda k: write(k, self._number(bits)))
                return
            items = memory.get(state, State.RESULT)
            with T.serial(memory.length_of(items)) as j:
                bits = intrin.let(intrin.load("int64", memory.element_address(items, j)))
                place(lambda k: write(k, self._number(bits)))

        self._emit_row(scope, row, each, lambda _position: place(default))
        with T.If(count[0] == T.int64(0)):
            with T.Then(), T.serial(dimension) as k:
                default(k)
            with T.Else(), T.If(T.And(dimension > T.int64(0), count[0] != dimension)), T.Then():
                scope.fail(row)

    def _number(self, bits: Expr) -> Expr:
        is_float = self.returns in ("float", "floats")
        return intrin.let(T.reinterpret("float64", bits) if is_float else T.cast(bits, "float64"))

    def _each_text(self, result: Callable[[Text], None]) -> Callable[[Expr], None]:
        def one(state: Expr) -> None:
            if self.returns == "text":
                with T.If(memory.get(state, State.COUNT) > T.int64(0)), T.Then():
                    result(Text(memory.get(state, State.RESULT), memory.get(state, State.COUNT)))
                return
            given = memory.get(state, State.RESULT)
            # of the arena: TVM gives the memory of a local array to others when only its address is used from here on
            at = memory.take(state, T.int64(INT_TEXT_BYTES))
            with T.If(at != T.int64(0)), T.Then():
                self._each_decimal(given, at, result)

        return one

    def _each_decimal(self, given: Expr, at: Expr, result: Callable[[Text], None]) -> None:
        if self.returns == "int":
            result(Text(at, format_int.emit(given, at)))
            return
        with T.serial(memory.length_of(given)) as j:
            number = intrin.let(intrin.load("int64", memory.element_address(given, j)))
            result(Text(at, format_int.emit(number, at)))

    def _prefixed(self, scope, text: Text) -> Text:
        """The text behind the prefix, copied to the arena if there is one; num_buckets reads the bare text."""
        address, length = intrin.local("int64", text.address), intrin.local("int64", text.length)
        count = scope.int("prefix_count")
        if self.bucketizer != bucketize.NUM_BUCKETS:
            with T.If(count > T.int64(0)), T.Then():
                made = memory.take(scope.state.state, intrin.let(count + text.length))
                with T.If(made != T.int64(0)), T.Then():
                    behind = copy.emit(Text(scope.bytes_address(scope.int("prefix_at")), count), made)
                    end = copy.emit(text, behind)
                    intrin.assign(address, made)
                    intrin.assign(length, end - made)
        return Text(intrin.let(address[0]), intrin.let(length[0]))

    # ---------------------------------------------------------------- calls

    def _emit_row(self, scope, row, result: Callable[[Expr], None], nothing: Callable[[Expr], None]) -> None:
        """Emit the calls of a row: `result(state)` behind one with a value, `nothing(position)` behind one of several without."""
        state = scope.state.state
        memory.begin_row(state)
        values = []
        for k, ((_, kind), scalar) in enumerate(zip(self.parameters, self.scalars, strict=True)):
            words, splits = scope.state.words + T.int64(8 * WORD_COUNT * k), T.cast(scope.fields[k].splits, "int64")
            values.append(gather(state, words, row, (scope.int("separator"), splits), kind, is_list=not scalar))
        calls = self._count(scope, row, values)
        position = intrin.local("int64", 0)
        with T.While(position[0] < calls):
            at = intrin.let(position[0])
            intrin.assign(position, at + T.int64(1))
            memory.put(state, State.STATUS, T.int64(0))
            self.procedure.call(state, *(word for value in values for word in value.argument(at)))
            status = memory.get(state, State.STATUS)
            with T.If(status == T.int64(int(Status.VALUE))), T.Then():
                result(state)
            with T.If(T.And(status == T.int64(int(Status.NO_VALUE)), calls > T.int64(1))), T.Then():
                nothing(at)
            with T.If(status >= T.int64(int(Status.WORK))), T.Then():
                scope.fail(row)
                intrin.assign(position, calls)

    def _count(self, scope, row, values: list[Values]) -> Expr:
        """How many calls a row has: the count of values of its scalar parameters; 0 when one has none."""
        calls, wrong = intrin.local("int64", 1), intrin.local("int64", 0)
        for value in values:
            if value.is_list:
                continue
            with T.If(value.count != T.int64(1)), T.Then():
                with T.If(T.And(calls[0] > T.int64(1), T.And(value.count > T.int64(1), value.count != calls[0]))), T.Then():
                    intrin.assign(wrong, 1)
                with T.If(calls[0] != T.int64(0)), T.Then():
                    intrin.assign(calls, value.count)
        lacking = T.bool(False)
        for value in values:
            if not value.is_list:
                lacking = T.Or(lacking, value.count == T.int64(0))
        with T.If(lacking):
            with T.Then():
                intrin.assign(calls, 0)
            with T.Else(), T.If(wrong[0] != T.int64(0)), T.Then():
                scope.fail(row)
                intrin.assign(calls, 0)
        with T.If(memory.get(scope.state.state, State.STATUS) != T.int64(0)), T.Then():  # no memory for the values
            scope.fail(row)
            intrin.assign(calls, 0)
        return intrin.let(calls[0])
