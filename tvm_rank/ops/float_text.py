"""The text of a float32: the definition of what kernels write where a feature's numbers are read as texts."""

from __future__ import annotations

import numpy as np


def float_text(value: np.float32) -> str:
    """The shortest decimal that reads back, of several the nearest, as Arrow's cast to string writes it.

    Without an exponent from 1e-6 to below 1e10 (`0.000001`, `9999999000`), else with one (`1e-7`, `1.5e+10`); whole numbers have no point;
    `-0`, `inf`, `-inf`, and `nan` whatever its sign.
    """
    if not np.isfinite(value):
        return "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"
    mantissa, exponent = np.format_float_scientific(abs(value), unique=True, trim="-").split("e")
    digits, point = mantissa.replace(".", ""), int(exponent) + 1
    sign = "-" if np.signbit(value) else ""
    if not -5 <= point <= 10:
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+d}".replace("e-0", "e-")
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    whole, part = digits[:point].ljust(point, "0"), digits[point:]
    return f"{sign}{whole}{'.' if part else ''}{part}"
