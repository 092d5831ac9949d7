"""Numbers on their way to the model, one at a time: the definition of normalizers and boundaries."""

from __future__ import annotations

import math

import numpy as np

from tvm_rank.config.evaluation import evaluate
from tvm_rank.config.spec import Boundaries, Log10, MinMax, Normalizer, ZScore

_f32 = np.float32

IVLN10, LOG10_2_HIGH, LOG10_2_LOW = _f32(4.3429449201e-01), _f32(3.0102920532e-01), _f32(7.9034151668e-07)


def to_float32(value: float) -> np.float32:
    """The nearest float32; beyond its range infinity."""
    with np.errstate(over="ignore"):
        return _f32(value)


def normalize_number(normalizer: Normalizer | None, x: np.float32) -> np.float32:
    """A value of a numeric column: every operation in float32. Only an `expression` is computed in double and then rounded.

    log10: x > threshold ? log10(x) : default, so NaN gives the default.
    """
    with np.errstate(all="ignore"):
        if isinstance(normalizer, MinMax):
            low = _f32(normalizer.min)
            return (x - low) / (_f32(normalizer.max) - low)
        if isinstance(normalizer, ZScore):
            return (x - _f32(normalizer.mean)) / _f32(normalizer.standard_deviation)
        if isinstance(normalizer, Log10):
            return log10_float32(x) if x > _f32(normalizer.threshold) else _f32(normalizer.default)
        if normalizer is None:
            return x
        return _f32(evaluate(normalizer.tree, {"x": np.float64(x)}))


def normalize_text(normalizer: Normalizer | None, x: float) -> np.float32:
    """A value that came as text: in double (`normalize_double`), and the result rounded to float32."""
    return to_float32(normalize_double(normalizer, x))


def normalize_double(normalizer: Normalizer | None, x: float) -> np.float64:
    """A double, in double, with parameters rounded to float32.

    The width max - min of minmax counts as a parameter: it is a float32 difference. Recorded results of the engine need it.
    """
    value, wide = np.float64(x), np.float64
    with np.errstate(all="ignore"):
        if isinstance(normalizer, MinMax):
            low = _f32(normalizer.min)
            return (value - wide(low)) / wide(_f32(normalizer.max) - low)
        if isinstance(normalizer, ZScore):
            return (value - wide(_f32(normalizer.mean))) / wide(_f32(normalizer.standard_deviation))
        if isinstance(normalizer, Log10):
            return wide(math.log10(x)) if value > _f32(normalizer.threshold) else wide(_f32(normalizer.default))
        if normalizer is None:
            return value
        return wide(evaluate(normalizer.tree, {"x": value}))


def log10_float32(x: np.float32) -> np.float32:
    """The decimal logarithm of x > 0 with the roundings of the C library's log10f (fdlibm's formula, all in float32).

    x = m * 2**k with 1 <= m < 2; for k < 0 one power of two moves over, so that the two terms have one sign. The natural logarithm
    of m is rounded from double. log10f(3) is 0.47712123, one float32 below the correctly rounded value. inf and NaN come back as
    they are.
    """
    if not np.isfinite(x):
        return x
    mantissa, exponent = np.frexp(x)  # 0.5 <= mantissa < 1; subnormals come out normalized
    k = int(exponent) - 1
    i = int(k < 0)
    y = _f32(k + i)
    reduced = _f32(mantissa * _f32(2)) * _f32(0.5 if i else 1.0)
    z = y * LOG10_2_LOW + IVLN10 * _f32(math.log(float(reduced)))
    return z + y * LOG10_2_HIGH


def bucket_of(boundaries: Boundaries, value: np.float32) -> int:
    """Count of boundaries <= value: equality goes right, NaN is 0."""
    return sum(_f32(boundary) <= value for boundary in boundaries.values)
