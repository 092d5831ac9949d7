"""From the graph of a model to machine code, and what the manifest says of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.lower_columns import GROUPS, REFUSALS
from relay_passes.materialize_items import ITEM_VALUES, READ_FIELDS, STORED
from te_schedules.dense.tiles import tiles_for
from tvm_rank import pipeline
from tvm_rank.artifact.stages import kernel_entries, llvm_ir, text_of
from tvm_rank.items.prepare import Materialized
from tvm_rank.plan.steps import Plan, Step
from tvm_rank.plan.trace import steps_of

Output = tuple[tuple[int | str, ...], str]  # (N, 1) as ("N", 1), and the dtype


@dataclass(frozen=True, kw_only=True, eq=False)
class Code:
    """The executable. `outputs` of the model, in order; `refusals`: per feature kernel, the feature of each status; `stages`: the text
    behind each phase."""

    executable: Any
    outputs: tuple[Output, ...]
    refusals: tuple[tuple[str, ...], ...]
    kernels: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    stages: Mapping[str, str]
    plan: Plan
    materialized: Materialized
    schedule: Mapping[str, Any]


def generate(
    mod: tvm.IRModule,
    target: tvm.target.Target,
    say: Callable[[str], None],
    passes: Mapping[str, Any],
    beside: Mapping[str, tirx.PrimFunc],
) -> Code:
    """Run all passes, with these arguments of `pipeline.run`, and build, with the kernels `beside` in the same library."""
    stages = {"import": text_of(mod)}
    seen: dict[str, tvm.IRModule] = {}
    steps: dict[str, tuple[Step, ...]] = {}

    def after(phase: str, module: tvm.IRModule) -> None:
        stages[phase], seen[phase] = text_of(module), module
        if phase in ("inline", "graph", "fuse"):
            steps[phase] = steps_of(module)

    say("running passes")
    lowered = pipeline.run(mod, target, after, **passes)
    say("generating code")
    executable = pipeline.build(pipeline.with_kernels(lowered, beside), target)
    stages["llvm"] = llvm_ir(executable)
    main, kernels = seen["graph"]["main"], tuple(kernel_entries(seen["fuse"]))
    passes["schedule"].warn_of_unused(kernel["name"] for kernel in kernels)
    refusals, fields = _refusals(main), list(main.ret_ty.fields)
    return Code(
        executable=executable,
        outputs=tuple(_output(field) for field in fields[: len(fields) - len(refusals)]),
        refusals=refusals,
        kernels=kernels,
        groups=tuple(_attribute(main, GROUPS)),
        stages=stages,
        plan=Plan(before=steps["inline"], after=steps["graph"], kernels=steps["fuse"]),
        materialized=_materialized(seen["graph"]),
        schedule=passes["schedule"].described(tiles_for(target)),
    )


def item_bytes(mod: tvm.IRModule, target: tvm.target.Target, level: str) -> int:
    """How many bytes a store keeps for each item when this much is computed ahead; 0 when nothing is."""
    stored = _attribute(pipeline.materialized(mod, target, level)["main"], STORED)
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in stored)


def _attribute(function: relax.Function, name: str) -> Any:
    """A function attribute in JSON; an empty list when there is none."""
    return json.loads(str(function.attrs[name])) if function.attrs and name in function.attrs else []


def _refusals(function: relax.Function) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names) for names in _attribute(function, REFUSALS))


def _materialized(mod: tvm.IRModule) -> Materialized:
    """What is computed ahead for the items of a store."""
    main = mod["main"]
    if not (stored := _attribute(main, STORED)):
        return Materialized()
    return Materialized(
        values=tuple((tuple(shape), dtype) for shape, dtype in stored),
        fields=frozenset(_attribute(main, READ_FIELDS)),
        refusals=_refusals(mod[ITEM_VALUES]),
    )


def _output(tensor: Any) -> Output:
    extents = tensor.shape.values if tensor.shape is not None else []
    return tuple(int(e) if isinstance(e, tirx.IntImm) else str(e) for e in extents), str(tensor.dtype)
