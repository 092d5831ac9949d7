"""Embedding tables: open them without reading them, check them against the features, stack those of one width and precision."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from tvm_rank.errors import ModelError, RankError
from tvm_rank.frontend.nearest import did_you_mean
from tvm_rank.frontend.safetensors_file import open_safetensors
from tvm_rank.ops.table_rows import FP32, OTHERS, PRECISIONS, row_bytes
from tvm_rank.precision import AUTO

# Floats that become float32 when they are stacked: the narrow ones exactly, float64 rounded to nearest (beyond float32: inf).
FLOATS = tuple(np.dtype(t) for t in (np.float32, np.float16, ml_dtypes.bfloat16, np.float64))


@dataclass(frozen=True, kw_only=True)
class TableNeed:
    """What the features ask of a table: rows of `dim` floats for the ids 0 to `id_space` - 1. `used_by` names the features."""

    dim: int
    id_space: int
    used_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Tables of one width and precision, one after the other: id i of `names[k]` is row `row_offsets[k]` + i. fp32 is a float32 array
    (rows, dim), what else is uint8 (rows, row bytes)."""

    dim: int
    names: tuple[str, ...]
    row_offsets: tuple[int, ...]
    rows: int
    precision: str = FP32

    @property
    def label(self) -> str:
        """Its name in graphs and files."""
        return f"stack_{self.dim}" + ("" if self.precision == FP32 else f"_{self.precision}")

    @property
    def shape(self) -> tuple[int, int]:
        """Of the array."""
        return self.rows, self.dim if self.precision == FP32 else row_bytes(self.precision, self.dim)

    @property
    def dtype(self) -> np.dtype:
        """Of the array."""
        return np.dtype(np.float32 if self.precision == FP32 else np.uint8)

    def row_offset(self, name: str) -> int:
        """The row of id 0 of the table `name`. KeyError when it is in another stack."""
        if name not in self.names:
            raise KeyError(name)
        return self.row_offsets[self.names.index(name)]


def open_tables(tables: str | os.PathLike[str] | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{table name: array (rows, dim)} from a safetensors file, a folder of `<table>.npy` files, or arrays by name.

    Files are memory-mapped: a table is read when its rows are. Accepted are float32, float16, bfloat16 and float64, as they
    are; `write_stack` makes float32 of them. Values are not looked at.

    Raises ModelError, naming the file, when it is missing or damaged, and for tables that are not 2-D, not float or empty.
    """
    if isinstance(tables, Mapping):
        source, arrays = "tables", {str(name): np.asarray(array) for name, array in tables.items()}
    else:
        path = Path(tables)
        source, arrays = str(path), _open_path(path)
    if not arrays:
        raise ModelError(source, ["holds no tables"])
    problems = [problem for name, array in arrays.items() if (problem := _table_problem(name, array))]
    if problems:
        raise ModelError(source, problems)
    return arrays


def _open_path(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise ModelError(str(path), ["no such file or folder; give a .safetensors file or a folder of <table>.npy files"])
    if path.is_dir():
        return {file.stem: _open_npy(file) for file in sorted(path.glob("*.npy"))}
    if path.suffix == ".npy":
        raise ModelError(str(path), [f"is a single array; give the folder that holds it: {path.parent}"])
    try:
        return open_safetensors(path)
    except OSError as error:
        raise ModelError(str(path), [f"cannot be read: {error.strerror}"]) from error


def _open_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelError(str(path), [f"is not a .npy array of numbers, or is truncated: {error}"]) from error
    if not isinstance(array, np.ndarray):
        raise ModelError(str(path), ["is an archive of arrays; store one array per .npy file"])
    return array


def _table_problem(name: str, array: np.ndarray) -> str | None:
    if array.ndim != 2:
        return f"table '{name}' has shape {array.shape}; wanted (rows, dim)"
    if 0 in array.shape:
        return f"table '{name}' is empty, with shape {array.shape}; wanted at least one row and one column"
    if array.dtype not in FLOATS:
        return f"table '{name}' has dtype {array.dtype}; wanted float32 (float16, bfloat16 and float64 are converted)"
    return None


def check_tables(
    tables: Mapping[str, np.ndarray], needed: Mapping[str, TableNeed], *, allow_extra: bool = False, source: str = "tables"
) -> None:
    """Raise one ModelError with every table that is missing, too short, of another width, or that no feature uses.

    `allow_extra` lets tables pass that no feature uses. Rows beyond the id space are accepted.
    """
    problems = []
    extra = [name for name in tables if name not in needed]
    for name, need in needed.items():
        users = f"used by {', '.join(need.used_by)}"
        if name not in tables:
            hint = did_you_mean(name, extra) or f"; wanted an array ({need.id_space}, {need.dim})"
            problems.append(f"table '{name}' is missing ({users}){hint}")
            continue
        rows, dim = tables[name].shape
        if dim != need.dim:
            problems.append(f"table '{name}' is {dim} wide where embedding_dim says {need.dim} ({users}); correct either")
        if rows < need.id_space:
            wanted = f"the ids run to {need.id_space - 1}"
            problems.append(f"table '{name}' has {rows} rows, but {wanted} ({users}); wanted at least {need.id_space} rows")
    if not allow_extra:
        problems += [f"table '{name}' is used by no feature of the model; leave it out" for name in extra]
    if problems:
        raise ModelError(source, problems)


def open_needed(
    tables: str | os.PathLike[str] | Mapping[str, np.ndarray] | None,
    needs: Mapping[str, TableNeed],
    of_model: Mapping[str, np.ndarray],
    source: str,
) -> dict[str, np.ndarray]:
    """All tables by name: those that were inside of the model, and what `tables` has (`open_tables`); every one in `needs` is among them
    and fits. Raises ModelError; `source` names the configuration."""
    outside = [name for name in needs if name not in of_model]
    if outside and tables is None:
        names = ", ".join(outside[:5]) + (", ..." if len(outside) > 5 else "")
        raise ModelError(source, [f"the features look up {len(outside)} table(s) ({names}); give them as `tables`"])
    opened = {**(open_tables(tables) if tables is not None else {}), **of_model}
    check_tables(opened, needs, allow_extra=True)
    return opened


def table_precisions(wanted: str | Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """{table: precision} of all tables. wanted: one for all, or {table: precision}, where OTHERS stands for those that it does not name
    (else fp32); AUTO for those that are to be chosen. Raises RankError with all that is wrong."""
    given = {OTHERS: wanted} if isinstance(wanted, str) else dict(wanted)
    wrong = {name: precision for name, precision in given.items() if precision not in (*PRECISIONS, AUTO)}
    problems = [
        f"{name}: {value!r} is no precision; give one of {', '.join(PRECISIONS)} or {AUTO}" for name, value in wrong.items()
    ]
    for name in given:
        if name != OTHERS and name not in names:
            problems.append(f"no feature of the model looks up a table {name!r}{did_you_mean(name, names)}")
    if problems:
        raise RankError(f"table_precision: {'; '.join(problems)}")
    return {name: given.get(name, given.get(OTHERS, FP32)) for name in names}


def plan_stacks(
    needed: Mapping[str, TableNeed], tables: Mapping[str, np.ndarray], precisions: Mapping[str, str] | None = None
) -> tuple[Stack, ...]:
    """One stack per width and precision, narrow ones first, each with its tables in the order of `needed`, every table once.
    precisions: of each table; None for fp32."""
    chosen = precisions or dict.fromkeys(needed, FP32)
    stacks = []
    for dim, precision in sorted({(need.dim, PRECISIONS.index(chosen[name])) for name, need in needed.items()}):
        names = tuple(name for name, need in needed.items() if need.dim == dim and chosen[name] == PRECISIONS[precision])
        ends = np.cumsum([0, *(tables[name].shape[0] for name in names)]).tolist()
        stacks.append(Stack(dim=dim, names=names, row_offsets=tuple(ends[:-1]), rows=ends[-1], precision=PRECISIONS[precision]))
    return tuple(stacks)
