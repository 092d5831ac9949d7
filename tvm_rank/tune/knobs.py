"""The knobs of each operator that can be tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from te_schedules.column_group.kernel import Knobs
from te_schedules.dense.tiles import DenseTiles
from te_schedules.gpu.dense_model import GpuDense
from te_schedules.trees.knobs import TreeKnobs

KNOBS: Mapping[str, type] = {
    "rank.dense": DenseTiles,
    "rank.pair_layers": DenseTiles,
    "rank.features": Knobs,
    "rank.gpu_dense": GpuDense,
    "rank.tree_ensemble": TreeKnobs,
}


def knobs_of(operator: str, choice: Mapping[str, Any]) -> Any:
    """The knobs that a choice stands for. Raises ValueError or TypeError when the operator has no such knobs."""
    if operator not in KNOBS:
        raise ValueError(f"{operator} has no knobs")
    return KNOBS[operator](**choice)
