"""Scores to a file: .npy, .parquet, .arrow or .csv, written aside and renamed."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tvm_rank.cli.aside import written_aside
from tvm_rank.errors import RankError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SUFFIXES = (".npy", ".parquet", ".arrow", ".csv")


def score_path(text: str) -> pathlib.Path:
    """The path of --out; for argparse."""
    path = pathlib.Path(text)
    if path.suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r}: give a file that ends in {', '.join(SUFFIXES)}")
    return path


def check_outputs(path: pathlib.Path, outputs: list[str]) -> None:
    """Raise RankError when the file cannot hold these outputs, or its folder is missing."""
    if path.suffix == ".npy" and len(outputs) != 1:
        raise RankError(f"{path}: an .npy file holds one output, the model has {', '.join(outputs)}; give .parquet, .arrow or .csv")
    if not path.parent.is_dir():
        raise RankError(f"{path}: the folder {path.parent} does not exist; make it first")


def write_scores(path: pathlib.Path, scores: Mapping[str, np.ndarray]) -> None:
    """Write {output: (N, ...)}, rows in the order of the items. One score an item is (N,): a last axis of length 1 is dropped."""
    flat = {name: array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for name, array in scores.items()}
    with written_aside(path, "the scores") as aside:
        _write(aside, path.suffix, flat)


def _write(aside: str, suffix: str, flat: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    if suffix == ".npy":
        (array,) = flat.values()
        np.save(aside, array, allow_pickle=False)
    elif suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(_table(flat), aside)
    elif suffix == ".arrow":
        import pyarrow as pa

        table = _table(flat)
        with pa.OSFile(aside, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        from pyarrow import csv

        csv.write_csv(_table(_split(flat)), aside)


def _table(flat: Mapping[str, np.ndarray]) -> pa.Table:
    import pyarrow as pa

    columns = {}
    for name, array in flat.items():
        column = pa.array(array.reshape(-1))
        for extent in array.shape[:0:-1]:  # innermost first: (N, 3, 8) is lists of 3 lists of 8
            column = pa.FixedSizeListArray.from_arrays(column, extent)
        columns[name] = column
    return pa.table(columns)


def _split(flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """CSV has no lists: a wide output is a column for each of its values, named output_0, output_1, ..."""
    columns = {}
    for name, array in flat.items():
        if array.ndim == 1:
            columns[name] = array
        else:
            wide = array.reshape(len(array), -1)
            columns |= {f"{name}_{k}": wide[:, k].copy() for k in range(wide.shape[1])}
    return columns
