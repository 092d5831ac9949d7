"""Small ranking models that write themselves into a folder, with requests to score and their scores by NumPy.

    workload = tvm_rank.zoo.build("deepfm", "out")
    expected = tvm_rank.zoo.oracle(workload)

They serve the demo, the tests and the examples of the documentation. Nothing here needs TVM.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_rank.zoo import criteo, deepfm
from tvm_rank.zoo.reference import scores
from tvm_rank.zoo.workload import Workload

__all__ = ["MODELS", "Model", "Workload", "build", "oracle"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """An entry of the zoo: what it is, how its files are written, and its dense part in NumPy (inputs, weights -> logits)."""

    about: str
    build: Callable[..., Workload]
    dense: Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], np.ndarray]


MODELS: dict[str, Model] = {
    "deepfm": Model(about="DeepFM over a shop's search results", build=deepfm.build, dense=deepfm.dense),
    "criteo": Model(about="DLRM over Criteo-like display-advertising rows", build=criteo.build, dense=criteo.dense),
}


def build(name: str, folder: str | pathlib.Path, *, seed: int = 0, **sizes: Any) -> Workload:
    """Write the files of the model `name` into `folder`: the same bytes for the same seed and sizes, within two seconds.

    `requests` and `items` (per request) are sizes of every model; `criteo` also takes `buckets` and `rows`.
    """
    if name not in MODELS:
        raise ValueError(f"the zoo has no model {name!r}; it has {', '.join(MODELS)}")
    return MODELS[name].build(folder, seed=seed, **sizes)


def oracle(workload: Workload, request: int | None = None) -> np.ndarray:
    """The score of every item, or of those of a request, float32 (items,): NumPy, from the written files alone."""
    return scores(workload, MODELS[workload.model_name].dense, request)
