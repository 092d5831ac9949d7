"""Input files: which there are, the groups of rows they consist of, and the rows of one group as record batches.

A *group* is what can be read alone: a row group of a Parquet file, a record batch of an Arrow file or stream.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tvm_rank.errors import InputError

PARQUET, FILE, STREAM = "parquet", "arrow file", "arrow stream"
SUFFIXES = {".parquet": PARQUET, ".pq": PARQUET, ".arrow": FILE, ".ipc": FILE, ".feather": FILE, ".arrows": FILE}
ARROW_MAGIC = b"ARROW1"
DIGEST_BYTES = 1 << 16  # of each end of a file, for its fingerprint


@dataclass(frozen=True, kw_only=True)
class Source:
    """An input file: `kind` is PARQUET, FILE or STREAM; for each group the bytes that it takes, about, and its rows (0: not known
    without reading)."""

    path: str
    kind: str
    group_bytes: tuple[int, ...]
    group_rows: tuple[int, ...]
    fingerprint: str

    @property
    def group_name(self) -> str:
        """What a group of this file is called."""
        return "row group" if self.kind == PARQUET else "record batch"


def find_files(paths: Sequence[str | os.PathLike[str]]) -> list[pathlib.Path]:
    """The input files: those named, and those in the folders that are named, sorted by name. Raises InputError.

    In a folder, files of other kinds and those whose name begins with "." or "_" are passed over, at any depth.
    """
    found: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.is_file() and _is_data(p.relative_to(path))]
            if not inside:
                raise InputError(f"{path}: the folder has no file that ends in {', '.join(SUFFIXES)}")
            found += inside
        elif not path.exists():
            raise InputError(f"{path}: does not exist; give Parquet or Arrow files, or folders of them")
        elif path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: unknown kind of file {path.suffix!r}; give one of {', '.join(SUFFIXES)}")
        else:
            found.append(path)
    if twice := sorted({str(p) for p in found if found.count(p) > 1}):
        raise InputError(f"{twice[0]}: is given twice; its rows would be written twice")
    return found


def _is_data(relative: pathlib.Path) -> bool:
    return relative.suffix.lower() in SUFFIXES and not any(part.startswith((".", "_")) for part in relative.parts)


def open_source(path: pathlib.Path) -> tuple[Source, pa.Schema]:
    """The file's groups and schema, without reading its rows. Raises InputError when it cannot be read."""
    try:
        kind = _kind(path)
        sizes, rows, schema = {PARQUET: _parquet_groups, FILE: _file_groups, STREAM: _stream_groups}[kind](path)
        source = Source(path=str(path), kind=kind, group_bytes=sizes, group_rows=rows, fingerprint=_fingerprint(path))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return source, schema


def _kind(path: pathlib.Path) -> str:
    kind = SUFFIXES[path.suffix.lower()]
    if kind == PARQUET:
        return kind
    with path.open("rb") as file:  # the name does not tell a file from a stream
        return FILE if file.read(len(ARROW_MAGIC)) == ARROW_MAGIC else STREAM


_Groups = tuple[tuple[int, ...], tuple[int, ...], pa.Schema]  # bytes and rows of each, and the schema


def _parquet_groups(path: pathlib.Path) -> _Groups:
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
        return tuple(g.total_byte_size for g in groups), tuple(g.num_rows for g in groups), file.schema_arrow


def _file_groups(path: pathlib.Path) -> _Groups:
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        count = file.num_record_batches
        return (path.stat().st_size // max(1, count),) * count, (0,) * count, file.schema


def _stream_groups(path: pathlib.Path) -> _Groups:
    with pa.memory_map(str(path)) as mapped:  # messages are not decompressed
        messages = pa.ipc.MessageReader.open_stream(mapped)
        sizes = tuple(message.body.size for message in messages if message.type == "record batch")
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
        return sizes, (0,) * len(sizes), stream.schema


def _fingerprint(path: pathlib.Path) -> str:
    """Of the file's size, its time of change and its two ends, where both kinds of file keep their schema and places."""
    state = path.stat()
    digest = hashlib.blake2b(f"{state.st_size} {state.st_mtime_ns}".encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(DIGEST_BYTES))
        file.seek(max(0, state.st_size - DIGEST_BYTES))
        digest.update(file.read(DIGEST_BYTES))
    return digest.hexdigest()


class Reader:
    """Reads groups; keeps the last file open, since groups come in the order of the file. For one thread."""

    def __init__(self, columns: Sequence[str], batch_rows: int):
        self._columns, self._batch_rows = list(columns), batch_rows
        self._source: Source | None = None
        self._file: Any = None
        self._mapped: Any = None
        self._next = 0  # the group that a stream comes to next

    def batches(self, source: Source, group: int) -> Iterator[pa.RecordBatch]:
        """The columns asked for of one group, in batches of at most `batch_rows` rows. Raises OSError or ArrowException."""
        if source != self._source or (source.kind == STREAM and group < self._next):
            self._open(source)
        if source.kind == PARQUET:
            taken = self._file.iter_batches(self._batch_rows, row_groups=[group], columns=self._columns, use_threads=False)
            yield from (batch.select(self._columns) for batch in taken)
            return
        batch = self._batch(group).select(self._columns)
        yield from (batch.slice(first, self._batch_rows) for first in range(0, batch.num_rows, self._batch_rows))

    def _batch(self, group: int) -> pa.RecordBatch:
        if self._source is not None and self._source.kind == FILE:
            return self._file.get_batch(group)
        while True:
            batch = self._file.read_next_batch()
            self._next += 1
            if self._next > group:
                return batch

    def _open(self, source: Source) -> None:
        self.close()
        if source.kind == PARQUET:
            self._file = pq.ParquetFile(source.path, memory_map=True, pre_buffer=False)
        else:
            self._mapped = pa.memory_map(source.path)
            options = pa.ipc.IpcReadOptions(use_threads=False)
            self._file = (pa.ipc.open_file if source.kind == FILE else pa.ipc.open_stream)(self._mapped, options=options)
        self._source = source

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._file, pq.ParquetFile):
            self._file.close()
        if self._mapped is not None:
            self._mapped.close()
        self._source, self._file, self._mapped, self._next = None, None, None, 0
