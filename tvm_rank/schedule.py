"""How a model is executed, as named decisions: nothing here changes what is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from te_schedules.column_group.kernel import Knobs
from te_schedules.dense.tiles import DenseTiles

PASSES = ("common_features", "hoist_request_side", "split_pairs", "split_dense")  # those that a graph can do without


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """features: the loops of the feature kernels · dense: the tiles of dense layers, None for those of the target · without: names of
    PASSES that are left out. Raises ValueError for values that no kernel can be built with."""

    features: Knobs = field(default_factory=Knobs)
    dense: DenseTiles | None = None
    without: tuple[str, ...] = ()

    def __post_init__(self):
        if unknown := sorted(set(self.without) - set(PASSES)):
            raise ValueError(
                f"Schedule.without names {', '.join(unknown)}; the passes that can be left out are {', '.join(PASSES)}"
            )

    def described(self, tiles: DenseTiles) -> Mapping[str, Any]:
        """What the manifest says; `tiles` are the target's."""
        return {"features": asdict(self.features), "dense": asdict(self.dense or tiles), "without": list(self.without)}
