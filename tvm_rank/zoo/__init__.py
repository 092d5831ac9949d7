"""Small ranking models that write themselves into a folder, with requests to score and their scores by NumPy.

    workload = tvm_rank.zoo.build("deepfm", "out")
    expected = tvm_rank.zoo.oracle(workload)

They serve the demo, the tests, the benchmarks and the examples of the documentation. Nothing here needs TVM.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_rank.zoo import (
    autoint,
    bst,
    criteo,
    dcn,
    deepfm,
    dien,
    din,
    dlrm,
    dssm,
    esmm,
    ffm,
    fm,
    gbdt,
    gbdt_lr,
    graphsage,
    lr,
    mmoe,
    ple,
    scenarios,
    shop,
    tdm,
    wide_deep,
    xdeepfm,
)
from tvm_rank.zoo.reference import outputs, scores
from tvm_rank.zoo.workload import Workload

__all__ = ["MODELS", "Model", "Workload", "build", "oracle", "outputs"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """An entry of the zoo: what it is, how its files are written, and its dense part in NumPy (inputs, weights -> logits).

    Without `dense` the scores are what ONNX's own evaluator, which is NumPy, makes of the graph.
    """

    about: str
    build: Callable[..., Workload]
    dense: Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], np.ndarray] | None = None


def _of_shop(name: str, module: Any, about: str) -> Model:
    """A model over the raw fields of `shop.py`: its module has `features` and `graph`."""
    return Model(about=about, build=functools.partial(shop.build, name, module.features, module.graph))


MODELS: dict[str, Model] = {
    "deepfm": Model(about="DeepFM over a shop's search results", build=deepfm.build, dense=deepfm.dense),
    "criteo": Model(about="DLRM over Criteo-like display-advertising rows", build=criteo.build, dense=criteo.dense),
    "lr": _of_shop("lr", lr, "logistic regression"),
    "fm": _of_shop("fm", fm, "factorization machine"),
    "ffm": _of_shop("ffm", ffm, "field-aware factorization machine"),
    "wide_deep": _of_shop("wide_deep", wide_deep, "Wide & Deep with crossed ids"),
    "dcn": _of_shop("dcn", dcn, "DCN v2, cross layers beside a network"),
    "dlrm": _of_shop("dlrm", dlrm, "DLRM, dot products of all pairs"),
    "xdeepfm": _of_shop("xdeepfm", xdeepfm, "xDeepFM, a compressed interaction network"),
    "autoint": _of_shop("autoint", autoint, "AutoInt, self-attention over the fields"),
    "mmoe": _of_shop("mmoe", mmoe, "MMoE, two tasks over gated experts"),
    "ple": _of_shop("ple", ple, "PLE, two levels of own and shared experts"),
    "esmm": _of_shop("esmm", esmm, "ESMM, a product of two towers"),
    "scenarios": _of_shop("scenarios", scenarios, "a head for each scenario of a request"),
    "dssm": _of_shop("dssm", dssm, "DSSM, a tower for each side"),
    "graphsage": _of_shop("graphsage", graphsage, "GraphSAGE over lists of neighbours"),
    "din": _of_shop("din", din, "DIN, attention over the clicks"),
    "dien": _of_shop("dien", dien, "DIEN, interests that evolve: GRU, then AUGRU as a Scan"),
    "tdm": _of_shop("tdm", tdm, "TDM, the scorer of a tree of items, and a beam search over it"),
    "gbdt": _of_shop("gbdt", gbdt, "gradient-boosted trees"),
    "gbdt_lr": _of_shop("gbdt_lr", gbdt_lr, "GBDT+LR, a weight for each leaf of two ensembles"),
    "bst": _of_shop("bst", bst, "BST, a transformer over the clicks"),
}


def build(name: str, folder: str | pathlib.Path, *, seed: int = 0, **sizes: Any) -> Workload:
    """Write the files of the model `name` into `folder`: the same bytes for the same seed and sizes, within two seconds.

    `requests` and `items` (per request) are sizes of every model; `criteo` also takes `buckets` and `rows`, the models of the shop
    the fields of `shop.Sizes`.
    """
    if name not in MODELS:
        raise ValueError(f"the zoo has no model {name!r}; it has {', '.join(MODELS)}")
    return MODELS[name].build(folder, seed=seed, **sizes)


def oracle(workload: Workload, request: int | None = None) -> np.ndarray:
    """The score of every item, or of those of a request, float32 (items,): NumPy, from the written files alone.

    Of a model with several outputs it is the first one; `outputs` gives all.
    """
    dense = MODELS[workload.model_name].dense
    if dense is None:
        return next(iter(outputs(workload, request).values()))[:, 0]
    return scores(workload, dense, request)
