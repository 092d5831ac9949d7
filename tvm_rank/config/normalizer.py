"""The `normalizer` text of a numeric feature: `method=zscore,mean=0.1,standard_deviation=0.3`."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

import numpy as np

from tvm_rank.config.expression import parse
from tvm_rank.config.number import parse_float
from tvm_rank.config.spec import Expression, Log10, MinMax, Normalizer, ZScore


@dataclass(frozen=True)
class _Method:
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return self.required + self.optional


_METHODS = {
    "minmax": _Method(required=("min", "max")),
    "zscore": _Method(required=("mean", "standard_deviation")),
    "log10": _Method(optional=("threshold", "default")),
    "expression": _Method(required=("expr",)),
}


def parse_normalizer(text: str) -> Normalizer:
    """The normalizer that `text` spells: `method=<name>`, then `key=value` parts, separated by commas; blanks around are ignored.

    `expr=` takes the rest of the text, commas and equal signs included. Numbers are those of `number.parse_float`, finite in
    float32; minmax needs min < max and zscore standard_deviation != 0 after rounding to float32; log10 needs threshold >= 0 so that
    every logarithm is defined. Raises ValueError: what is wrong and what is wanted.
    """
    parts = _split(text)
    name = parts.pop("method", None)
    if name is None:
        raise ValueError(f"no method; start with 'method=' and one of {', '.join(_METHODS)}")
    if name not in _METHODS:
        raise ValueError(f"unknown method {name!r}{_did_you_mean(name, _METHODS) or '; allowed: ' + ', '.join(_METHODS)}")
    method = _METHODS[name]
    for key in parts:
        if key not in method.keys:
            raise ValueError(f"{name} has no {key!r}{_did_you_mean(key, method.keys)}; it takes {', '.join(method.keys)}")
    if missing := [key for key in method.required if key not in parts]:
        raise ValueError(f"{name} needs {' and '.join(missing)}: method={name},{','.join(f'{key}=...' for key in method.required)}")
    if name == "expression":
        return Expression(text=parts["expr"], tree=_formula(parts["expr"]))
    return _build(name, {key: _number(key, value) for key, value in parts.items()})


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    rest: str | None = text
    while rest is not None:
        key, equal, tail = rest.partition("=")
        key = key.strip(" \t")
        if key == "expr":
            value, rest = tail, None
        else:
            part, comma, after = rest.partition(",")
            value, rest = part.partition("=")[2], after if comma else None
            if "=" not in part:
                raise ValueError(f"{part.strip()!r} is not key=value; write method=...,key=value,...")
        if not equal or key in parts:
            raise ValueError(f"{key!r} is given twice; keep one")
        parts[key] = value.strip(" \t")
    return parts


def _formula(text: str):
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"in expr={text!r}, {error}") from error


def _number(key: str, text: str) -> float:
    value = parse_float(text.encode())
    if value is None:
        raise ValueError(f"{key}={text!r} is not a number")
    with np.errstate(over="ignore"):
        if not math.isfinite(np.float32(value)):
            raise ValueError(f"{key}={text} is not a finite float32")
    return value


def _build(name: str, numbers: dict[str, float]) -> Normalizer:
    if name == "minmax":
        if np.float32(numbers["min"]) >= np.float32(numbers["max"]):
            raise ValueError(f"minmax needs min < max in float32, got min={numbers['min']} and max={numbers['max']}")
        return MinMax(**numbers)
    if name == "zscore":
        if np.float32(numbers["standard_deviation"]) == 0:
            raise ValueError(f"zscore needs standard_deviation != 0 in float32, got {numbers['standard_deviation']}")
        return ZScore(**numbers)
    if numbers.get("threshold", 1.0) < 0:
        raise ValueError(f"log10 needs threshold >= 0, got {numbers['threshold']}: log10 is defined above 0 only")
    return Log10(**numbers)


def _did_you_mean(word: str, known) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
