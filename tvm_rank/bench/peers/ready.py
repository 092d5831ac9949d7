"""The inputs of a dense model that were computed before, and the arrays of a file of tables."""

from __future__ import annotations

import pathlib

import numpy as np

READY = "inputs-{}.npz"  # of a request


def ready_inputs(folder: str, items: int) -> list[dict[str, np.ndarray]]:
    """{graph input: its first `items` rows} of every request that lies in the folder."""
    found: list[dict[str, np.ndarray]] = []
    while (path := pathlib.Path(folder) / READY.format(len(found))).is_file():
        with np.load(path) as arrays:
            found.append({name: np.ascontiguousarray(arrays[name][:items]) for name in arrays.files})
    return found


def write_inputs(folder: pathlib.Path, number: int, feeds: dict[str, np.ndarray]) -> None:
    """Write the inputs of a request."""
    np.savez(folder / READY.format(number), **feeds)  # type: ignore[arg-type]
