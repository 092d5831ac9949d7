"""Feature generation with NumPy and pyarrow: whole columns at a time, as one would write it without a compiler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.output import FeatureOutput

SIZE = 1_000_003  # buckets
_M, _SEED, _SHIFT = np.uint64(0xC6A4A7935BD1E995), np.uint64(0xC70F6907), np.uint64(47)


def hashes(texts: pa.Array) -> np.ndarray:
    """The std hash (uint64) of texts without nulls: 8 bytes of all texts at a time."""
    texts = pa.concat_arrays([texts])  # an array that begins with its buffers
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1)
    lengths = np.diff(offsets)
    width = int(lengths.max(initial=0)) // 8 + 1
    padded = np.zeros((len(texts), 8 * width), np.uint8)
    padded[np.arange(8 * width) < lengths[:, None]] = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    words, wide = padded.view(np.uint64), lengths.astype(np.uint64)
    h, whole = _SEED ^ (wide * _M), lengths // 8
    for k in range(width):
        mixed = words[:, k] * _M
        mixed = (mixed ^ (mixed >> _SHIFT)) * _M
        rest = np.where((whole == k) & (lengths % 8 > 0), (h ^ words[:, k]) * _M, h)
        h = np.where(whole > k, (h ^ mixed) * _M, rest)
    h = (h ^ (h >> _SHIFT)) * _M
    return h ^ (h >> _SHIFT)


def buckets(texts: pa.Array, size: int) -> np.ndarray:
    """hash_bucket_size."""
    return (hashes(texts) % np.uint64(size)).astype(np.int64)


def split(column: pa.Array, separator: str = "|") -> tuple[pa.Array, np.ndarray]:
    """(the values of all rows, how many each row has) of texts with separators, or of lists."""
    lists = column if pa.types.is_list(column.type) else pc.split_pattern(column, separator)
    return lists.flatten(), pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int32)


def rows_of(lengths: np.ndarray) -> np.ndarray:
    """The row of each value."""
    return np.repeat(np.arange(len(lengths)), lengths)


def ids(values: np.ndarray, lengths: np.ndarray) -> FeatureOutput:
    """Ragged ids."""
    return FeatureOutput(values=values.astype(np.int64), lengths=lengths.astype(np.int32))


def dense(numbers: np.ndarray) -> FeatureOutput:
    """One float32 a row."""
    return FeatureOutput(dense=numbers.astype(np.float32, copy=False).reshape(-1, 1))


def filled(columns: Sequence[pa.Array], numbers: np.ndarray, default: float) -> FeatureOutput:
    """Numbers, but a default where one of the columns is null."""
    valid = [column.is_valid().to_numpy(zero_copy_only=False) for column in columns if column.null_count]
    return dense(np.where(np.logical_and.reduce(valid), numbers, np.float32(default)) if valid else numbers)


def plain(column: pa.Array) -> np.ndarray:
    """The numbers of a column, NaN where it is null."""
    return column.to_numpy(zero_copy_only=False)


def numbers(texts: pa.Array) -> np.ndarray:
    """Doubles of texts, NaN where one is null."""
    return plain(pc.cast(texts, pa.float64()))


def sums(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The sum of each row, from the first value to the last; no row is empty."""
    return np.add.reduceat(values, np.cumsum(lengths) - lengths)


def codes(*columns: pa.Array) -> list[np.ndarray]:
    """Equal numbers for equal texts of all columns."""
    encoded = pa.concat_arrays([pc.cast(column, pa.string()) for column in columns]).dictionary_encode().indices.to_numpy()
    return np.split(encoded.astype(np.int64), np.cumsum([len(column) for column in columns])[:-1])


def find(rows: np.ndarray, keys: np.ndarray, in_rows: np.ndarray, in_keys: np.ndarray) -> np.ndarray:
    """Where each (row, key) stands among others, the last one; -1 where nowhere."""
    span = int(max(keys.max(initial=0), in_keys.max(initial=0))) + 1
    wanted, known = rows * span + keys, in_rows * span + in_keys
    order = np.argsort(known, kind="stable")
    if not len(order):
        return np.full(len(wanted), -1)
    place = np.searchsorted(known[order], wanted, side="right") - 1
    return np.where((place >= 0) & (known[order][np.maximum(place, 0)] == wanted), order[np.maximum(place, 0)], -1)


def nested(texts: Sequence[str], categories: Sequence[str], items: Sequence[str]) -> FeatureOutput:
    """match_feature: dicts of dicts in Python, since no vector operation reads them."""
    found = []
    for text, category, item in zip(texts, categories, items, strict=True):
        table = {}
        for group in text.split("|"):
            name, _, inner = group.partition("^")
            table[name] = dict(pair.split(":") for pair in inner.split(","))
        found.append(float(table.get(category, {}).get(item, 0.0)))
    return dense(np.array(found))
