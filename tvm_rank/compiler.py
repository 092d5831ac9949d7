"""compile: features, dense model and tables in, one artifact out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import Manifest, OutputEntry, StackEntry, this_build
from tvm_rank.config.load import load_config
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.errors import ModelError, RankError

Progress = Callable[[str], None]


def compile(
    *,
    features: Mapping[str, Any] | str | os.PathLike[str],
    model: onnx.ModelProto | str | os.PathLike[str],
    tables: Mapping[str, np.ndarray] | str | os.PathLike[str] | None = None,
    items: object = None,
    item_key: str | None = None,
    target: object = "cpu",
    precision: str = "fp32",
    tuning: object = None,
    hash_function: str | None = None,
    base_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Compile a ranking model with its features.

    features: fg.json as a path or dict · model: ONNX file or proto, whose inputs are named after features or groups · tables: a
    .safetensors file, a folder of .npy files, or {table: (rows, dim) array}; None when no feature has an embedding · target: "cpu"
    (this machine), a preset of `tvm_rank.target.PRESETS`, or a TVM target · hash_function: "std" or "farm", None for the
    configuration's own · base_dir: where the configuration's files lie (default: beside fg.json) · progress: called with the name of
    each stage as it begins.

    Raises ConfigError, ModelError or TargetError, each with all problems that its stage found.
    """
    _refuse_unbuilt(items=items, item_key=item_key, tuning=tuning, precision=None if precision == "fp32" else precision)
    from tvm_rank.frontend.binding import bind_inputs, table_needs, unused_features
    from tvm_rank.frontend.graph import build_graph
    from tvm_rank.frontend.onnx_model import import_model
    from tvm_rank.frontend.tables import check_tables, open_tables, plan_stacks
    from tvm_rank.target import resolve

    say, started = progress or (lambda _stage: None), time.perf_counter()
    resolved = resolve(target)
    say("reading the feature configuration")
    config = load_config(features, hash_function=hash_function, base_dir=_base_dir(features, base_dir))
    say("importing the model")
    dense = import_model(model)
    bindings = bind_inputs(dense.inputs, config, dense.source)
    needs = table_needs(bindings, config.source)
    opened = open_tables(tables) if tables is not None else {}
    if needs and tables is None:
        raise ModelError(
            config.source, [f"features look up {len(needs)} tables ({', '.join(list(needs)[:5])}, ...), but tables is not given"]
        )
    check_tables(opened, needs, allow_extra=True)
    stacks = plan_stacks(needs, opened)
    say("building the graph")
    graph = build_graph(config, bindings, stacks, dense)
    built = _Code.generate(graph.mod, resolved.tvm_target, say)
    manifest = Manifest(
        **this_build(),
        target=resolved.name,
        tvm_target=str(resolved.tvm_target),
        machine=resolved.machine,
        needs=resolved.needs,
        hash_function=config.hash_function,
        request_fields=graph.request_uses,
        item_fields=graph.item_uses,
        outputs=tuple(OutputEntry(name=n, shape=s, dtype=d) for n, (s, d) in zip(dense.outputs, built.outputs, strict=True)),
        refusals=_refusals(config, built.refusals),
        stacks=tuple(
            StackEntry(
                file=f"tables/stack_{s.dim}.bin", rows=s.rows, dim=s.dim, tables=dict(zip(s.names, s.row_offsets, strict=True))
            )
            for s in stacks
        ),
        features=tuple(f.name for binding in bindings for f in binding.features),
        unused_features=unused_features(config, bindings),
        kernels=built.kernels,
        groups=built.groups,
        compile_seconds=round(time.perf_counter() - started, 3),
        files={},
    )
    return Artifact(
        manifest=manifest,
        executable=built.executable,
        stacks=stacks,
        tables=opened,
        config=_config_text(features),
        stages=built.stages,
    )


def _refuse_unbuilt(**options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise RankError(f"compile({name}={value!r}): not built yet; leave it out")


def _base_dir(features: object, base_dir: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    if base_dir is not None:
        return base_dir
    return os.path.dirname(os.path.abspath(features)) if isinstance(features, (str, os.PathLike)) else "."


def _config_text(features: object) -> str:
    import json
    import pathlib

    if isinstance(features, (str, os.PathLike)):
        return pathlib.Path(features).read_text(encoding="utf-8")
    return json.dumps(features, ensure_ascii=False, indent=1)


def _refusals(config: FeatureConfig, names: list[list[str]]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Per kernel, (feature, rule) of each status element."""
    from tvm_rank.features import refusals_of

    return tuple(tuple((r.feature, r.rule) for r in refusals_of(group, config.features)) for group in names)


class _Code:
    """What code generation gives: the executable and what the manifest says of it."""

    def __init__(self, executable, outputs, refusals, kernels, groups, stages):
        self.executable, self.outputs, self.refusals = executable, outputs, refusals
        self.kernels, self.groups, self.stages = kernels, groups, stages

    @classmethod
    def generate(cls, mod, tvm_target, say: Progress) -> _Code:
        """Run all passes and build; keep the text of each stage."""
        import json

        from relay_passes.lower_columns import GROUPS, REFUSALS
        from tvm_rank import pipeline
        from tvm_rank.artifact.stages import kernel_entries, machine_code, text_of

        stages = {"import": text_of(mod)}
        found: dict[str, Any] = {"refusals": [], "groups": []}

        def after(phase: str, module: Any) -> None:
            stages[phase] = text_of(module)
            main = module["main"]
            if phase == "graph" and main.attrs and REFUSALS in main.attrs:
                found["refusals"] = json.loads(str(main.attrs[REFUSALS]))
                found["groups"] = json.loads(str(main.attrs[GROUPS]))
            if phase == "graph":
                count = len(found["refusals"])
                fields = list(main.ret_ty.fields)
                found["outputs"] = [_shape_of(f) for f in fields[: len(fields) - count]]
            if phase == "fuse":
                found["kernels"] = kernel_entries(module)

        say("running passes")
        lowered = pipeline.run(mod, tvm_target, after)
        say("generating code")
        executable = pipeline.build(lowered, tvm_target)
        stages |= machine_code(executable)
        return cls(executable, found["outputs"], found["refusals"], tuple(found["kernels"]), tuple(found["groups"]), stages)


def _shape_of(tensor: Any) -> tuple[tuple[int | str, ...], str]:
    """((N, 1) as ("N", 1), dtype) of an output."""
    from tvm import tirx

    extents = tensor.shape.values if tensor.shape is not None else []
    return tuple(int(e) if isinstance(e, tirx.IntImm) else str(e) for e in extents), str(tensor.dtype)
