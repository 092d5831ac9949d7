"""The kernels that compute ahead what features of the items give, for a store that keeps ids (`materialize="ids"`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import tvm
from tvm import tirx

from relay_passes.common_features import CommonFeatures
from relay_passes.sides import ITEM_COLUMNS
from relay_passes.store_features import kept_of, kept_program
from te_schedules.column_group import ragged
from tvm_rank.artifact.manifest import KEPT_PREFIX, KeptFeature
from tvm_rank.features import BLOCK_ROWS
from tvm_rank.frontend.links import constant_entry
from tvm_rank.host.link import ConstantEntry
from tvm_rank.schedule import Schedule


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptCode:
    """What is kept, the functions of its kernels, and by the kernels' names their constants and the columns behind each status; the files of
    the constants."""

    features: tuple[KeptFeature, ...] = ()
    functions: Mapping[str, tirx.PrimFunc] = field(default_factory=dict)
    constants: Mapping[str, ConstantEntry] = field(default_factory=dict)
    refusals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def kept_code(before: tvm.IRModule, after: tvm.IRModule, schedule: Schedule) -> KeptCode:
    """before: the module in normal form, before the passes of the graph · after: behind them."""
    kept = kept_of(after)
    if not kept:
        return KeptCode()
    mod = before if "common_features" in schedule.without else tvm.transform.Sequential([CommonFeatures()])(before)
    columns, producers = kept_program(mod)
    table = next(param for param in mod["main"].params if param.name == ITEM_COLUMNS)
    knobs = replace(schedule.features, block_rows=BLOCK_ROWS, threads=0)  # on the host in any case
    module, layouts = ragged.module(columns, producers, int(table.ty.shape.values[0]), knobs, KEPT_PREFIX)
    files: dict[str, bytes] = {}
    named: dict[str, Any] = {var.name_hint: function for var, function in module.functions_items()}
    return KeptCode(
        features=tuple(KeptFeature(**{name: getattr(one, name) for name in KeptFeature.__dataclass_fields__}) for one in kept),
        functions=named,
        constants={name: constant_entry(layout, files) for name, layout in layouts.items()},
        refusals={name: layout.refusals for name, layout in layouts.items()},
        files=files,
    )
