"""Descriptors of the fields of records (`tvm_rank/items/records.py` draws them), checked once, when a store is loaded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.manifest import RecordEntry
from tvm_rank.runtime.columns import BYTES, FORMS, WORDS

LINE = 64
KINDS = {str(kind): kind for kind in FORMS}
KINDS |= {f"list<{kind}>": pa.list_(kind) for kind in FORMS}


class Records:
    """`describe(entry)` gives the words of a field. Raises ValueError for what does not fit together."""

    def __init__(self, batch: pa.RecordBatch, names: tuple[str, ...]):
        record, data, valid4, valid8 = (batch.column(name) for name in names)
        self.rows, self.size = len(record), record.type.byte_width if pa.types.is_fixed_size_binary(record.type) else 0
        if self.size < LINE or self.size % LINE or not pa.types.is_binary(data.type):
            raise ValueError(f"records of {record.type}, bytes of {data.type}")
        for column, share in ((valid4, 32), (valid8, 64)):
            if column.type != pa.binary(self.size // share) or column.null_count:
                raise ValueError(f"the nulls of records are {column.type}, wanted {self.size // share} bytes")
        self.at, self.valid = _address(record, 1), {4: _address(valid4, 1), 8: _address(valid8, 1)}
        self.records = np.frombuffer(record.buffers()[1], np.uint8)[: self.rows * self.size].reshape(self.rows, self.size)
        self.data = np.frombuffer(data.buffers()[2], np.uint8)
        self.bytes_at = data.buffers()[2].address

    def describe(self, entry: RecordEntry) -> list[int]:
        """The words of a field over all records."""
        kind = KINDS.get(entry.type)
        if kind is None or entry.place % 4 or not 0 <= entry.place <= self.size - 8 + 4 * (entry.type in ("int32", "float")):
            raise ValueError(f"field {entry.name!r} is {entry.type} at {entry.place}")
        is_list = pa.types.is_list(kind)
        element = kind.value_type if is_list else kind
        form = FORMS[element]
        width = 8 if not is_list and BYTES.get(form) == 8 else 4
        words = [0] * WORDS
        words[0], words[1], words[14] = form, self.size // width, self.rows
        words[3], words[4] = self.valid[width], entry.place // width
        place = self.at + entry.place
        if not is_list and form:
            words[9], words[15] = place, self.rows
            return words
        begin, end = self._pair(entry.place)
        limit = len(self.data)
        if not is_list:
            words[8], words[9], words[16] = place, self.bytes_at, limit
            _check(entry, begin, end, limit)
            return words
        words[5], words[9] = place, self.bytes_at
        if form:
            words[15] = limit // BYTES[form]
            _check(entry, begin, end, words[15])
            return words
        words[8], words[15], words[16] = self.bytes_at, limit // 4 - 1, limit
        _check(entry, begin, end, words[15])
        self._check_texts(entry, begin, end)
        return words

    def _pair(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        pair = np.ascontiguousarray(self.records[:, place : place + 8]).view(np.int32)
        return pair[:, 0].astype(np.int64), pair[:, 1].astype(np.int64)

    def _check_texts(self, entry: RecordEntry, begin: np.ndarray, end: np.ndarray) -> None:
        """The offsets of the texts of lists."""
        offsets = self.data[: len(self.data) // 4 * 4].view(np.int32)
        counts = end - begin
        k = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        at = np.repeat(begin, counts) + k
        _check(entry, offsets[at].astype(np.int64), offsets[at + 1].astype(np.int64), len(self.data))


def _check(entry: RecordEntry, begin: np.ndarray, end: np.ndarray, limit: int) -> None:
    if len(begin) and (begin.min() < 0 or (end < begin).any() or end.max() > limit):
        raise ValueError(f"field {entry.name!r} leads outside of its bytes")


def _address(array: pa.Array, k: int) -> int:
    if array.offset:
        raise ValueError("a column does not begin at its first row")
    return int(array.buffers()[k].address)
