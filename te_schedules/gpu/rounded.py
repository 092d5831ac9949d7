"""Numbers as the layers of a GPU round them, in bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from te_schedules.dense.reduced.pack import bf16_bits

LARGEST_FP16 = 65504.0


def tf32(numbers: np.ndarray) -> np.ndarray:
    """float32 numbers of 10 bits behind the first, the nearest to the given ones, of two the larger in magnitude (PTX's `cvt.rna.tf32`)."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    near = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isnan(numbers), np.uint32(0x7FFFFFFF), near).astype(np.uint32).view(np.float32)


def fp16(numbers: np.ndarray) -> np.ndarray:
    """float16 numbers, the nearest to the given ones, ties to even; what is larger than the largest becomes that, infinity too."""
    return np.clip(np.asarray(numbers, np.float32), -LARGEST_FP16, LARGEST_FP16).astype(np.float16)


def bf16(numbers: np.ndarray) -> np.ndarray:
    """float32 numbers that bf16 can hold, the nearest to the given ones; ties to even."""
    return (bf16_bits(numbers).astype(np.uint32) << 16).view(np.float32)


def rounded(numbers: np.ndarray, precision: str) -> np.ndarray:
    """float32 numbers, the nearest to the given ones that the precision has."""
    numbers = np.ascontiguousarray(numbers, np.float32)
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {"bf16": bf16, "tf32": tf32, "fp16": fp16}
    return numbers if precision == "fp32" else functions[precision](numbers).astype(np.float32)


def rounded_bits(numbers: np.ndarray, precision: str) -> np.ndarray:
    """uint32 whose low bits are those of the numbers in this precision; for tf32 and fp32 all of them."""
    numbers = np.ascontiguousarray(numbers, np.float32)
    if precision == "bf16":
        return bf16_bits(numbers).astype(np.uint32)
    if precision == "fp16":
        return fp16(numbers).view(np.uint16).astype(np.uint32)
    return (tf32(numbers) if precision == "tf32" else numbers).view(np.uint32)
