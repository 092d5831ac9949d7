"""A table of columns from a file: Arrow IPC (file or stream), Parquet, CSV or JSON lines.

CSV has no types: its columns are read as text, so that an id such as 007 stays as it stands; an empty cell is null, "" empty text.
Types that other tools write and the engine does not take (large_string, dictionary, int8) become the nearest that it takes.
"""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

from tvm_rank.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = {
    ".arrow": "arrow", ".ipc": "arrow", ".feather": "arrow", ".arrows": "arrow", ".parquet": "parquet", ".pq": "parquet",
    ".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json",
}  # fmt: skip
ARROW_MAGIC = b"ARROW1"


def read_columns(path: str | pathlib.Path) -> pa.Table:
    """The columns of a file, each one chunk. Raises InputError when it is missing, of another kind, or damaged."""
    import pyarrow as pa

    file = pathlib.Path(path)
    kind = SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise InputError(f"{file}: unknown kind of file {file.suffix!r}; give one of {', '.join(SUFFIXES)}")
    try:
        table = READERS[kind](file)
        return pa.table({name: _taken(table.column(k)) for k, name in enumerate(_names(table, file))}).combine_chunks()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as {kind} ({error})") from error


def _names(table: pa.Table, file: pathlib.Path) -> list[str]:
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{file}: has several columns named {', '.join(map(repr, twice))}; rename or drop them")
    return names


def _arrow(file: pathlib.Path) -> pa.Table:
    import pyarrow as pa

    with file.open("rb") as source:
        is_file = source.read(len(ARROW_MAGIC)) == ARROW_MAGIC
        source.seek(0)
        return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source).read_all()


def _parquet(file: pathlib.Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.ParquetFile(file).read()


def _csv(file: pathlib.Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(file) as reader:
        names = reader.schema.names
    options = csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    return csv.read_csv(file, convert_options=options)


def _json_lines(file: pathlib.Path) -> pa.Table:
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(_row(line, f"{file}, line {number}"))
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _json_column([row.get(name) for row in rows]) for name in names})


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: has a {type(row).__name__}; give one object a line, {{column: value}}")
    return row


def _json_column(values: list[Any]) -> pa.Array:
    """Values as a column; objects are weighted ids, {id: weight}."""
    import pyarrow as pa

    if any(isinstance(value, dict) for value in values) and all(value is None or isinstance(value, dict) for value in values):
        return pa.array([None if value is None else list(value.items()) for value in values], pa.map_(pa.string(), pa.float64()))
    return pa.array(values)


READERS = {"arrow": _arrow, "parquet": _parquet, "csv": _csv, "json": _json_lines}


def _taken(column: pa.ChunkedArray) -> pa.ChunkedArray:
    from tvm_rank.runtime.nearest_type import nearest_type

    wanted = nearest_type(column.type)
    return column if wanted == column.type else column.cast(wanted)
