"""From the graph of a model to machine code, and what the manifest says of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.lower_columns import GROUPS, REFUSALS
from relay_passes.materialize_items import ITEM_VALUES, READ_FIELDS, STORED
from relay_passes.store_features import Kept, kept_of
from te_schedules.dense.reduced.matrix import SWITCH, switch_func
from te_schedules.dense.tiles import tiles_for
from te_schedules.gpu.compile import CudaError, cubin
from tvm_rank import pipeline, pipeline_gpu
from tvm_rank.artifact.stages import cuda_source, kernel_entries, llvm_ir, text_of
from tvm_rank.errors import TargetError
from tvm_rank.items.kept import INT32_IDS
from tvm_rank.items.kept_code import KeptCode, kept_code
from tvm_rank.items.prepare import Materialized
from tvm_rank.plan.steps import Plan, Step
from tvm_rank.plan.trace import steps_of
from tvm_rank.runtime.gpu import KERNELS
from tvm_rank.schedule import Schedule

Output = tuple[tuple[int | str, ...], str]  # (N, 1) as ("N", 1), and the dtype


@dataclass(frozen=True, kw_only=True, eq=False)
class Code:
    """The executable. `outputs` of the model, in order; `refusals`: per feature kernel, the feature of each status; `stages`: the text
    behind each phase · binaries: machine code of a GPU, by file · before_kernels: makes the module that feature kernels are built from ·
    store_executable: what makes the item store, where the executable does not."""

    executable: Any
    outputs: tuple[Output, ...]
    refusals: tuple[tuple[str, ...], ...]
    kernels: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    stages: Mapping[str, str]
    plan: Plan
    materialized: Materialized
    kept: KeptCode
    binaries: Mapping[str, bytes]
    schedule: Mapping[str, Any]
    before_kernels: Callable[[], tvm.IRModule]
    store_executable: Any = None


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
    kept = kept_code(seen["inline"], seen["graph"], passes["schedule"])
    main, kernels = seen["graph"]["main"], tuple(kernel_entries(seen["fuse"]))
    of_store = _store_code(mod, target, passes, kept) or _StoreCode(seen["graph"], None)
    more = {**beside, **_switch(kernels), **({} if of_store.executable else kept.functions)}
    stages["llvm"] = llvm_ir(executable := pipeline.build(pipeline.with_kernels(lowered, more), target, passes.get("key_form")))
    passes["schedule"].warn_of_unused(str(kernel.get("key", kernel["name"])) for kernel in kernels)
    return Code(
        executable=executable,
        outputs=_outputs(main),
        refusals=_refusals(main),
        kernels=kernels,
        groups=tuple(_attribute(main, GROUPS)),
        stages=stages,
        plan=Plan(before=steps["inline"], after=steps["graph"], kernels=steps["fuse"]),
        materialized=_materialized(seen["graph"], of_store.ahead),
        kept=kept,
        binaries=_binaries(executable, target, say, stages),
        schedule=_described(passes["schedule"], target),
        before_kernels=partial(pipeline.before_kernels, mod, target, passes),
        store_executable=of_store.executable,
    )


def _switch(kernels: Sequence[Mapping[str, Any]]) -> Mapping[str, tirx.PrimFunc]:
    """What turns the CPU's matrix unit on, if a kernel uses it."""
    return {SWITCH: switch_func()} if any("matrix_flag" in kernel for kernel in kernels) else {}


class _StoreCode(NamedTuple):
    """The module with what computes the values of items, and what makes the store of a GPU's artifact, on the host."""

    ahead: tvm.IRModule
    executable: Any


def _store_code(mod: tvm.IRModule, target: tvm.target.Target, passes: Mapping[str, Any], kept: KeptCode) -> _StoreCode | None:
    """None where the library of the kernels has it too, or there is no store."""
    if "key_form" not in passes or target.kind.name != "cuda":
        return None
    ahead, lowered = pipeline.store_module(mod, target, passes["schedule"], passes["key_form"], passes.get("materialize"))
    return _StoreCode(ahead, pipeline.build(pipeline.with_kernels(lowered, kept.functions), target.host))


def _described(schedule: Schedule, target: tvm.target.Target) -> Mapping[str, Any]:
    """What the manifest says of the schedule."""
    if pipeline_gpu.is_for(target, schedule):
        return replace(schedule, features=pipeline_gpu.knobs_of(schedule)).described(None)
    return schedule.described(tiles_for(target))


def _binaries(
    executable: Any, target: tvm.target.Target, say: Callable[[str], None], stages: dict[str, str]
) -> Mapping[str, bytes]:
    """Machine code of a GPU, of which the executable has the source; that becomes a stage."""
    if (source := cuda_source(executable)) is None:
        return {}
    say("compiling for the GPU")
    stages["cuda"] = source
    try:
        return {KERNELS: cubin(source, str(target.attrs["arch"]))}
    except CudaError as error:
        raise TargetError(f"target {target.attrs['arch']}: {error}") from None


USUAL_IDS = 4  # how many ids of an item a feature without a limit is taken to have, before they are made


def item_bytes(mod: tvm.IRModule, target: tvm.target.Target, schedule: Schedule, level: str) -> int:
    """How many bytes a store keeps for each item when this much is computed ahead; 0 when nothing is. Lists of ids are an estimate."""
    mod = pipeline.materialized(mod, target, schedule, level)
    if level == pipeline.IDS:
        return sum(_kept_bytes(one) for one in kept_of(mod))
    stored = _attribute(mod["main"], STORED)
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in stored)


def _kept_bytes(one: Kept) -> int:
    count = one.width or min(one.most, USUAL_IDS)
    width = (4 if one.id_space <= INT32_IDS else 8) + (4 if one.weighted else 0)
    return count * width + (0 if count == 1 else 4)


def _attribute(function: relax.Function, name: str) -> Any:
    """A function attribute in JSON; an empty list when there is none."""
    return json.loads(str(function.attrs[name])) if function.attrs and name in function.attrs else []


def _refusals(function: relax.Function) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names) for names in _attribute(function, REFUSALS))


def _materialized(mod: tvm.IRModule, ahead: tvm.IRModule) -> Materialized:
    """What is computed ahead for the items of a store; `ahead` has the function that does."""
    main = mod["main"]
    fields = frozenset(_attribute(main, READ_FIELDS))
    if not (stored := _attribute(main, STORED)):
        return Materialized(fields=fields)
    return Materialized(
        values=tuple((tuple(shape), dtype) for shape, dtype in stored),
        fields=fields,
        refusals=_refusals(ahead[ITEM_VALUES]),
    )


def _outputs(function: relax.Function) -> tuple[Output, ...]:
    """The results of a function but for the statuses behind them."""
    fields = list(function.ret_ty.fields)
    return tuple(_output(field) for field in fields[: len(fields) - len(_refusals(function))])


def _output(tensor: Any) -> Output:
    extents = tensor.shape.values if tensor.shape is not None else []
    return tuple(int(e) if isinstance(e, tirx.IntImm) else str(e) for e in extents), str(tensor.dtype)
