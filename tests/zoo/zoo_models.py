"""What every model of the zoo is held to: the scores of ONNX Runtime over inputs that the references compute."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

import tvm_rank
from tvm_rank import zoo
from tvm_rank.zoo import reference
from tvm_rank.zoo.workload import REQUEST_COLUMN, request_of

TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model of the zoo with its engine, and what ONNX Runtime says of all items."""

    workload: zoo.Workload
    engine: tvm_rank.Engine
    wanted: dict[str, np.ndarray]


def compiled(name: str, folder: pathlib.Path, *, requests: int = 3, items: int = 7) -> Compiled:
    """Build, compile, save, check by the samples that it carries, load."""
    workload = zoo.build(name, folder, requests=requests, items=items)
    tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables).save(folder / "artifact")
    assert (report := tvm_rank.check(folder / "artifact", rounds=1)).ok, report
    return Compiled(workload, tvm_rank.load(folder / "artifact"), by_onnxruntime(workload))


def by_onnxruntime(workload: zoo.Workload) -> dict[str, np.ndarray]:
    """Output -> (rows, width)."""
    session = onnxruntime.InferenceSession(str(workload.model), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, reference.model_inputs(workload)), strict=True))


def check(model: Compiled, rows: Sequence[int] | np.ndarray, *, requests: int) -> float:
    """Score these rows of the items in one call, with the user row of the first one or with all; the largest difference."""
    items, user = model.workload.read_items(), model.workload.read_user()
    chosen = items.take(rows)
    of = request_of(chosen)
    if requests == 1:
        assert len(set(of)) == 1
        scores = model.engine.rank(user=user.slice(int(of[0]), 1), items=chosen.drop_columns([REQUEST_COLUMN]))
    else:
        scores = model.engine.rank(user=user, items=chosen, item_request=of)
    assert scores.keys() == model.wanted.keys()
    largest = 0.0
    for name, found in scores.items():
        assert found.shape == (len(chosen), 1)
        largest = max(largest, float(np.abs(found - model.wanted[name][np.asarray(rows)]).max()))
    assert largest <= TOLERANCE
    return largest
