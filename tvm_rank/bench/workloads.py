"""What is measured, by name: rank-bench, the models of the zoo, or a folder with the files of a model of one's own."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank import zoo
from tvm_rank.bench import rank_bench
from tvm_rank.bench.peers.requests import read_requests
from tvm_rank.errors import BenchError
from tvm_rank.zoo import reference
from tvm_rank.zoo.workload import Workload

FILES = ("fg.json", "model.onnx", "tables.safetensors", "user.arrow", "items.arrow")
SCORES = "scores.npy"
ALL_OF_ZOO = "zoo"
SHOP_SIZES: dict[str, Any] = {"dim": 16, "hidden": (128, 64), "length": 20, "rows": 10_000}  # of the models over the zoo's shop

Build = Callable[..., Workload]
RANK_BENCH: dict[str, Build] = {
    f"rank-bench{'' if variant == 'mean' else '-' + variant}{'-small' if small else ''}": functools.partial(
        rank_bench.build, variant=variant, small=small
    )
    for variant in rank_bench.VARIANTS
    for small in (False, True)
}


def names_of(given: Sequence[str]) -> tuple[str, ...]:
    """The workloads that these words mean, `zoo` being all of the zoo. Raises BenchError for one that is nothing."""
    found: list[str] = []
    for word in given:
        if word == ALL_OF_ZOO:
            found += zoo.MODELS
        elif word in RANK_BENCH or word in zoo.MODELS or pathlib.Path(word).is_dir():
            found.append(word)
        else:
            raise BenchError(
                f"workload {word!r}: is no folder; give one with {', '.join(FILES)}, or {', '.join(RANK_BENCH)}, {ALL_OF_ZOO} for all of "
                f"the zoo, or its {', '.join(zoo.MODELS)}"
            )
    return tuple(dict.fromkeys(found))


def prepare(name: str, folder: pathlib.Path, *, requests: int, items: int) -> Workload:
    """The workload's files, written into `folder` unless they are there, or the user's own folder."""
    if name not in RANK_BENCH and name not in zoo.MODELS:
        found = Workload(model_name=pathlib.Path(name).resolve().name, folder=pathlib.Path(name))
        if missing := [file for file in FILES if not (found.folder / file).is_file()]:
            raise BenchError(f"{name}: has no {', '.join(missing)}; wanted are {', '.join(FILES)}")
        return found
    place = folder / f"{name}-{requests}x{items}"
    found = Workload(model_name=name, folder=place)
    if not all((place / file).is_file() for file in FILES):
        _builder(name)(place, requests=requests, items=items)
    return found


def _builder(name: str) -> Build:
    if name in RANK_BENCH:
        return RANK_BENCH[name]
    return functools.partial(zoo.build, name, **(SHOP_SIZES if zoo.MODELS[name].dense is None else {}))


def model_inputs(workload: Workload, requests: int, items: int) -> list[dict[str, np.ndarray]]:
    """For each of the first requests what its first `items` items feed to the dense model, by the features' references."""
    found = []
    for user, rows in read_requests(str(workload.folder), requests, items):
        repeated = user.take(pa.array(np.zeros(len(rows), np.int64)))
        columns = {name: table.column(name).combine_chunks() for table in (repeated, rows) for name in table.column_names}
        found.append(reference.inputs_of(workload, columns, len(rows)))
    return found


def expected(workload: Workload, feeds: Sequence[dict[str, np.ndarray]], items: int) -> list[dict[str, np.ndarray]]:
    """The outputs of these inputs by ONNX Runtime, or ONNX's own evaluator where that is not installed; the rows of `scores.npy`
    (requests, items) instead if the folder has it."""
    path = workload.folder / SCORES
    if path.is_file():
        return [{"": row[:items]} for row in np.load(path)[: len(feeds)]]
    return [_evaluator(workload)(feed) for feed in feeds]


def _evaluator(workload: Workload) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(str(workload.model))
        return lambda feeds: dict(zip(evaluator.output_names, evaluator.run(None, feeds), strict=True))
    session = onnxruntime.InferenceSession(str(workload.model), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))
