"""Feature kernels without their lookups, which are in the same loops: built beside an artifact, so that their time can be told apart."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvm_rank.artifact.artifact import Artifact
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.engine import Engine
from tvm_rank.runtime.held import HeldCall, alternated
from tvm_rank.runtime.library import kernel

ENTRY, ROUNDS = "kernel", 15
CONSTANTS = ("ints", "floats", "bytes")  # arguments behind the descriptor table


def folder_of(artifact: pathlib.Path) -> pathlib.Path:
    """Where they lie."""
    return artifact.with_name(f"{artifact.name}-without-lookups")


def write(made: Artifact, target: Any, artifact: pathlib.Path) -> None:
    """Build those of an artifact that has just been compiled for `target`, whose kernels look anything up."""
    import tvm

    from relay_passes.lower_columns import side_kernels
    from te_schedules.column_group.kernel import Knobs
    from te_schedules.feature.kind import procedures_of
    from te_schedules.lower import PIPELINE
    from te_schedules.procedure import prim_funcs
    from tvm_rank.artifact.link import link

    assert made.before_kernels is not None
    folder = folder_of(artifact)
    folder.mkdir(exist_ok=True)
    for one in side_kernels(made.before_kernels()):
        lowered = one.lowered(Knobs(**made.manifest.schedule["features"]), reads_tables=False)
        if not lowered.stacks:
            continue
        func = lowered.prim_func(one.name).with_attr("global_symbol", ENTRY)
        module = tvm.IRModule({**prim_funcs(procedures_of(lowered.columns)), ENTRY: func})
        link(tvm.tirx.build(module, target=target, pipeline=PIPELINE), folder / f"{one.name}.so", made.manifest.machine)
        constants = {name: getattr(lowered.layout, name) for name in CONSTANTS}
        np.savez(folder / f"{one.name}.npz", outputs=len(lowered.outputs), **constants)


def parts_without(artifact: pathlib.Path, engine: Engine, requests: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """For each of these kernels its time without lookups over that with them, measured in turn on these requests, which wait in front of
    it; nothing when none were written."""
    import tvm_ffi

    tvm_runtime.use_threads(engine.threads)
    found = {}
    for path in sorted(folder_of(artifact).glob("*.so")):
        held = [HeldCall(engine, path.stem, request) for request in requests]
        known = np.load(path.with_suffix(".npz"))
        count, constants = int(known["outputs"]), [tvm_ffi.from_dlpack(known[name]) for name in CONSTANTS]
        arguments = [one.arguments for one in held]
        made = [tvm_ffi.from_dlpack(np.zeros_like(np.from_dlpack(output))) for output in arguments[0][-count:]]
        fused = [[*given[:-count], *made] for given in arguments]
        alone = [[given[0], *constants, *given[1 + len(CONSTANTS) : -count], *made] for given in arguments]
        library = tvm_ffi.load_module(str(path))
        without, whole = alternated((library[ENTRY], alone), (kernel(engine._library, path.stem), fused), ROUNDS)
        found[path.stem] = without / whole
        for one in held:
            one.release()
    return found
