"""The contract of a feature type inside kernels.

A *kind* is everything that shapes the code of a feature: its type, bucketizer, normalizer. A *column* is one feature: a kind, the
fields it reads, and its constants. Columns of an equal kind share one loop, which reads their constants from three vectors
(int64, float64, bytes), so code size does not grow with the number of features.

A further feature type is one file here with a frozen dataclass that overrides the members of `Kind`, and one line in
`feature/__init__.py`; its reference is in `tvm_rank/ops/`, its constants in `tvm_rank/lowering/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules import column as arrow
from te_schedules.procedure import Procedure
from te_schedules.tokens import Text

Expr = Any
RULE = 2**40  # a status is 0, or 1 + row + RULE * the rule that the row breaks
KIND_RULE, ELEMENTS_RULE, MEMORY_RULE, HEAP_RULE = range(4)
"""The kind's own; inputs of a sequence of different lengths; more values than int32 counts; a GPU's heap has no more memory."""
Accept = Callable[[Expr, Expr], None]  # (id int64, weight float32) of one value
AcceptText = Callable[[Text, Expr], None]  # (text, weight float32) of one value, before it is bucketized
Write = Callable[[Expr, Expr], None]  # (position int64, value float32) of one number


@dataclass(frozen=True)
class NumberRows:
    """Where numbers of rows go. `put(row, k, value)` emits the store of number k; number 0 of a row is at `address(row)` (int64), that
    of the next `stride` float32 behind (int64)."""

    put: Callable[[Expr, Expr, Expr], None]
    address: Callable[[Expr], Expr]
    stride: Expr


class Kind:
    """What shapes the code of a feature. Subclasses are frozen dataclasses, so that equal kinds compare equal."""

    stem: ClassVar[str]  # the feature type, also the name of the Relax operator: rank.<stem>

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> Iterable[Procedure]:  # noqa: ARG003  for those that override it
        """What the code of these columns, which are of this class, calls."""
        return ()

    @property
    def inputs(self) -> int:
        """How many fields a column of this kind reads."""
        return 1

    @property
    def yields_ids(self) -> bool:
        """True: ragged ids (`emit_ids`). False: a fixed number of float32 (`emit_numbers`)."""
        return True

    @property
    def yields_texts(self) -> bool:
        """True: ragged texts (`emit_texts`), which only another feature can read."""
        return False

    @property
    def has_weights(self) -> bool:
        """True when ids come with weights."""
        return False

    @property
    def has_plain_texts(self) -> bool:
        """True when code of its own for columns of plain texts (`column.PlainTexts`) is worth its size; `splits` of the fields are set."""
        return False

    @property
    def can_fail(self) -> bool:
        """True when a row can be refused (`Scope.fail`)."""
        return False

    @property
    def takes_memory(self) -> bool:
        """True when its code may take memory whose size is found out while it runs (`thread_memory.take`)."""
        return True

    @property
    def has_single_ids(self) -> bool:
        """True when the ids of a block can be written at once where each row has one (`emit_single_ids`)."""
        return False

    def prepare(self, scope: Scope, first_row: Expr, end_row: Expr) -> None:
        """Emit what comes before the loop over a block of rows: read constants, make room."""
        raise NotImplementedError(self.stem)

    def emit_ids(self, scope: Scope, row: Expr, accept: Accept) -> None:
        """Emit the ids of one row, in order, by `accept`; none when the row is missing."""
        raise NotImplementedError(self.stem)

    def emit_texts(self, scope: Scope, row: Expr, accept: AcceptText) -> None:
        """Emit the texts of one row, in order, by `accept`; none when the row is missing. A text lasts until `accept` returns."""
        raise NotImplementedError(self.stem)

    def emit_numbers(self, scope: Scope, row: Expr, write: Write) -> None:
        """Emit all numbers of one row by `write`, defaults included."""
        raise NotImplementedError(self.stem)

    def single_ids(self, scope: Scope, first_row: Expr, end_row: Expr) -> Expr:
        """Condition: each row of a block has one id, those of missing rows included, and `emit_single_ids` can write them."""
        raise NotImplementedError(self.stem)

    def emit_single_ids(self, scope: Scope, first_row: Expr, end_row: Expr, out: Expr) -> None:
        """Emit the ids (int64) of all rows of such a block, side by side at the address `out`."""
        raise NotImplementedError(self.stem)

    def emit_number_rows(self, scope: Scope, first_row: Expr, end_row: Expr, out: NumberRows) -> None:
        """Emit the numbers of all rows of a block; kinds that can take many rows at once override it."""
        with T.serial(first_row, end_row) as row:
            self.emit_numbers(scope, row, lambda k, value: out.put(row, k, value))


class TextKind(Kind):
    """A kind whose values are texts: ids by its `bucketizer` (a name of `te_schedules.bucketize`), texts when that is NONE."""

    bucketizer: str

    @property
    def yields_ids(self) -> bool:
        """True with a bucketizer."""
        return not self.yields_texts

    @property
    def yields_texts(self) -> bool:
        """True without a bucketizer."""
        return self.bucketizer == bucketize.NONE

    @property
    def can_fail(self) -> bool:
        """True when a row can be refused, because a text is no integer."""
        return self.bucketizer == bucketize.NUM_BUCKETS

    def emit_ids(self, scope: Scope, row: Expr, accept: Accept) -> None:
        """Emit the ids of the texts of one row."""

        def bucket(text: Text, weight) -> None:
            accept(bucketize.emit_text_id(self.bucketizer, scope, text, row), weight)

        self.emit_texts(scope, row, bucket)


class TextOrNumberKind(TextKind):
    """A kind whose values are texts where it is `discrete`, as a TextKind's; else numbers, which give ids with boundaries."""

    discrete: bool
    bucketized: bool

    @property
    def yields_ids(self) -> bool:
        """True for texts with a bucketizer, and for numbers with boundaries."""
        return self.bucketizer != bucketize.NONE if self.discrete else self.bucketized

    @property
    def yields_texts(self) -> bool:
        """True for texts without a bucketizer."""
        return self.discrete and self.bucketizer == bucketize.NONE


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One feature as kernels see it.

    fields: rows of the descriptor table · ints: named int64 constants · arrays: named int64, float64 or uint8 vectors; a kernel
    finds `<name>_at` (its place in the vector of its dtype) and `<name>_count` · trees: formulas, for `Kind.procedures`. Each column
    has the ints `limit` (ids kept of a row) and the array `default_ids` (ids of a missing row) if it yields ids; texts have the ints
    `limit` and `single` (1: the row has one text at most, which a reader may split) and the array `default_text`.

    A negative field -(k + 1) is the feature `inputs[k]`. sequence: of a sequence feature, whether each field is read element by
    element; such a column has the ints `sequence_length` (elements kept of a row) and `sequence_delim` (a byte).
    """

    name: str
    kind: Kind
    fields: tuple[int, ...]
    inputs: tuple[str, ...] = ()
    sequence: tuple[bool, ...] | None = None
    ints: Mapping[str, int] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    trees: tuple[Any, ...] = ()


class Scope:
    """What the code of one column can read, inside the loop over the columns of its kind."""

    def __init__(self, buffers, places: Mapping[str, int], first, fields: int, status=None):
        self._buffers, self._places, self._first, self._status = buffers, places, first, status
        self._bound: dict[str, Expr] = {}
        self.joined: Any = None  # the buffer of a kind that joins texts
        self.state: Any = None  # what `prepare` of a kind leaves for its rows
        self._closers: list[Callable[[], None]] = []
        self.fields: tuple[arrow.Field, ...] = tuple(buffers.field(self.int(f"field{k}")) for k in range(fields))
        self.elements: Any = None  # `column_group.elements.Elements` of a sequence: the kind's rows are elements then
        self.outer_row: Expr = None  # the kernel row whose elements are read
        self.made: Any = None  # `column_group.materialize.Made`, when other features read this one
        self.stride: Expr = None  # 0 when one row serves all, as a descriptor has it

    def int(self, name: str) -> Expr:
        """An int64 constant of the column, bound at first use; use it first outside of the row loop."""
        if name not in self._bound:
            self._bound[name] = intrin.let(self._buffers.ints[self._first + self._places[name]])
        return self._bound[name]

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Around the code of a branch: what it binds is not set in others."""
        before = dict(self._bound)
        yield
        self._bound = before

    def bind(self, *names: str) -> None:
        """Read constants now, so that a loop inside does not read them again."""
        for name in names:
            self.int(name)

    def int_at(self, index: Expr) -> Expr:
        """Element of the int64 vector."""
        return self._buffers.ints[index]

    def float_at(self, index: Expr) -> Expr:
        """Element of the float64 vector."""
        return self._buffers.floats[index]

    def float(self, name: str, k: Expr = 0) -> Expr:
        """The k-th float64 of the array `name`."""
        return self.float_at(self.int(f"{name}_at") + T.int64(k))

    def int_address(self, index: Expr) -> Expr:
        """Address of an element of the int64 vector."""
        return intrin.address_of(self._buffers.ints, index)

    def float_address(self, index: Expr) -> Expr:
        """Address of an element of the float64 vector."""
        return intrin.address_of(self._buffers.floats, index)

    def bytes_address(self, index: Expr) -> Expr:
        """Address of a byte of the uint8 vector."""
        return intrin.address_of(self._buffers.bytes, index)

    def at_end(self, emit: Callable[[], None]) -> None:
        """Call `emit` behind the column's loop over rows, to give back what `prepare` took."""
        self._closers.append(emit)

    def close(self) -> None:
        """Emit what `at_end` collected."""
        for emit in self._closers:
            emit()

    def fail(self, row: Expr) -> None:
        """Refuse the batch because of this row; the host reports the column's rule with the row."""
        self.refuse(row if self.outer_row is None else self.outer_row, KIND_RULE)

    def refuse(self, row: Expr, rule: Expr) -> None:
        """Refuse the batch because this kernel row breaks a rule: KIND_RULE, ELEMENTS_RULE or MEMORY_RULE. Of several rows the last is told."""
        # read here and not bound: what one branch binds is not set in another
        place = self._buffers.ints[self._first + self._places["status"]]
        intrin.store_last(self._status, place, row + T.int64(1 + rule * RULE), RULE)


def procedures_of(columns: Iterable[Column]) -> list[Procedure]:
    """All procedures that the code of some columns calls."""
    classes: dict[type[Kind], list[Column]] = {}
    for column in columns:
        classes.setdefault(type(column.kind), []).append(column)
    return [procedure for kind, members in classes.items() for procedure in kind.procedures(members)]
