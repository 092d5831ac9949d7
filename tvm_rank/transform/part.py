"""One part: the groups of rows that become one output file, and the work of making it."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tvm_rank.errors import InputError, RankError, RowError
from tvm_rank.output import FeatureOutput
from tvm_rank.runtime.nearest_type import nearest_type
from tvm_rank.transform.columns import FeatureColumns, encode
from tvm_rank.transform.source import Reader, Source

Program = Callable[[Any], Mapping[str, FeatureOutput]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Groups [first, end) of a source, which become the file `name`."""

    number: int
    source: Source
    first: int
    end: int

    @property
    def name(self) -> str:
        """The name of the output file."""
        return f"part-{self.number:05d}.parquet"

    @property
    def input_bytes(self) -> int:
        """The bytes of its groups in the input, about."""
        return sum(self.source.group_bytes[self.first : self.end])


@dataclass(frozen=True, kw_only=True)
class GroupError:
    """Why a group was not written. `row` counts from the first row of the group; None where no row or feature is to blame."""

    file: str
    kind: str
    group: int
    feature: str | None
    row: int | None
    reason: str

    def __str__(self) -> str:
        at = "".join([f", feature {self.feature!r}" if self.feature else "", f", row {self.row}" if self.row is not None else ""])
        return f"{self.file}, {self.kind} {self.group}{at}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """What became of a part: rows and bytes written (no file when there are no rows), and the groups that were left out."""

    part: int
    rows: int
    bytes: int
    errors: tuple[GroupError, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How parts are made. `reads` are the columns that features need, `keeps` those that are copied."""

    out: str
    reads: tuple[str, ...]
    keeps: tuple[str, ...]
    batch_rows: int
    compression: str
    plan: tuple[FeatureColumns, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        return tuple(dict.fromkeys((*self.keeps, *self.reads)))


class Stopped(Exception):
    """The work was asked to stop before a part was whole."""


def transform_batch(settings: Settings, program: Program, batch: pa.RecordBatch) -> pa.Table:
    """The output columns of a batch of rows. Raises InputError, or ArrowException where a column cannot be cast."""
    given = {name: _accepted(batch.column(name)) for name in settings.reads}
    outputs = program(given)
    kept = {name: batch.column(name) for name in settings.keeps}
    columns = encode(settings.plan, outputs, kept, batch.num_rows)
    return pa.table(columns).replace_schema_metadata(dict(settings.metadata))


def _accepted(column: pa.Array) -> pa.Array:
    wanted = nearest_type(column.type)
    return column if wanted == column.type else column.cast(wanted)


class PartMaker:
    """Makes parts, one after the other; for one thread. `stopped()` is asked before each batch, `progress(bytes)` told how many
    bytes of input are done."""

    def __init__(
        self,
        settings: Settings,
        program: Program,
        *,
        stopped: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _bytes: None,
    ):
        self._settings, self._program = settings, program
        self._stopped, self._progress = stopped, progress
        self._reader = Reader(settings.columns, settings.batch_rows)

    def make(self, part: Part) -> PartResult:
        """Write the file of a part under a temporary name, and rename it when it is whole.

        Raises Stopped, and RankError when the file cannot be written; then nothing is left of it.
        """
        target = pathlib.Path(self._settings.out) / part.name
        aside = target.with_name(f".{part.name}.{os.getpid()}.tmp")
        try:
            with _Sink(aside, self._settings) as sink:
                errors = [error for group in range(part.first, part.end) if (error := self._group(part, group, sink))]
            if sink.rows:
                os.replace(aside, target)
            return PartResult(part=part.number, rows=sink.rows, bytes=sink.bytes, errors=tuple(errors))
        except OSError as error:
            raise RankError(f"{target}: cannot be written ({error}); check the folder and the space on its disk") from error
        finally:
            aside.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file that is being read."""
        self._reader.close()

    def _group(self, part: Part, group: int, sink: _Sink) -> GroupError | None:
        """Transform one group; its rows are kept back until all are good, unless the part has no other."""
        alone = part.end - part.first == 1
        waiting: list[pa.Table] = []
        row, seen = 0, 0
        size, rows = part.source.group_bytes[group], part.source.group_rows[group]
        try:
            for batch in self._batches(part.source, group):
                table = transform_batch(self._settings, self._program, batch)
                if alone:
                    sink.write(table)
                else:
                    waiting.append(table)
                row += batch.num_rows
                share = size * batch.num_rows // rows if rows else 0
                seen += share
                self._progress(share)
        except RowError as error:
            return self._failed(part, group, sink, feature=error.feature, row=row + error.row, reason=error.reason)
        except (InputError, pa.ArrowException, _ReadError) as error:
            return self._failed(part, group, sink, feature=None, row=None, reason=str(error))
        finally:
            self._progress(size - seen)
        for table in waiting:
            sink.write(table)
        return None

    def _batches(self, source: Source, group: int) -> Iterator[pa.RecordBatch]:
        batches = self._reader.batches(source, group)
        while True:
            if self._stopped():
                raise Stopped
            try:
                batch = next(batches, None)
            except (OSError, pa.ArrowException, EOFError, KeyError) as error:
                self._reader.close()
                raise _ReadError(f"cannot be read ({error})") from error
            if batch is None:
                return
            yield batch

    def _failed(self, part: Part, group: int, sink: _Sink, *, feature: str | None, row: int | None, reason: str) -> GroupError:
        if part.end - part.first == 1:
            sink.drop()
        kind = part.source.group_name
        return GroupError(file=part.source.path, kind=kind, group=group, feature=feature, row=row, reason=reason)


class _ReadError(Exception):
    """A group cannot be read."""


class _Sink(contextlib.AbstractContextManager["_Sink"]):
    """The file of a part, made at the first table."""

    def __init__(self, path: pathlib.Path, settings: Settings):
        self._path, self._settings = path, settings
        self._writer: pq.ParquetWriter | None = None
        self.rows, self.bytes = 0, 0

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, **write_options(table.schema, self._settings))
        self._writer.write_table(table)
        self.rows += table.num_rows

    def drop(self) -> None:
        """Forget what was written."""
        self._close()
        self.rows = 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __exit__(self, *_error: object) -> None:
        self._close()
        if self.rows:
            self.bytes = self._path.stat().st_size


def write_options(schema: pa.Schema, settings: Settings) -> dict[str, Any]:
    """Options of the Parquet writer: integers delta-packed, which for ids is smaller than compression and several times as quick;
    floats plain; other columns, which were kept, with a dictionary and compressed."""
    encodings: dict[str, str] = {}
    compression: dict[str, str] = {}
    dictionaries: list[str] = []
    kept = set(settings.keeps)
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in kept:
            dictionaries += _leaves(name, kind)
            compression |= dict.fromkeys(_leaves(name, kind), "snappy" if settings.compression == "none" else settings.compression)
            continue
        for leaf in _leaves(name, kind):
            encodings[leaf] = "DELTA_BINARY_PACKED" if pa.types.is_integer(_element(kind)) else "PLAIN"
            compression[leaf] = settings.compression
    return {"use_dictionary": dictionaries or False, "column_encoding": encodings, "compression": compression}


def _element(kind: pa.DataType) -> pa.DataType:
    nested = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return _element(kind.value_type) if nested else kind


def _leaves(name: str, kind: pa.DataType) -> Sequence[str]:
    """The Parquet paths of a column's leaves."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _leaves(f"{name}.list.element", kind.value_type)
    if types.is_map(kind):
        return [*_leaves(f"{name}.key_value.key", kind.key_type), *_leaves(f"{name}.key_value.value", kind.item_type)]
    if types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(f"{name}.{field.name}", field.type)]
    return [name]
