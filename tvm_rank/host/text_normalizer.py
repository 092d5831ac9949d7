"""text_normalizer: characters are mapped through one table, for all texts at once, in NumPy over code points.

    "ＡＢＣ，裙子" (width, case, filter)  ->  "abc 裙子"

The table is made when a model is compiled (`characters.py`) and kept with it, so that another version of Unicode or OpenCC on the serving
machine changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.host.characters import BLANK, CODE_POINTS, HAN_RANGES, SPACES
from tvm_rank.host.texts import Convert

CODE = np.dtype("<u4")


def opened(parameters: Mapping[str, Any], files: Mapping[str, bytes]) -> Convert:
    """The function texts -> normalized texts.

    parameters: `max_length` (GBK bytes above which a text stays as it is; 0: no limit), `remove_space`, `split_han` (blanks between Han
    characters) · files: `characters`, pairs of uint32: a code point and what it becomes.
    """
    table = np.arange(CODE_POINTS, dtype=CODE)
    pairs = np.frombuffer(files["characters"], CODE).reshape(-1, 2)
    table[pairs[:, 0]] = pairs[:, 1]
    limit, remove, split = int(parameters["max_length"]), bool(parameters["remove_space"]), bool(parameters["split_han"])

    def convert(texts: pa.StringArray) -> pa.StringArray:
        codes, starts = _codes(texts)
        mapped = table[codes]
        if not (limit or remove or split):
            return _texts(mapped, starts)
        rows = np.repeat(np.arange(len(texts)), np.diff(starts))
        touched = _touched(codes, rows, len(texts), limit)
        if touched is not None:
            mapped = np.where(touched, mapped, codes)
        if remove:
            kept = ~np.isin(mapped, SPACES)
            kept = kept if touched is None else kept | ~touched
            mapped, rows, touched = mapped[kept], rows[kept], None if touched is None else touched[kept]
        if split:
            mapped, rows = _split_han(mapped, rows, touched)
        return _texts(mapped, np.searchsorted(rows, np.arange(len(texts) + 1)))

    return convert


def _codes(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """The code points of all texts, one behind the other, and where among them each text begins (one more: their count)."""
    if not len(texts):
        return np.zeros(0, CODE), np.zeros(1, np.int64)
    _, offset_buffer, data = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    content = (data or pa.py_buffer(b""))[int(offsets[0]) : int(offsets[-1])].to_pybytes()
    codes = np.frombuffer(content.decode().encode("utf-32-le"), CODE)
    if len(codes) == len(content):  # ASCII
        return codes, offsets.astype(np.int64) - offsets[0]
    begins = (np.frombuffer(content, np.uint8) & 0xC0) != 0x80  # the first byte of each code point
    before = np.zeros(len(content) + 1, np.int64)
    np.cumsum(begins, out=before[1:])
    return codes, before[offsets - offsets[0]]


def _touched(codes: np.ndarray, rows: np.ndarray, count: int, limit: int) -> np.ndarray | None:
    """Which code points belong to texts of at most `limit` GBK bytes; None when there is no limit."""
    if not limit:
        return None
    lengths = np.bincount(rows, 1 + (codes >= 0x80), count)
    return (lengths <= limit)[rows]


def _split_han(codes: np.ndarray, rows: np.ndarray, touched: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """A blank between each two neighbours in a row of which one is a Han character and none is a blank."""
    han = np.zeros(len(codes), bool)
    for first, last in HAN_RANGES:
        han |= (codes >= first) & (codes <= last)
    blank = np.isin(codes, SPACES)
    between = (han[:-1] | han[1:]) & ~blank[:-1] & ~blank[1:] & (rows[:-1] == rows[1:])
    if touched is not None:
        between &= touched[:-1]
    places = np.flatnonzero(between) + 1
    return np.insert(codes, places, BLANK), np.insert(rows, places, rows[places] if len(places) else 0)


def _texts(codes: np.ndarray, starts: np.ndarray) -> pa.StringArray:
    """The texts of code points, of which text k begins at starts[k]."""
    content = codes.astype(CODE).tobytes().decode("utf-32-le").encode()
    offsets = starts
    if len(content) != len(codes):  # not ASCII alone
        widths = 1 + (codes >= 0x80).astype(np.int8) + (codes >= 0x800) + (codes >= 0x10000)
        ends = np.zeros(len(codes) + 1, np.int64)
        np.cumsum(widths, out=ends[1:])
        offsets = ends[starts]
    return pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(content))
