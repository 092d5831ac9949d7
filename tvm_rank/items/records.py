"""The row-wise layout of a store: the fields of an item side by side in one record, and its texts behind those of the item before.

    record r:  [ begin end | begin end | int64 | float32 | begin end ... ]     S bytes, a multiple of 64
                 a text       a list                       a list of texts
    bytes:     [ texts and elements of item 0 | of item 1 | ... ]              each piece begins at a multiple of 8

A text is the (begin, end) int32 of its bytes. A list is the (begin, end) int32 of its elements, counted in their width from the beginning of
`bytes`; of a list of texts these are the int32 offsets of their bytes, one more than there are texts. Whether a field is null says the bit of
its place, counted in its own width (4 or 8), among those of the records (`valid4`, `valid8`).

Maps, lists of lists, and lists with null elements stay columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.manifest import RecordEntry
from tvm_rank.errors import InputError

RECORD, BYTES, VALID4, VALID8 = "record", "record bytes", "record valid 4", "record valid 8"
NAMES = (RECORD, BYTES, VALID4, VALID8)
LINE = 64  # bytes of a cache line: records begin at one
ALIGN = 8
MOST = 2**31 - 1
WIDTHS = {pa.int32(): 4, pa.float32(): 4, pa.int64(): 8, pa.float64(): 8}


def fits_record(array: pa.Array) -> bool:
    """Whether a column can be a field of records."""
    kind = array.type
    if pa.types.is_list(kind):
        return (kind.value_type in WIDTHS or pa.types.is_string(kind.value_type)) and not array.values.null_count
    return kind in WIDTHS or pa.types.is_string(kind)


def record_columns(columns: Mapping[str, pa.Array]) -> tuple[dict[str, pa.Array], tuple[RecordEntry, ...]]:
    """(the columns of the Arrow file that hold these fields as records, where each field lies). Raises InputError when they are too large."""
    rows = len(next(iter(columns.values())))
    entries, size = _placed(columns)
    if size * rows > 4 * MOST:
        raise InputError(f"items: {rows} records of {size} bytes are more than 8 GiB; use the layout 'columns'")
    records, pieces = np.zeros((rows, size), np.uint8), [_Piece(columns[entry.name]) for entry in entries]
    starts = _starts(pieces, rows)
    end = int(starts[-1][-1] + pieces[-1].sizes[-1]) if rows and pieces else 0
    if end > MOST:
        raise InputError(
            f"items: their texts and lists have {end} bytes, more than a store of rows holds; use the layout 'columns'"
        )
    data = np.zeros(max(end, ALIGN), np.uint8)
    valid = {4: np.zeros((rows, size // 4), np.uint8), 8: np.zeros((rows, size // 8), np.uint8)}
    for entry, piece, start in zip(entries, pieces, starts, strict=True):
        width = place_width(entry.type)
        valid[width][:, entry.place // width] = piece.valid
        slot = piece.write(data, start)
        records[:, entry.place : entry.place + slot.shape[1]] = slot
    packed = {width: np.packbits(bits, axis=1, bitorder="little") for width, bits in valid.items()}
    text = pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(_even(len(data), rows)), pa.py_buffer(data)])
    arrays = {RECORD: _fixed(records), BYTES: text, VALID4: _fixed(packed[4]), VALID8: _fixed(packed[8])}
    return arrays, tuple(entries)


def type_name(kind: pa.DataType) -> str:
    """The type as a record entry has it; names of list elements do not matter."""
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)


def place_width(kind: str) -> int:
    """In which unit the place of a field of this type is counted."""
    return 8 if kind in ("int64", "double") else 4


def _placed(columns: Mapping[str, pa.Array]) -> tuple[list[RecordEntry], int]:
    """Where each field lies, the wide ones first, and the size of a record."""
    entries, at = [], 0
    names = sorted(columns, key=lambda name: columns[name].type in (pa.int32(), pa.float32()))
    for name in names:
        entries.append(RecordEntry(name=name, place=at, type=type_name(columns[name].type)))
        at += WIDTHS.get(columns[name].type, 8)
    return entries, max(LINE, -(-at // LINE) * LINE)


def _even(size: int, rows: int) -> np.ndarray:
    """Offsets of a binary column whose only use is its buffer: all bytes are the first row's."""
    return np.array([0, *[size] * rows], np.int32)


def _fixed(rows: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])


def _starts(pieces: Sequence[_Piece], rows: int) -> list[np.ndarray]:
    """Where the piece of each field begins for each item: item by item, in each field by field."""
    sizes = np.stack([piece.sizes for piece in pieces]) if pieces else np.zeros((1, rows), np.int64)
    ends = np.cumsum(sizes.T.reshape(-1)).reshape(rows, len(sizes))
    return list((ends - sizes.T).T)


class _Piece:
    """What one column puts into `bytes`. `sizes` (rows,): how much for each item · `valid` (rows,): 0 where it is null."""

    def __init__(self, array: pa.Array):
        self.array, self.kind = array, array.type
        self.valid = np.asarray(array.is_valid()).astype(np.uint8)
        self.is_list = pa.types.is_list(self.kind)
        self.is_text = pa.types.is_string(self.kind.value_type if self.is_list else self.kind)
        if self.is_list or self.is_text:
            offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset :][: len(array) + 1].astype(np.int64)
            self.first, self.count = offsets[:-1], np.where(self.valid == 1, np.diff(offsets), 0)
        self.sizes = _padded(self._bytes())

    def _bytes(self) -> np.ndarray:
        if not self.is_list:
            return self.count if self.is_text else np.zeros(len(self.array), np.int64)
        if not self.is_text:
            return self.count * WIDTHS[self.kind.value_type]
        self.text = _text_offsets(self.array.values)
        return _padded(4 * (self.count + 1)) + self.text[self.first + self.count] - self.text[self.first]

    def write(self, data: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Write the pieces at `start`; gives the bytes of the field in each record, (rows, 4 or 8) uint8."""
        if not (self.is_list or self.is_text):
            numbers = self.array.fill_null(0).to_numpy(zero_copy_only=False).astype(self.kind.to_pandas_dtype())
            return numbers.view(np.uint8).reshape(len(numbers), WIDTHS[self.kind])
        if not self.is_list:
            _copy(data, start, _buffer(self.array, 2), self.first, self.count)
            return _pairs(start, start + self.count)
        if not self.is_text:
            width = WIDTHS[self.kind.value_type]
            begin = (self.first + self.array.values.offset) * width
            _copy(data, start, _buffer(self.array.values, 1), begin, self.count * width)
            return _pairs(start // width, start // width + self.count)
        texts, offsets = start + _padded(4 * (self.count + 1)), data[: len(data) // 4 * 4].view(np.int32)
        begin = self.text[self.first]
        owner, k = np.repeat(np.arange(len(start)), self.count + 1), _counted(self.count + 1)
        offsets[start[owner] // 4 + k] = texts[owner] + self.text[self.first[owner] + k] - begin[owner]
        _copy(data, texts, _buffer(self.array.values, 2), begin, self.text[self.first + self.count] - begin)
        return _pairs(start // 4, start // 4 + self.count)


def _padded(sizes: np.ndarray) -> np.ndarray:
    return -(-sizes // ALIGN) * ALIGN


def _text_offsets(texts: pa.Array) -> np.ndarray:
    if not len(texts):
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset :][: len(texts) + 1].astype(np.int64)


def _buffer(array: pa.Array, k: int) -> np.ndarray:
    buffer = array.buffers()[k]
    return np.zeros(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)


def _counted(counts: np.ndarray) -> np.ndarray:
    """0 .. count - 1 for each count, one behind the other."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def _copy(data: np.ndarray, target: np.ndarray, source: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> None:
    """Copy pieces of bytes."""
    k = _counted(sizes)
    data[np.repeat(target, sizes) + k] = source[np.repeat(first, sizes) + k]


def _pairs(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    return np.stack([begin, end], axis=1).astype(np.int32).view(np.uint8).reshape(len(begin), 8)
