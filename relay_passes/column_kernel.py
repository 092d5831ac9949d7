"""The kernel of the features of one descriptor table: what it writes, its column groups, its call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import relax

from te_schedules import intrin
from te_schedules.column_group import kernel, op, op_sequences, padded, sinks
from te_schedules.column_group.copies import Copy
from te_schedules.column_group.filled import FilledPool, FirstElements, FirstRow
from te_schedules.column_group.id_sums import ElementIdSums, IdSums
from te_schedules.column_group.joint import Joint, family, suffix
from te_schedules.column_group.lane_choice import ITEM_ROWS
from te_schedules.column_group.layout import Use
from te_schedules.column_group.pool import Pool
from te_schedules.column_group.producers import lay_out_with_producers
from te_schedules.column_group.threads import lanes_by_section
from te_schedules.feature import Column, KeptKind

ALL_IDS = 2**62
REQUEST_COLUMNS = "request_columns"  # the descriptor table of a request's own side, which has a row or a few


@dataclass(eq=False)
class Output:
    """One tensor that a kernel writes: the variables of its parts in column order, and the one that stands for all columns, if any."""

    parts: list[relax.Var]
    root: relax.Var | None

    def values(self, tensor: relax.Var) -> dict[relax.Var, relax.Expr]:
        """What becomes of the variables of the function, given the tensor."""
        if self.root is not None:
            return {self.root: tensor}
        slices, first = {}, 0
        for part in self.parts:
            end, axis = first + int(part.ty.shape.values[-1]), part.ty.ndim - 1
            slices[part] = relax.op.strided_slice(tensor, axes=[axis], begin=[first], end=[end], assume_inbound=True)
            first = end
        return slices


@dataclass(eq=False)
class Group:
    """All outputs that come from one descriptor table."""

    columns: relax.Var
    rows: relax.Expr
    outputs: list[Output] = field(default_factory=list)


class FeatureGraph:
    """A function of one dataflow block, with the definitions and uses of its variables."""

    def __init__(self, function: relax.Function):
        self.function = function
        (self.block,) = function.body.blocks
        self.values: dict[relax.Var, Any] = {b.var: b.value for b in self.block.bindings}
        self.users: dict[relax.Var, list[relax.Var]] = {}
        for binding in self.block.bindings:
            for var in relax.analysis.free_vars(binding.value):
                self.users.setdefault(var, []).append(binding.var)

    def feature_var(self, var: relax.Var) -> relax.Var | None:
        """The feature behind numbers, a lookup or a first id; None for other values."""
        value: Any = self.values.get(var)
        if any(op.is_call(value, name) for name in (op.LOOKUP, op.FIRST_ID, *op_sequences.NAMES)):
            var = value.args[0]
        elif op.is_feature(value) and not _is_numbers(op.decode(value)):
            return None
        return var if op.is_feature(self.values.get(var)) else None

    def feature(self, var: relax.Var) -> Any:
        """The call of `feature_var`, or None."""
        found = self.feature_var(var)
        return None if found is None else self.values[found]

    def producers(self, vars_: Iterable[relax.Var]) -> dict[str, Column]:
        """The columns of the features that these values are made of, those that they read included, by name."""
        found: dict[str, Column] = {}
        waiting = [value for var in vars_ for value in op.inputs_of(self.feature(var))]
        while waiting:
            call = self.values[waiting.pop()]
            column = op.decode(call)
            if column.name not in found:
                found[column.name] = column
                waiting += op.inputs_of(call)
        return found


def _is_numbers(column: Column) -> bool:
    return not (column.kind.yields_ids or column.kind.yields_texts or column.sequence is not None)


@dataclass(frozen=True, eq=False)
class _Member:
    """One use of a feature: what becomes of it, and where that goes."""

    column: Column
    sink: Any
    output: int
    ints: dict[str, int]


class ColumnKernel:
    """The kernel of one group: its layout, arguments and call. Values with several uses are made once, or for each, as `knobs` says.
    reads_tables: False for one with the ids of its lookups and without their table rows (`id_sums.py`)."""

    def __init__(self, graph: FeatureGraph, group: Group, knobs: kernel.Knobs, *, reads_tables: bool = True):
        self.graph, self.group, self.knobs, self.reads_tables = graph, group, knobs, reads_tables
        self.stacks: list[relax.Var] = []
        self.columns: list[Column] = []
        self.outputs: list[kernel.Argument] = []
        self.once = knobs.intermediates == kernel.CACHED
        places: dict[relax.Var, list[tuple[int, int]]] = {}
        for number, output in enumerate(group.outputs):
            out = 0
            for part in output.parts:
                places.setdefault(part, []).append((number, out))
                out += int(part.ty.shape.values[-1])
            middle = [int(extent) for extent in output.parts[0].ty.shape.values[1:-1]]
            self.outputs.append(kernel.Argument(f"out{number}", ("rows", *middle, out), str(output.parts[0].ty.dtype)))
        self.producers = graph.producers(places)
        uses = [use for members in self._by_feature(places).values() for use in self._uses(members)]
        self.columns += self.producers.values()
        self.layout = lay_out_with_producers(uses, self.producers, self._fields, self._copies(places) if self.once else [])
        self.outputs.append(kernel.Argument("status", (max(1, len(self.layout.refusals)),), "int64"))

    @property
    def _fields(self) -> int:
        return int(self.group.columns.ty.shape.values[0])

    def _by_feature(self, places: dict[relax.Var, list[tuple[int, int]]]) -> dict[relax.Var | None, list[_Member]]:
        """The uses of each feature; of a value that goes to several places, all but the first are copies where values are made once."""
        members: dict[relax.Var | None, list[_Member]] = {}
        for part, found in places.items():
            column = self._column(op.decode(self.graph.feature(part)))
            for number, out in found[:1] if self.once else found:
                member = self._member(part, column, number, out)
                members.setdefault(self.graph.feature_var(part), []).append(member)
        return members

    def _column(self, column: Column) -> Column:
        """The column of a feature; it reads its own values where they are kept for other features."""
        if self.once and column.name in self.producers and (kept := _kept(column)) is not None:
            return kept
        self.columns.append(column)
        return column

    def _member(self, part: relax.Var, column: Column, number: int, out: int) -> _Member:
        value, ints = self.graph.values[part], {"out": out}
        if op.is_call(value, op.LOOKUP) or op.is_call(value, op_sequences.LOOKUP):
            ints["table_row"] = int(value.attrs["table_row"])
        return _Member(column, self._sink(value), number, ints)

    def _uses(self, members: list[_Member]) -> Iterator[Use]:
        """The uses of one feature, those that can share its ids in one."""
        families: dict[Any, list[_Member]] = {}
        for member in members:
            kind = family(member.sink) if self.once else None
            families.setdefault(kind or member, []).append(member)
        for of_kind in families.values():
            column = of_kind[0].column
            if len(of_kind) == 1:
                yield Use(column=column, sink=of_kind[0].sink, output=of_kind[0].output, ints=of_kind[0].ints)
                continue
            ints = {name + suffix(k): value for k, member in enumerate(of_kind) for name, value in member.ints.items()}
            yield Use(column=column, sink=Joint(tuple((member.sink, member.output) for member in of_kind)), ints=ints)

    def _copies(self, places: dict[relax.Var, list[tuple[int, int]]]) -> list[Copy]:
        return [
            Copy(found[0][0], found[0][1], number, out, int(part.ty.shape.values[-1]))
            for part, found in places.items()
            for number, out in found[1:]
        ]

    def _sink(self, value: relax.Call) -> Any:
        """Where the values of a feature go."""
        if op.is_call(value, op.FIRST_ID):
            return sinks.FirstId()
        if op.is_call(value, op_sequences.LENGTH):
            return padded.ElementCounts()
        if op.is_call(value, op_sequences.IDS):
            return padded.PaddedIds(int(value.attrs["length"]))
        if op.is_call(value, op_sequences.NUMBERS):
            return padded.PaddedNumbers(int(value.attrs["length"]), int(value.attrs["dimension"]))
        if op.is_feature(value):
            return sinks.Numbers()
        stack = value.args[1]
        if stack not in self.stacks:
            self.stacks.append(stack)
        combiner, name, form = str(value.attrs["combiner"]), f"stack{self.stacks.index(stack)}", op.table_format(value)
        pooling = "sum" if combiner == op.FIRST else combiner
        if not self.reads_tables:
            return ElementIdSums() if op.is_call(value, op_sequences.LOOKUP) else IdSums()
        if op.is_call(value, op_sequences.LOOKUP):
            elements = padded.PaddedEmbeddings(pooling, name, form, int(value.attrs["length"]))
            return FirstElements(elements) if combiner == op.FIRST else elements
        pool = Pool(pooling, name, form)
        if combiner == op.FIRST:
            return FirstRow(pool)
        return FilledPool(pool, int(value.attrs["filled"])) if "filled" in value.attrs else pool

    def prim_func(self, name: str, behind: int = 0):
        """The kernel; `behind` as of `inputs`."""
        operator = "rank.features"
        return kernel.build(name, operator, self.layout, self._fields, self.inputs(behind), self.outputs, rows="rows", knobs=self.knobs,
                            usual_rows=self._usual_rows)  # fmt: skip

    def inputs(self, behind: int = 0) -> list[kernel.Argument]:
        """The stacked tables that it reads, with so many more rows that `behind` bytes can be read behind the last one."""
        found = []
        for k, stack in enumerate(self.stacks):
            rows, width = (int(extent) for extent in stack.ty.shape.values)
            row_bytes = width * np.dtype(str(stack.ty.dtype)).itemsize
            found.append(kernel.Argument(f"stack{k}", (rows + -(-behind // row_bytes), width), str(stack.ty.dtype)))
        return found

    @property
    def _usual_rows(self) -> int:
        return 1 if self.group.columns.name == REQUEST_COLUMNS else ITEM_ROWS

    def key(self, name: str) -> str:
        """The name of the kernel with digits that stand for what it computes: the kinds of its features in order and where their values go,
        whatever its knobs, its constants and the names of the features are."""
        parts = [[self._described(part) for part in output.parts] for output in self.group.outputs]
        text = repr((parts, sorted(str(column.kind) for column in self.producers.values())))
        return f"{name}_{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"

    def _described(self, part: relax.Var) -> tuple[str, str, str]:
        column = op.decode(self.graph.feature(part))
        return f"{column.kind} {column.sequence}", str(self._sink(self.graph.values[part])), str(part.ty.dtype)

    def describe(self) -> list[dict]:
        """The column groups: kind, sink and number of columns, on a GPU the lanes of a row too."""
        found = [{"kind": str(s.kind), "sink": str(s.sink), "columns": s.count} for s in self.layout.sections]
        if not (self.knobs.threads and intrin.on_gpu()):
            return found
        lanes = lanes_by_section(self.layout, self.knobs, self._usual_rows)
        return [{**group, "lanes": count} for group, count in zip(found, lanes, strict=True)]

    def out_type(self) -> relax.TupleType:
        """The tensors that the kernel writes."""
        rows = self.group.rows.values[0]
        return relax.TupleType(
            [relax.TensorType([rows if extent == "rows" else extent for extent in a.shape], a.dtype) for a in self.outputs]
        )

    def call(self, target: relax.GlobalVar) -> relax.Call:
        """The call of the kernel."""
        constants = [
            relax.const(self.layout.ints, "int64"),
            relax.const(self.layout.floats, "float64"),
            relax.const(self.layout.bytes, "uint8"),
        ]
        return relax.call_tir(target, relax.Tuple([self.group.columns, *constants, *self.stacks]), list(self.out_type().fields))


def _kept(column: Column) -> Column | None:
    """The column of the same values, read where they are kept for other features (`materialize.py`); None for weighted ids, of which only
    the ids are kept."""
    if column.kind.has_weights:
        return None
    wanted = ("id_space",) if column.kind.yields_ids else ("dimension",)
    if any(name not in column.ints for name in wanted):
        return None
    elements = ("sequence_length", "sequence_delim") if column.sequence is not None else ()
    ints = {"limit": ALL_IDS} if column.kind.yields_ids else {}
    return Column(
        name=column.name,
        kind=KeptKind(ids=column.kind.yields_ids),
        fields=(-1,),
        inputs=(column.name,),
        sequence=None if column.sequence is None else (True,),
        ints=ints | {name: column.ints[name] for name in (*wanted, *elements)},
        arrays={"default_ids": np.zeros(0, np.int64)} if column.kind.yields_ids else {},
    )
