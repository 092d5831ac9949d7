"""Texts that kernels write, as Arrow arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tvm_rank.errors import InputError

MOST_BYTES = 2**31 - 1  # what the int32 offsets of an Arrow string array reach


class RaggedTexts:
    """The texts of several features, one feature behind the other, and in these row by row.

    lengths (features, rows) int32 and sizes (features, rows) int64: how many texts a row has, and their bytes. Kernels fill `text` (all
    bytes) uint8, `ends` (nnz,) int64 and `weights` (nnz,) float32 from `starts` and `byte_starts`, (features, rows) int64.
    """

    def __init__(self, lengths: np.ndarray, sizes: np.ndarray):
        self.lengths, self.sizes = lengths, sizes
        self.starts, self.byte_starts = _starts(lengths), _starts(sizes)
        count = int(lengths.sum(dtype=np.int64))
        self.text = np.zeros(max(1, int(sizes.sum())), np.uint8)
        self.ends, self.weights = np.zeros(count, np.int64), np.zeros(count, np.float32)

    def feature(self, k: int, name: str) -> tuple[pa.ListArray, np.ndarray]:
        """(list<string> with a row for each row, weights (nnz,)) of feature k. Raises InputError beyond 2 GiB of text."""
        first = int(self.lengths[:k].sum(dtype=np.int64))
        begin, size = int(self.sizes[:k].sum()), int(self.sizes[k].sum())
        if size > MOST_BYTES:
            raise InputError(f"feature {name!r}: its texts take {size} bytes, more than 2 GiB; give fewer rows at once")
        rows = np.concatenate([[0], np.cumsum(self.lengths[k], dtype=np.int64)])
        ends = np.concatenate([[0], self.ends[first : first + int(rows[-1])] - begin]).astype(np.int32)
        text = pa.py_buffer(self.text[begin : begin + size].tobytes())
        values = pa.Array.from_buffers(pa.string(), len(ends) - 1, [None, pa.py_buffer(ends), text])
        offsets = pa.array(rows.astype(np.int32))
        return pa.ListArray.from_arrays(offsets, values), self.weights[first : first + int(rows[-1])].copy()


def _starts(counts: np.ndarray) -> np.ndarray:
    """Where each part begins when all of them lie one behind the other."""
    ends = np.cumsum(counts.reshape(-1), dtype=np.int64)
    return (ends - counts.reshape(-1)).reshape(counts.shape)
