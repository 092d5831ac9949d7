"""Host stages of an artifact: opened with its files, and run over the columns of a request."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tvm_rank.artifact.store import HOST
from tvm_rank.errors import ArtifactError, InputError, RankError
from tvm_rank.host.stage import HostFunctions, HostStage
from tvm_rank.runtime.columns import as_array, as_columns, find_column


def open_host(folder: pathlib.Path, stages: Sequence[HostStage]) -> HostFunctions:
    """The stages of an artifact. Raises ArtifactError when a library that they need is not installed, or cannot read its file."""
    names = {name for stage in stages for name in stage.files.values()}
    try:
        return HostFunctions.open(stages, {name: (folder / HOST / name).read_bytes() for name in names})
    except (RankError, OSError) as error:
        raise ArtifactError(f"{folder}: {error}") from error


def with_host_columns(host: HostFunctions, table: Any, side: str, where: str, needed: Sequence[str]) -> Any:
    """The table with the columns that the stages of a side make of it; `needed` names all columns that it must have, for messages.

    Gives a record batch for a record batch, a Table for a Table, else a dict. Raises InputError.
    """
    if not any(stage.side == side for stage in host.stages):
        return table
    if table is None:
        raise InputError(f"{where}: not given; it needs the columns {', '.join(needed)}")
    columns, _ = as_columns(table, where)

    def column(name: str) -> pa.Array:
        return as_array(find_column(columns, name, where), f"{where} column {name!r}")

    return with_columns(table, host.run(column, f"{where} column", side))


def with_columns(table: Any, made: Mapping[str, pa.Array]) -> Any:
    """The table with these columns more, in place of those of their names. Gives a record batch for a record batch, a Table for a Table,
    else a dict; what is not given stays so when nothing is made."""
    if not made:
        return table
    if not isinstance(table, (pa.Table, pa.RecordBatch)):
        return {**(table or {}), **made}
    kept = table.select([name for name in table.schema.names if name not in made])
    return type(table).from_arrays([*kept.columns, *made.values()], names=[*kept.schema.names, *made])
