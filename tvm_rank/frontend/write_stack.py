"""Write a stack of embedding tables, block by block: a table need not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tvm_rank.artifact.manifest import StackEntry, TableEntry
from tvm_rank.errors import ModelError
from tvm_rank.frontend.tables import Stack
from tvm_rank.ops.table_rows import FP32, PAD_BYTES, decode, encode, refused, row_bytes

CHUNK_BYTES = 1 << 20  # of float32 rows that are converted and written at a time: what is made of them stays in the caches
SAY_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class TableError:
    """What the precision of a table brings: the largest absolute difference, and the root mean square of all differences in parts of that
    of the table's numbers."""

    largest: float = 0.0
    relative_rms: float = 0.0


class _Errors:
    """Sums over the blocks of a table."""

    def __init__(self) -> None:
        self.largest, self.squares, self.total = 0.0, 0.0, 0.0

    def add(self, values: np.ndarray, found: np.ndarray) -> None:
        difference = np.abs(values - found)
        self.largest = max(self.largest, float(difference.max()))
        self.squares += float(np.square(difference, dtype=np.float64).sum())
        self.total += float(np.square(values, dtype=np.float64).sum())

    def result(self) -> TableError:
        return TableError(largest=self.largest, relative_rms=(self.squares / self.total) ** 0.5 if self.total else 0.0)


def write_stack(
    stack: Stack, tables: Mapping[str, np.ndarray], path: str | os.PathLike[str], say: Callable[[str], None] = lambda _stage: None
) -> dict[str, TableError]:
    """Write the stack, row 0 at offset 0: raw little-endian float32 (rows, dim), or rows of bytes and PAD_BYTES behind the last. Gives the
    error of each table.

    say: called with how far it is, every SAY_BYTES. Raises ModelError, naming table and row, for a number that the precision cannot hold.
    """
    errors = {}
    with Path(path).open("wb") as file:
        for name in stack.names:
            total = _Errors()
            for start, values in _blocks(stack, name, tables[name], say):
                if stack.precision == FP32:
                    file.write(values.data)
                    continue
                if (problem := refused(values, stack.precision)) is not None:
                    row, why = problem
                    raise ModelError(
                        "tables", [f"table '{name}': row {start + row} {why}; correct it, or give the table another precision"]
                    )
                rows = encode(values, stack.precision)
                file.write(rows.data)
                total.add(values, decode(rows, stack.precision, stack.dim))
            errors[name] = total.result()
        if stack.precision != FP32:
            file.write(bytes(PAD_BYTES))
    return errors


def _blocks(stack: Stack, name: str, table: np.ndarray, say: Callable[[str], None]) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, float32 rows) of a table."""
    step, every = (max(1, size // (stack.dim * 4)) for size in (CHUNK_BYTES, SAY_BYTES))
    rows, next_say = table.shape[0], every
    for start in range(0, rows, step):
        if start >= next_say:
            next_say += every
            say(f"writing table {name!r} as {stack.precision} ({start:,} of {rows:,} rows)")
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(table[start : start + step], dtype="<f4")
        yield start, values


def stack_entry(stack: Stack) -> StackEntry:
    """The entry of a stack; the errors of its tables are known when it is written."""
    ends = [*stack.row_offsets[1:], stack.rows]
    tables = {
        name: TableEntry(first_row=first, rows=end - first, largest_error=0.0, relative_error=0.0)
        for name, first, end in zip(stack.names, stack.row_offsets, ends, strict=True)
    }
    return StackEntry(
        file=f"tables/{stack.label}.bin",
        rows=stack.rows,
        dim=stack.dim,
        precision=stack.precision,
        row_bytes=row_bytes(stack.precision, stack.dim),
        tables=tables,
    )
