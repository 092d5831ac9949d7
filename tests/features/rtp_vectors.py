"""Recorded results of the engine of 2018-2022 (`cases/rtp_vectors.json`), and whether a program of the dialect "rtp" gives them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank import compile_features
from tvm_rank.errors import RankError
from tvm_rank.output import FeatureOutput

VECTORS = json.loads((pathlib.Path(__file__).parent.parent / "cases" / "rtp_vectors.json").read_text(encoding="utf-8"))
NOT_HELD = ("fg0423", "fg0489", "fg0490", "fg0491", "fg0492", "fg0494", "fg0495", "fg0497", "fg0508", "fg0512", "fg0517")
"""Why: docs/features.md, "The older dialect"."""
TYPES = {"float": pa.float32(), "double": pa.float64()}


def column_of(kind: str, values: list[Any]) -> pa.Array:
    """A column of a type such as `int16` or `list<string>`."""
    inner = kind.removeprefix("list<").removesuffix(">")
    made = TYPES.get(inner) or getattr(pa, inner)()
    return pa.array(values, pa.list_(made) if kind.startswith("list<") else made)


def difference(vector: dict[str, Any]) -> str:
    """How the program's result differs from the recorded one; "" if it does not."""
    feature = vector["feature"]
    try:
        program = compile_features({"features": [feature]}, dialect="rtp")
        output = program({name: column_of(*column) for name, column in vector["inputs"].items()})[feature["feature_name"]]
    except RankError as error:
        return "" if vector["expected"] is None else f"refused: {error}"
    if vector["expected"] is None:
        return "accepted"
    got = result_of(output)
    wanted = vector["expected"] if isinstance(vector["expected"], dict) else {"flat": vector["expected"]}
    problems = [
        f"{part}: got {got.get(part)}, wanted {values}" for part, values in wanted.items() if not same(got.get(part), values)
    ]
    return "; ".join(problems)


def result_of(output: FeatureOutput) -> dict[str, Any]:
    """The result in the forms of the recorded ones."""
    result: dict[str, Any] = {}
    if output.lengths is not None:
        result["offsets"] = (np.cumsum(output.lengths) - output.lengths).tolist()
    if output.texts is not None:
        result |= {"names": output.texts.flatten().to_pylist()}
        result |= {"names_set": sorted(result["names"]), "flat": result["names"]}
    else:
        numbers = output.values if output.dense is None else output.dense
        result |= {"values": numbers.reshape(-1).tolist(), "values_set": sorted(numbers.reshape(-1).tolist())}
        result["flat"] = result["values"]
    if output.weights is not None:
        result["weights"] = output.weights.tolist()
    return result


def same(got: Any, wanted: Any) -> bool:
    """Whether two flat lists are the same, numbers as float32; sets are sorted first."""
    if got is None:
        return False
    flat = [value for row in wanted for value in row] if wanted and isinstance(wanted[0], list) else list(wanted)
    if len(flat) != len(got):
        return False
    if flat and isinstance(flat[0], str):
        return got in (flat, sorted(flat))
    close = np.isclose(np.array(got, np.float32), np.array(flat, np.float32), rtol=1e-6)
    return bool(close.all() or np.isclose(np.array(got, np.float32), np.array(sorted(flat), np.float32), rtol=1e-6).all())
