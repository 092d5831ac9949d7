"""How a model is executed, as named decisions: nothing here changes what is computed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from te_schedules.column_group.kernel import Knobs
from te_schedules.dense.tiles import DenseTiles
from te_schedules.gpu.dense_model import GpuDense
from te_schedules.trees.knobs import TreeKnobs
from tvm_rank.items.prepare import StoreChoice

PASSES = ("common_features", "hoist_request_side", "split_pairs", "split_dense")  # those that a graph can do without


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """features: the loops of the feature kernels · dense: the tiles of dense layers, None for those of the target · kernels: other ones
    for single kernels, by the names that `tvm-rank tune` has for them: those of `inspect`, for feature kernels with digits behind that stand
    for what they compute; names that a model does not have mean nothing · trees: how ensembles of trees are walked · without: names of
    PASSES that are left out · stores: how item stores are made of which `compile` is told nothing else, by `items.prepare.store_name` ·
    turns: of how many requests in turn a function is added that takes the time of each (`relay_passes/add_turns.py`), none for 0; not with
    an item store · gpu_dense: which work a block of a dense layer has on a GPU, None for what is modelled for each layer ·
    matrix_unit: whether dense layers below fp32 use that of the CPU (AMX), where the target has it. Raises ValueError for
    values that no kernel can have."""

    features: Knobs = field(default_factory=Knobs)
    dense: DenseTiles | None = None
    kernels: Mapping[str, DenseTiles | GpuDense | Knobs | TreeKnobs] = field(default_factory=dict)
    trees: TreeKnobs = field(default_factory=TreeKnobs)
    without: tuple[str, ...] = ()
    stores: Mapping[str, StoreChoice] = field(default_factory=dict)
    turns: int = 0
    gpu_dense: GpuDense | None = None
    matrix_unit: bool = True

    def __post_init__(self):
        if unknown := sorted(set(self.without) - set(PASSES)):
            raise ValueError(
                f"Schedule.without names {', '.join(unknown)}; the passes that can be left out are {', '.join(PASSES)}"
            )

    def described(self, tiles: DenseTiles | None) -> Mapping[str, Any]:
        """What the manifest says; `tiles` are the target's, None for a GPU."""
        dense = self.dense or tiles
        return {
            "features": asdict(self.features),
            "dense": None if dense is None else asdict(dense),
            "kernels": {name: asdict(knobs) for name, knobs in sorted(self.kernels.items())},
            "trees": asdict(self.trees),
            "without": list(self.without),
            "matrix_unit": self.matrix_unit,
            "gpu_dense": None if self.gpu_dense is None else asdict(self.gpu_dense),
        }

    def warn_of_unused(self, names: Iterable[str]) -> None:
        """Say when `kernels` has some that the model, whose kernels are `names`, does not have."""
        if missing := sorted(set(self.kernels) - set(names)):
            warnings.warn(f"the tuning has kernels that this model does not have: {', '.join(missing)}", stacklevel=5)
