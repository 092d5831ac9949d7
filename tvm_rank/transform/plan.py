"""What a transform is to do, found out and checked before any work: files, columns, parts."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.errors import InputError
from tvm_rank.runtime.columns import find_column
from tvm_rank.transform.columns import plan_columns
from tvm_rank.transform.part import Part, Program, Settings, transform_batch, write_options
from tvm_rank.transform.source import Source, find_files, open_source

PART_BYTES = 64 << 20  # of input: groups smaller than this are put together
BATCH_VALUES = 1 << 23  # rows times columns of a batch, unless the user says how many rows
LEAST_ROWS, MOST_ROWS = 1 << 12, 1 << 16
SIDES = ("user", "item", "context")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """fg.json: its contents, what they say, and the folder of the files that it names."""

    contents: Mapping[str, Any]
    config: FeatureConfig
    base_dir: pathlib.Path

    @property
    def reserves(self) -> tuple[str, ...]:
        """The columns that the file itself wants copied. Raises InputError unless they are a list of names."""
        names = self.contents.get("reserves") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{self.config.source}: reserves: wanted a list of column names, got {json.dumps(names)[:80]}")
        return tuple(_bare(name) for name in names)


def _bare(name: str) -> str:
    side, colon, rest = name.partition(":")
    return rest if colon and side in SIDES else name


def read_configuration(
    fg: Mapping[str, Any] | str | os.PathLike[str],
    *,
    hash_function: str | None,
    base_dir: str | os.PathLike[str] | None,
    dialect: str = "pyfg",
    udfs: Sequence[Any] = (),
) -> Configuration:
    """Read fg.json, given as its path or its contents. base_dir: None for the folder of the file. Raises ConfigError."""
    beside = "." if isinstance(fg, Mapping) else os.path.dirname(os.path.abspath(fg))
    folder = pathlib.Path(beside if base_dir is None else base_dir)
    config = load_config(fg, hash_function=hash_function, base_dir=folder, dialect=dialect, udfs=udfs)
    contents = fg if isinstance(fg, Mapping) else json.loads(pathlib.Path(fg).read_bytes().decode("utf-8-sig"))
    return Configuration(contents=dict(contents), config=config, base_dir=folder)


def open_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[tuple[Source, pa.Schema]]:
    """The files and their schemas. Raises InputError."""
    return [open_source(path) for path in find_files(inputs)]


def check_schemas(sources: Sequence[tuple[Source, pa.Schema]], reads: Sequence[str], keeps: Sequence[str]) -> None:
    """Raise InputError with all columns that files lack, or that are to be copied and differ in type between files."""
    problems = []
    types: dict[str, tuple[pa.DataType, str]] = {}
    for source, schema in sources:
        for name in dict.fromkeys((*keeps, *reads)):
            found = schema.get_all_field_indices(name)
            if len(found) > 1:
                problems.append(f"{source.path}: has {len(found)} columns named {name!r}; rename or drop them")
            elif not found:
                try:
                    find_column(dict.fromkeys(schema.names), name, source.path)
                except InputError as error:
                    problems.append(str(error))
            elif name in keeps:
                kind = schema.field(name).type
                before, where = types.setdefault(name, (kind, source.path))
                if before != kind:
                    problems.append(f"{source.path}: column {name!r} is {kind}, and {before} in {where}; cast one")
    if problems:
        raise InputError("\n  ".join([f"the input files have {len(problems)} problem(s)", *problems]))


def check_batches(sources: Sequence[tuple[Source, pa.Schema]], settings: Settings, program: Program) -> None:
    """Transform no rows of each schema there is, so that a wrong type, or a name that is there twice, shows before the work."""
    known: list[pa.Schema] = []
    for source, schema in sources:
        taken = pa.schema([schema.field(name) for name in settings.columns])
        if not any(taken.equals(other) for other in known):
            known.append(taken)
            empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in taken], schema=taken)
            try:
                table = transform_batch(settings, program, empty)
                pq.ParquetWriter(pa.BufferOutputStream(), table.schema, **write_options(table.schema, settings)).close()
            except (InputError, pa.ArrowException) as error:
                raise InputError(f"{source.path}: {error}") from error


def batch_rows(columns: int) -> int:
    """Rows of a batch that holds so many columns in and out: BATCH_VALUES in all, within limits."""
    return max(LEAST_ROWS, min(MOST_ROWS, BATCH_VALUES // max(1, columns) // 1024 * 1024))


def cut_parts(sources: Sequence[Source], part_bytes: int) -> Iterator[Part]:
    """The groups of each file in runs of at most `part_bytes` bytes, at least one group each."""
    number = 0
    for source in sources:
        first, size = 0, 0
        for group, bytes_ in enumerate(source.group_bytes):
            if group > first and size + bytes_ > part_bytes:
                yield Part(number=number, source=source, first=first, end=group)
                number, first, size = number + 1, group, 0
            size += bytes_
        if source.group_bytes:
            yield Part(number=number, source=source, first=first, end=len(source.group_bytes))
            number += 1


def plan_settings(
    configuration: Configuration, *, out: str, keep: Sequence[str], lengths: bool, compression: str, metadata: Mapping[str, str]
) -> Settings:
    """The settings of all parts, but for what the program tells (`with_reads`)."""
    return Settings(
        out=out,
        reads=(),
        keeps=tuple(dict.fromkeys((*keep, *configuration.reserves))),
        batch_rows=MOST_ROWS,
        compression=compression,
        plan=plan_columns(configuration.config.features, with_lengths=lengths),
        metadata=metadata,
    )


def with_reads(settings: Settings, reads: Sequence[str], rows: int | None) -> Settings:
    """The settings with the columns that the program reads, and the rows of a batch (None: by the number of columns)."""
    columns = len(reads) + len(settings.keeps) + len(settings.plan)
    return dataclasses.replace(settings, reads=tuple(reads), batch_rows=rows or batch_rows(columns))
