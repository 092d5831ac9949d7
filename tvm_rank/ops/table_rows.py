"""Rows of embedding tables in fewer bytes: how they are encoded, and what they are taken to mean.

    fp32   dim x float32                            fp16, bf16   dim x 2 bytes, rounded to nearest even
    int8   word (2 bytes), dim x uint8              int4         scale (1 byte), dim / 2 bytes, rounded up

All little-endian, without alignment. A row is encoded by itself, from its own largest and smallest number:

    int8   number = (code - zero) * scale           word = scale (10 bits: 6 exponent, 4 mantissa) << 6 | zero / 4 (6 bits)
           scale = (1 + mantissa / 16) * 2^(exponent - 49)
    int4   number = code * scale, code -8 .. 7      scale byte = sign (1 bit) << 7 | exponent (5 bits) << 2 | mantissa (2 bits)
           scale = +-(1 + mantissa / 4) * 2^(exponent - 22); number 2 k is the lower half of byte k, number 2 k + 1 the upper one

`zero` lets a row of one sign have all 256 codes, and 0 stays 0. The sign of an int4 scale gives the code -8, which has no positive
counterpart, to the number that is largest by size. A decoded number is a product that float32 holds exactly, so a kernel that decodes in
registers has the same bits. `docs/decisions.md` says how these were chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FP32, FP16, BF16, INT8, INT4 = PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int4")
OTHERS = "*"  # in a mapping of precisions: all tables that it does not name
PAD_BYTES = 64  # behind the last row of a file that is not fp32: a kernel may read so far beyond a row

_INT8_STEPS, _INT8_BIAS = 251, 127 - 49  # codes that are left for a row when its zero is a multiple of 4
_INT4_BIAS = 127 - 22
_INT8_LARGEST = _INT8_STEPS * (2 - 2**-4) * 2.0**14
_INT4_LARGEST = 8 * (2 - 2**-2) * 2.0**9
_FP16_LARGEST, _BF16_LARGEST = 65520.0, float.fromhex("0x1.ffp+127")  # from here on a number is rounded to infinity


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What is done to rows of one precision."""

    header: int  # bytes before the numbers
    bits: int  # of a number
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray, int], np.ndarray]
    too_large: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda low, _high: np.zeros(len(low), bool)
    limit: str = ""


def row_bytes(precision: str, dim: int) -> int:
    """The bytes of a row of `dim` numbers."""
    rows = _ROWS[precision]
    return rows.header + (dim * rows.bits + 7) // 8


def encode(values: np.ndarray, precision: str) -> np.ndarray:
    """uint8 (rows, row_bytes) of float32 (rows, dim), which `refused` must have passed. Numbers far below a row's largest become 0, and so
    does a row whose largest is below the smallest scale (int8: 2^-49, int4: 2^-22)."""
    return _ROWS[precision].encode(np.ascontiguousarray(values, "<f4"))


def decode(rows: np.ndarray, precision: str, dim: int) -> np.ndarray:
    """float32 (rows, dim) of uint8 (rows, row_bytes): the definition of what the rows mean."""
    return _ROWS[precision].decode(np.ascontiguousarray(rows), dim)


def refused(values: np.ndarray, precision: str) -> tuple[int, str] | None:
    """(row, why) of the first row that the precision cannot hold: NaN, infinity, or too large; None when there is none. fp32 holds all."""
    if precision == FP32:
        return None
    rows = _ROWS[precision]
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = _extremes(_columns(values))
        bad = rows.too_large(low, high) | ~np.isfinite(low) | ~np.isfinite(high)  # either is NaN where a number is
    if not bad.any():
        return None
    row = int(bad.argmax())
    if not np.isfinite(values[row]).all():
        return row, f"holds {values[row][~np.isfinite(values[row])][0]}, for which {precision} has no number"
    return row, f"holds {values[row][np.abs(values[row]).argmax()]:g}, and {precision} reaches to {rows.limit}"


def _columns(values: np.ndarray) -> np.ndarray:
    """(dim, rows): NumPy goes over rows of a few numbers one by one, over columns of many at once."""
    return np.ascontiguousarray(values.T)


def _extremes(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest number of each row."""
    return columns.min(axis=0), columns.max(axis=0)


def _encode_int8(values: np.ndarray) -> np.ndarray:
    columns = _columns(values)
    low, high = _extremes(columns)
    low, high = np.minimum(low, 0).astype(np.float64), np.maximum(high, 0)
    scale_code = _rounded_up((high - low) / _INT8_STEPS, 4, _INT8_BIAS, 1023)
    scale = _scale(scale_code, 4, _INT8_BIAS)
    quarter = np.minimum(np.ceil(-low / scale / 4), 63).astype(np.uint16)
    codes = columns / scale  # columns of one number are the table itself
    np.rint(codes, out=codes)
    codes += np.float32(4) * quarter.astype(np.float32)
    out = np.empty((len(values), 2 + values.shape[1]), np.uint8)
    out[:, :2] = (scale_code.astype("<u2") << 6 | quarter).astype("<u2")[:, None].view(np.uint8)
    out[:, 2:] = np.clip(codes, 0, 255, out=codes).astype(np.uint8).T
    return out


def _decode_int8(rows: np.ndarray, _dim: int) -> np.ndarray:
    words = rows[:, :2].copy().view("<u2")[:, 0].astype(np.int32)
    zero = (words & 63) << 2
    return (rows[:, 2:].astype(np.int32) - zero[:, None]).astype(np.float32) * _scale(words >> 6, 4, _INT8_BIAS)[:, None]


def _encode_int4(values: np.ndarray) -> np.ndarray:
    """Of two scales, the smallest with which no number is clipped and the one below it, that with the smaller sum of squared errors."""
    columns = _columns(values)
    low, high = _extremes(columns)
    upper = _rounded_up(np.maximum(high, -low).astype(np.float64) / 8, 2, _INT4_BIAS, 127)
    sign = np.where(high >= -low, np.float32(-1), np.float32(1))
    tried = []
    for code in (upper, np.maximum(upper - 1, 0)):
        scale = _scale(code, 2, _INT4_BIAS) * sign
        numbers = columns / scale
        np.clip(np.rint(numbers, out=numbers), -8, 7, out=numbers)
        error = columns - numbers * scale
        tried.append((code, numbers, np.square(error, out=error).sum(axis=0)))
    (code, numbers, error), (below, closer, smaller) = tried
    better = smaller < error
    nibbles = np.where(better, closer, numbers).astype(np.int8).view(np.uint8) & 15
    halves, pairs = nibbles[0::2], values.shape[1] // 2
    halves[:pairs] |= nibbles[1::2] << 4
    out = np.empty((len(values), 1 + len(halves)), np.uint8)
    out[:, 0] = np.where(better, below, code) | (sign < 0) << 7
    out[:, 1:] = halves.T
    return out


def _decode_int4(rows: np.ndarray, dim: int) -> np.ndarray:
    scale = _scale(rows[:, 0] & 127, 2, _INT4_BIAS) * np.where(rows[:, 0] > 127, np.float32(-1), np.float32(1))
    codes = np.empty((len(rows), 2 * (rows.shape[1] - 1)), np.int8)
    codes[:, 0::2] = (rows[:, 1:] << 4).view(np.int8) >> 4
    codes[:, 1::2] = rows[:, 1:].view(np.int8) >> 4
    return codes[:, :dim].astype(np.float32) * scale[:, None]


def _rounded_up(wanted: np.ndarray, mantissa_bits: int, bias: int, most: int) -> np.ndarray:
    """The code of the smallest scale that is `wanted` at least, int32; the smallest code below the range."""
    bits, drop = wanted.astype(np.float32).view(np.int32), 23 - mantissa_bits
    return np.clip((bits.astype(np.int64) + (1 << drop) - 1 >> drop) - (bias << mantissa_bits), 0, most).astype(np.int32)


def _scale(code: np.ndarray, mantissa_bits: int, bias: int) -> np.ndarray:
    """The scale of a code, float32: the code is the upper end of its bits."""
    return ((code.astype(np.int32) << 23 - mantissa_bits) + (bias << 23)).view(np.float32)


def _encode_bf16(values: np.ndarray) -> np.ndarray:
    bits = values.view("<u4")
    return (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype("<u2").view(np.uint8)


def _decode_bf16(rows: np.ndarray, _dim: int) -> np.ndarray:
    return (rows.view("<u2").astype("<u4") << 16).view("<f4")


def _encode_as(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: values.astype(dtype).view(np.uint8)


def _decode_as(dtype: str) -> Callable[[np.ndarray, int], np.ndarray]:
    return lambda rows, _dim: rows.view(dtype).astype("<f4")


def _beyond(limit: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Rows with a number of that size, by their smallest and largest numbers."""
    return lambda low, high: np.maximum(-low, high) >= limit


def _wider(limit: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Rows whose numbers, and 0, are further apart."""
    return lambda low, high: np.maximum(high, 0).astype(np.float64) - np.minimum(low, 0) > limit


_ROWS = {
    FP32: _Rows(header=0, bits=32, encode=_encode_as("<f4"), decode=_decode_as("<f4")),
    FP16: _Rows(
        header=0, bits=16, encode=_encode_as("<f2"), decode=_decode_as("<f2"), too_large=_beyond(_FP16_LARGEST), limit="65504"
    ),
    BF16: _Rows(header=0, bits=16, encode=_encode_bf16, decode=_decode_bf16, too_large=_beyond(_BF16_LARGEST), limit="3.39e38"),
    INT8: _Rows(
        header=2,
        bits=8,
        encode=_encode_int8,
        decode=_decode_int8,
        too_large=_wider(_INT8_LARGEST),
        limit=f"{_INT8_LARGEST:,.0f} from the smallest to the largest number of a row",
    ),
    INT4: _Rows(
        header=1,
        bits=4,
        encode=_encode_int4,
        decode=_decode_int4,
        too_large=_beyond(np.nextafter(np.float32(_INT4_LARGEST), np.float32(np.inf))),
        limit=f"{_INT4_LARGEST:,.0f}",
    ),
}
