"""A compiled feature program: Arrow columns in, the features of each row out. Thread-safe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tvm_rank.errors import InputError, RowError
from tvm_rank.host.stage import NO_STAGES, HostFunctions, columns_before
from tvm_rank.output import FeatureOutput
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.collected import IDS, KEYS, STREAMS, WEIGHTS, Collected, Collector, memory
from tvm_rank.runtime.columns import FieldUse, Table, as_array, as_columns, find_column
from tvm_rank.runtime.texts import RaggedTexts

Constants = tuple[np.ndarray, np.ndarray, np.ndarray]  # int64, float64, uint8 vectors of a kernel


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A column that can refuse a batch: its feature, "" for any of a kernel's, and the rule that a row broke."""

    feature: str
    rule: str


class IdEntry(NamedTuple):
    """A feature of ids."""

    name: str
    weighted: bool
    is_sequence: bool


@dataclass(frozen=True, kw_only=True)
class ProgramPlan:
    """What a program computes: its fields (rows of the descriptor table), id features, number features with their widths, sequences of
    numbers with theirs, text features (and whether they have weights), all in kernel order, the kernels' constants and refusals by
    kernel name, and the rows of their blocks."""

    uses: tuple[FieldUse, ...]
    features: tuple[str, ...]
    ids: tuple[IdEntry, ...]
    numbers: tuple[tuple[str, int], ...]
    sequences: tuple[tuple[str, int], ...] = ()
    constants: Mapping[str, Constants]
    refusals: Mapping[str, tuple[Refusal, ...]]
    block_rows: int
    texts: tuple[tuple[str, bool], ...] = ()


RULE = 2**40
RULES = {
    1: "wants inputs with the same number of elements in a row, with one, or none, and these differ; make the sequences equally long",
    2: "the values of the rows from here on take more than 2 GiB in one block; shorten the texts, or set value_dim",
    3: "the GPU has no more memory for the texts and lists of all rows at once; rank fewer items in a request, or shorten the values",
}


def raise_refusal(status: np.ndarray, refusals: Sequence[Refusal]) -> None:
    """Raise RowError for the first refused column; `status` is 0, or 1 + row + RULE * rule (`te_schedules/feature/kind.py`)."""
    for refusal, value in zip(refusals, status.tolist(), strict=False):
        if value:
            number, row = divmod(value - 1, RULE)
            raise RowError(refusal.feature, row, RULES.get(number, refusal.rule))


def check(uses: Sequence[FieldUse], status: np.ndarray) -> None:
    """Raise InputError when an offset of a column leads outside of its buffers; `status` is what `check_columns` found."""
    if np.count_nonzero(status):  # a fifth of the time of any(), which is a function of Python
        use = uses[int(np.flatnonzero(status)[0])]
        raise InputError(f"column {use.name!r}: its offsets lead outside of its buffers; the Arrow data is damaged")


class FeatureProgram:
    """`program({"city": column, ...}) -> {feature: FeatureOutput}`, made by `tvm_rank.compile_features`."""

    def __init__(
        self, plan: ProgramPlan, functions: Mapping[str, Callable], threads: int | None = None, host: HostFunctions = NO_STAGES
    ):
        self.plan, self._functions, self._host = plan, functions, host
        self._threads = threads or tvm_runtime.cores()
        some = {"weighted": any(e.weighted for e in plan.ids), "sequences": any(e.is_sequence for e in plan.ids)}
        self._collector = Collector(len(plan.ids), plan.block_rows, **some)
        self._width = sum(width for _, width in plan.numbers)
        self._fields = columns_before(host.stages, [use.name for use in plan.uses])

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that a call needs."""
        return self._fields

    def __call__(self, columns: Any) -> dict[str, FeatureOutput]:
        """All features of the rows of `columns`.

        columns: a mapping of name -> pyarrow array, NumPy array or list, a pyarrow Table or RecordBatch. All columns have the same
        number of rows, or one row that serves all. Raises InputError for a missing column, a wrong type, ragged lengths, or a value
        that a feature refuses.
        """
        return self.of_table(*self._table(columns))

    def of_table(self, table: Table, rows: int) -> dict[str, FeatureOutput]:
        """All features of the rows of a descriptor table, whose columns are those of the plan's uses."""
        tvm_runtime.use_threads(self._threads)
        if table.has_offsets:
            status = np.zeros(len(table.words), np.int64)
            self._functions["check_columns"](table.words, status)
            check(self.plan.uses, status)
        outputs = self._ids(table, rows) | self._numbers(table, rows) | self._sequences(table, rows) | self._texts(table, rows)
        return {name: outputs[name] for name in self.plan.features}

    def _table(self, columns: Any) -> tuple[Table, int]:
        given, _ = as_columns(columns, "columns")
        arrays = {name: as_array(find_column(given, name, "columns"), f"column {name!r}") for name in self.fields}
        rows = next((len(a) for a in arrays.values() if len(a) != 1), 1)
        if self._host.stages:
            arrays |= self._host.run(arrays.__getitem__, "column")
        table = Table(self.plan.uses)
        for k, use in enumerate(self.plan.uses):
            table.fill(k, arrays[use.name], rows, f"column {use.name!r}")
        return table, rows

    def _run(self, name: str, table: Table, *tensors: np.ndarray) -> None:
        refusals = self.plan.refusals[name]
        status = np.zeros(max(1, len(refusals)), np.int64)
        self._functions[name](table.words, *self.plan.constants[name], *tensors, status)
        raise_refusal(status, refusals)

    def _ids(self, table: Table, rows: int) -> dict[str, FeatureOutput]:
        entries = self.plan.ids
        if not entries:
            return {}
        if not rows:
            return {entry.name: _no_ids(entry) for entry in entries}
        found = self._collector.run(rows, lambda *tensors: self._run("collect_ids", table, *tensors))
        weighted = np.array([k for k, entry in enumerate(entries) if entry.weighted], np.int64)
        sequences = np.array([k for k, entry in enumerate(entries) if entry.is_sequence], np.int64)
        values = self._gathered(found, IDS, np.arange(len(entries)))
        weights, keys = self._gathered(found, WEIGHTS, weighted), self._gathered(found, KEYS, sequences)
        # a copy each, so that the lengths of one feature do not keep those of all others
        lengths = [of_one.copy() for of_one in found.lengths] if len(entries) > 1 else found.lengths
        return {
            entry.name: FeatureOutput(values=values[k], lengths=lengths[k], key_lengths=keys.get(k), weights=weights.get(k))
            for k, entry in enumerate(entries)
        }

    def _gathered(self, found: Collected, stream: int, features: np.ndarray) -> dict[int, np.ndarray]:
        """The items of a stream, an array for each of these features."""
        if not features.size:
            return {}
        if (whole := found.whole(stream)) is not None:
            self._collector.give_away(stream)
            return {0: whole}
        totals = found.sizes(stream, features).sum(axis=1).tolist()
        arrays = [memory(total, STREAMS[stream][1]) for total in totals]
        addresses = np.array([array.__array_interface__["data"][0] for array in arrays], np.int64)
        self._functions["copy_pieces"](*found.pieces(stream, features, addresses), np.empty(1, np.int64))
        return dict(zip(features.tolist(), arrays, strict=True))

    def _sequences(self, table: Table, rows: int) -> dict[str, FeatureOutput]:
        """The numbers of sequences."""
        if not self.plan.sequences:
            return {}
        elements = np.zeros((len(self.plan.sequences), rows), np.int32)
        if rows:
            self._run("count_elements", table, elements)
        widths = np.array([width for _, width in self.plan.sequences], np.int64)
        sizes = elements * widths[:, None]
        starts, total = _starts(sizes)
        numbers = np.empty(total, np.float32)
        if total:
            self._run("sequence_numbers", table, starts, numbers)
        return {
            name: FeatureOutput(dense=numbers[_part(starts, sizes, k)].reshape(-1, width).copy(), lengths=elements[k].copy())
            for k, (name, width) in enumerate(self.plan.sequences)
        }

    def _numbers(self, table: Table, rows: int) -> dict[str, FeatureOutput]:
        if not self.plan.numbers:
            return {}
        dense = np.empty((self._width, rows), np.float32)
        if rows:
            self._run("numbers", table, dense)
        outputs, at = {}, 0
        for name, width in self.plan.numbers:
            outputs[name] = FeatureOutput(dense=dense[at : at + width].reshape(rows, width))
            at += width
        return outputs

    def _texts(self, table: Table, rows: int) -> dict[str, FeatureOutput]:
        if not self.plan.texts:
            return {}
        lengths = np.zeros((len(self.plan.texts), rows), np.int32)
        sizes = np.zeros(lengths.shape, np.int64)
        if rows:
            self._run("count_texts", table, lengths, sizes)
        made = RaggedTexts(lengths, sizes)
        if made.ends.size:
            self._run("emit_texts", table, made.starts, made.byte_starts, made.text, made.ends, made.weights)
        outputs = {}
        for k, (name, weighted) in enumerate(self.plan.texts):
            texts, weights = made.feature(k, name)
            outputs[name] = FeatureOutput(texts=texts, lengths=lengths[k].copy(), weights=weights if weighted else None)
        return outputs


def _no_ids(entry: IdEntry) -> FeatureOutput:
    """What a feature of ids gives for no rows."""
    lengths = np.zeros(0, np.int32)
    keys, weights = lengths if entry.is_sequence else None, np.zeros(0, np.float32) if entry.weighted else None
    return FeatureOutput(values=np.zeros(0, np.int64), lengths=lengths, key_lengths=keys, weights=weights)


def _starts(lengths: np.ndarray) -> tuple[np.ndarray, int]:
    """Where the values of each (feature, row) begin when all lie one behind the other, and how many there are."""
    ends = np.cumsum(lengths.reshape(-1), dtype=np.int64)
    return (ends - lengths.reshape(-1)).reshape(lengths.shape), int(ends[-1]) if ends.size else 0


def _part(starts: np.ndarray, lengths: np.ndarray, k: int) -> slice:
    """The values of feature k."""
    return slice(int(starts[k, 0]), int(starts[k, -1] + lengths[k, -1])) if starts.shape[1] else slice(0, 0)


__all__ = ["FeatureProgram", "IdEntry", "ProgramPlan", "Refusal", "check", "raise_refusal"]
