"""The item store of a model: its layout and what of the items is computed ahead, as choices that are measured on the whole model."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import LAYOUTS, MATERIALIZED, Manifest
from tvm_rank.errors import RankError
from tvm_rank.items.prepare import DEFAULT_BUDGET, StoreChoice, store_name
from tvm_rank.tune.records import StoreTrial
from tvm_rank.tune.whole import Compared

TRIED, OTHER = "store", "store_other"  # folders


def name_of(manifest: Manifest) -> str:
    """The name by which a schedule has a choice for the store of a model."""
    (entry,) = manifest.store
    return store_name(entry.key, manifest.item_fields[: len(manifest.item_fields) - len(entry.kept_features)])


def others(manifest: Manifest) -> list[StoreChoice]:
    """All stores but the one that it has, those with less computed ahead first."""
    (entry,) = manifest.store
    own = StoreChoice(layout=entry.layout, materialize=entry.materialized)
    every = [StoreChoice(layout=one, materialize=ahead) for ahead in MATERIALIZED for one in LAYOUTS]
    return [choice for choice in every if choice != own]


def ahead_bytes(manifest: Manifest) -> int:
    """Bytes that the store keeps of what is computed ahead, but for lists of ids, which only its making counts."""
    (entry,) = manifest.store
    return entry.rows * sum(math.prod(value.shape) * np.dtype(value.dtype).itemsize for value in entry.values)


def tried(
    inputs: Mapping[str, Any], default: Artifact, folder: pathlib.Path, session: str, contest: Callable[[pathlib.Path, pathlib.Path], Compared],
    known: Sequence[StoreTrial], seconds: float, note: Callable[[StoreTrial], None],
) -> None:  # fmt: skip
    """Compile and measure the stores that are not among `known`, as long as there are `seconds`; `note` is called with each of them, and
    `contest` compares two artifacts."""
    from tvm_rank.compiler import compile

    name, begun = name_of(default.manifest), time.perf_counter()
    budget = DEFAULT_BUDGET if inputs.get("memory_budget") is None else inputs["memory_budget"]
    done = {(trial.layout, trial.materialize) for trial in known if trial.store == name}
    for choice in others(default.manifest):
        if (choice.layout, choice.materialize) in done:
            continue
        if time.perf_counter() - begun > seconds:
            return
        nothing: tuple[float, ...] = ()
        trial = StoreTrial(
            session=session, store=name, layout=choice.layout, materialize=choice.materialize, bytes=0, default_seconds=nothing,
            ratios=nothing, least=nothing, largest=nothing, difference=0.0, error="",
        )  # fmt: skip
        try:
            made = compile(**{**inputs, "store_layout": choice.layout, "materialize": choice.materialize})
            trial = dataclasses.replace(trial, bytes=ahead_bytes(made.manifest))
            if trial.bytes > budget:
                note(dataclasses.replace(trial, error=f"would keep {trial.bytes:,} bytes, more than the budget of {budget:,}"))
                continue
            if made.manifest.store[0].materialized != choice.materialize:
                note(dataclasses.replace(trial, error="the model has nothing of that kind to compute ahead"))
                continue
            if not (folder / TRIED).exists():
                default.save(folder / TRIED)
            made.save(folder / OTHER)
            note(dataclasses.replace(trial, **dataclasses.asdict(contest(folder / TRIED, folder / OTHER))))
        except RankError as error:
            note(dataclasses.replace(trial, error=str(error)[:300]))
        finally:
            shutil.rmtree(folder / OTHER, ignore_errors=True)
    shutil.rmtree(folder / TRIED, ignore_errors=True)
