"""Read a safetensors file without reading it: one memory map, and an array view per tensor.

The format: a little-endian uint64 with the length of the header, the header as a JSON object {name: {"dtype", "shape",
"data_offsets": [begin, end]}} with an optional "__metadata__", then the data; offsets count from the start of the data.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tvm_rank.errors import ModelError

MAX_HEADER = 100_000_000  # bytes, as in the reference implementation

DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def open_safetensors(path: Path) -> dict[str, np.ndarray]:
    """{name: read-only view} of every tensor. Nothing but the header is read.

    Raises ModelError when the file is cut short, when its header is no header, or when the offsets of a tensor leave the
    file, overlap another tensor's, or do not fit its dtype and shape.
    """
    source = str(path)
    size = path.stat().st_size
    header, start = _read_header(path, size, source)
    problems: list[str] = []
    spans: list[tuple[int, int, str]] = []
    layout: dict[str, tuple[np.dtype, tuple[int, ...], int]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        problem = _entry_problem(entry, size - start)
        if problem:
            problems.append(f"tensor '{name}' {problem}")
            continue
        begin, end = entry["data_offsets"]
        spans.append((begin, end, name))
        layout[name] = DTYPES[entry["dtype"]], tuple(entry["shape"]), begin
    spans.sort()
    for (_, end, name), (begin, _, other) in itertools.pairwise(spans):
        if begin < end:
            problems.append(f"tensors '{name}' and '{other}' overlap; the file is damaged")
    if problems:
        raise ModelError(source, problems)
    data = np.memmap(path, mode="r", dtype=np.uint8)
    return {
        name: np.ndarray(shape, dtype, buffer=data, offset=start + begin) if math.prod(shape) else np.empty(shape, dtype)
        for name, (dtype, shape, begin) in layout.items()
    }


def _read_header(path: Path, size: int, source: str) -> tuple[dict[str, Any], int]:
    """The header, and the offset of the data in the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            what = f"a file of {size} bytes" if size < 8 else f"a header of {length} bytes in a file of {size}"
            raise ModelError(source, [f"is not a safetensors file, or is truncated: {what}"])
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(source, ["is not a safetensors file: its header is not JSON"]) from error
    if not isinstance(header, dict):
        raise ModelError(source, ["is not a safetensors file: its header is not a JSON object"])
    return header, 8 + length


def _entry_problem(entry: Any, data_size: int) -> str | None:
    """What is wrong with one tensor of the header, or None."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return "has no dtype, shape and data_offsets in the header; the file is damaged"
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        return f"has shape {shape!r} and data_offsets {offsets!r}, which are not sizes; the file is damaged"
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        return f"has dtype {entry['dtype']!r}, which is not supported; store it as F32"
    begin, end = offsets
    wanted = math.prod(shape) * DTYPES[entry["dtype"]].itemsize
    if not begin <= end <= data_size:
        return f"lies at bytes {begin} to {end} of {data_size}; the file is truncated or damaged"
    if end - begin != wanted:
        return f"has {end - begin} bytes where its shape and dtype need {wanted}; the file is damaged"
    return None


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)
