"""Weights of dense layers below fp32, in the order in which the kernels read them.

int8: each column has a scale of its own, W[:, j] ~ factors[j] * q[:, j], q in -127..127; a column of zeros has factor 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from te_schedules.dense.reduced.products import PRODUCTS
from te_schedules.dense.tiles import DenseTiles

MOST_INPUTS = 66_000  # of an int8 layer: 255 * 127 * K stays below 2**31


@dataclass(frozen=True, eq=False)
class Int8Weight:
    """packed: `interleaved` (panels, words, width * 4) as [column][number of the word], else [number of the word][column]; int8 ·
    factors (J,) f32 · totals (J,) i32, the sums of q over K."""

    packed: np.ndarray
    factors: np.ndarray
    totals: np.ndarray


def int8_levels(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (K, J) f32, finite -> (q (K, J) int8, factors (J,) f32)"""
    most = np.abs(weight).max(axis=0, initial=0)
    factors = np.where(most > 0, most / np.float32(127), np.float32(1)).astype(np.float32)
    factors = np.maximum(factors, np.finfo(np.float32).tiny)  # of denormal weights
    return np.clip(np.rint(weight / factors), -127, 127).astype(np.int8), factors


def pack_int8(weight: np.ndarray, tiles: DenseTiles, products: str, words: int | None = None) -> Int8Weight:
    """weight (K, J) f32 -> what an int8 layer reads. words: of K, None for those that it takes."""
    q, factors = int8_levels(weight)
    totals = q.sum(axis=0, dtype=np.int64).astype(np.int32)
    numbers = _panels(q, tiles, 4, words)  # (panels, words, 4, width)
    if PRODUCTS[products].interleaved:
        numbers = numbers.transpose(0, 1, 3, 2)
    panels, words = numbers.shape[:2]
    return Int8Weight(np.ascontiguousarray(numbers).reshape(panels, words, -1), factors, totals)


def bf16_bits(numbers: np.ndarray) -> np.ndarray:
    """uint16 of float32, to nearest and ties to even; a NaN keeps its sign and becomes quiet."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32).astype(np.uint64)
    near = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(numbers), (bits >> 16) | 64, near).astype(np.uint16)


def pack_bf16(weight: np.ndarray, tiles: DenseTiles, words: int | None = None) -> np.ndarray:
    """weight (K, J) f32 -> (panels, words, width) int32, the earlier of two numbers in the low half. words: as of `pack_int8`."""
    pairs = _panels(bf16_bits(weight), tiles, 2, words).transpose(0, 1, 3, 2)  # (panels, words, width, 2)
    return np.ascontiguousarray(pairs).view(np.uint32)[..., 0].view(np.int32)


def _panels(weight: np.ndarray, tiles: DenseTiles, per_word: int, words: int | None) -> np.ndarray:
    """(K, J) -> (panels, words, per_word, width), with zeros behind K and J."""
    depth, units = weight.shape
    width = tiles.panel_width(units)
    panels, words = -(-units // width), words or -(-depth // per_word)
    padded = np.zeros((words * per_word, panels * width), weight.dtype)
    padded[:depth, :units] = weight
    return padded.reshape(words, per_word, panels, width).transpose(2, 0, 1, 3)
