"""compile: features, dense model and tables in, one artifact out."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import KeptEntry, Manifest, OutputEntry, this_build
from tvm_rank.config.source import base_dir_of, text_of
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.errors import TargetError
from tvm_rank.features import BLOCK_ROWS
from tvm_rank.items.prepare import PreparedStore, StoreOptions
from tvm_rank.precision import REFERENCE, Precision, Samples

if TYPE_CHECKING:
    from relay_passes.reduce_dense import DenseLayer, Reduction
    from tvm_rank.code import Code
    from tvm_rank.frontend.brought import Brought
    from tvm_rank.frontend.graph import RankGraph
    from tvm_rank.target import ResolvedTarget

Progress = Callable[[str], None]


def compile(
    *,
    features: Mapping[str, Any] | str | os.PathLike[str],
    model: onnx.ModelProto | str | os.PathLike[str],
    tables: Mapping[str, np.ndarray] | str | os.PathLike[str] | None = None,
    items: Any = None,
    item_key: str | None = None,
    store_layout: str | None = None,
    materialize: str | None = None,
    memory_budget: int | None = None,
    target: object = "cpu",
    precision: str | Precision = "fp32",
    table_precision: str | Mapping[str, str] = "fp32",
    samples: Samples | None = None,
    tuning: object = None,
    hash_function: str | None = None,
    base_dir: str | os.PathLike[str] | None = None,
    udfs: Sequence[Any] = (),
    dialect: str = "pyfg",
    progress: Progress | None = None,
) -> Artifact:
    """Compile a ranking model with its features.

    features: fg.json as a path or dict · model: ONNX file or proto, whose inputs are named after features or groups · tables: a
    .safetensors file, a folder of .npy files, or {table: (rows, dim) array}; None when no feature has an embedding · target: "cpu" (this
    machine), a preset of `tvm_rank.target.PRESETS`, or a TVM target · precision: of dense layers, "fp32", "bf16", "int8", "auto", on GPUs
    "fp16" and "tf32", or a `tvm_rank.Precision` · samples: requests by which a lower precision is judged (`tvm_rank.Samples`), on this
    machine · tuning: what `tvm-rank tune` found, a path or a `tvm_rank.tune.database.TuningDatabase`, or a `tvm_rank.schedule.Schedule`;
    None for the target's defaults · table_precision: "fp32", "fp16", "bf16", "int8", "int4" or "auto" for all tables, or {table: precision}
    with "*" for those that it does not name · hash_function: "std" or "farm", None for the configuration's own · items: Parquet or Arrow file,
    table or columns of all items, for an item store, so that requests carry the ids of the column `item_key` in place of fields ·
    store_layout: "columns", or "rows" (all fields of an item side by side) · materialize: what of the items is computed ahead: "none",
    "ids", "embeddings", "dense", or "auto", the most that fits into `memory_budget` bytes (None: 4 GiB); both None: as tuned, else
    "columns" and "none" · base_dir: where the configuration's files lie (default: beside fg.json) · udfs: functions (`tvm_rank.udf`) that
    the configuration names · dialect: "pyfg", or "rtp" for files of the older engine · progress: called with the name of each stage as it
    begins.

    Raises ConfigError, ModelError or TargetError, each with all problems that its stage found; InputError for items that cannot be stored;
    PrecisionError for a precision that its tolerance does not allow.
    """
    wanted = Precision.of(precision)
    options = StoreOptions(items=items, key=item_key, layout=store_layout, materialize=materialize, memory_budget=memory_budget)
    from tvm_rank.accuracy.choose import chosen
    from tvm_rank.code import item_bytes
    from tvm_rank.frontend.brought import graph_of, read
    from tvm_rank.tune.use import schedule_of

    say, started = progress or (lambda _stage: None), time.perf_counter()
    schedule = schedule_of(tuning, resolved := _target(target, options, wanted))
    say("reading the features, the model and the tables")
    reading = {"hash_function": hash_function, "base_dir": base_dir_of(features, base_dir), "udfs": udfs, "dialect": dialect}
    brought = read(features, model, tables, reading, table_precision)
    say("building the graph")
    graph, brought = graph_of(brought)
    sizes = partial(item_bytes, graph.mod, resolved.tvm_target, schedule)
    stored = options.prepared(graph.item_uses, brought.links.entries, brought.host.stages, sizes, schedule.stores)
    passes = {"schedule": schedule, **({} if stored is None else stored.passes)}
    maker = _Maker(brought, graph, resolved, stored, passes, text_of(features), say, started)
    return _with_samples(chosen(maker, wanted, samples, say), maker, model, samples)


def _with_samples(artifact: Artifact, maker: _Maker, model: Any, samples: Samples | None) -> Artifact:
    """The artifact with the requests by which `tvm-rank check` proves it."""
    from tvm_rank.samples.make import Sampled, with_samples

    maker.say("scoring sample requests by NumPy")
    brought, graph, stored = maker.brought, maker.graph, maker.stored
    sampled = Sampled(
        config=brought.given,
        bindings=brought.of_file,
        stacks=artifact.stacks,
        tables=brought.tables,
        model=model,
        model_tables=tuple(brought.dense.tables),
        uses=(*graph.request_uses, *graph.item_uses),
        items=None if stored is None else stored.items,
        key="" if stored is None else stored.entry.key,
    )
    return with_samples(artifact, sampled, samples)


@dataclass(frozen=True, eq=False)
class _Maker:
    """Compiles one model, with dense layers in one precision or another."""

    brought: Brought
    graph: RankGraph
    target: ResolvedTarget
    stored: PreparedStore | None
    passes: Mapping[str, Any]
    config: str
    say: Progress
    started: float

    @property
    def table_precisions(self) -> Mapping[str, str]:
        """Of each table; "auto" where it is to be chosen."""
        return self.brought.table_precisions

    @property
    def dense_precisions(self) -> tuple[str, ...]:
        """Those below fp32 that the target may gain by: bf16 only where it multiplies it."""
        from te_schedules.dense.reduced.products import has_instruction

        return ("int8", "bf16") if has_instruction("bf16", self.target.tvm_target) else ("int8",)

    def with_tables(self, precisions: Mapping[str, str]) -> _Maker:
        """The same with tables in these precisions."""
        from tvm_rank.frontend.brought import graph_of

        graph, brought = graph_of(dataclasses.replace(self.brought, table_precisions=precisions))
        return dataclasses.replace(self, brought=brought, graph=graph)

    def layers(self) -> tuple[DenseLayer, ...]:
        """The dense layers that can be reduced."""
        from relay_passes.reduce_dense import dense_layers
        from tvm_rank import pipeline

        return dense_layers(pipeline.reducible(self.graph.mod, self.target.tvm_target, self.passes))

    @property
    def scored_by(self) -> str:
        """What scores samples in the place of the artifact; "" for the artifact itself."""
        return REFERENCE if self.target.is_gpu else ""

    def scored(self, reductions: Mapping[int, Reduction]) -> Artifact:
        """For a GPU, the artifact for this machine's CPU whose layers round as those of `artifact` do."""
        from tvm_rank.accuracy.by_reference import options_for_cpu

        return self._compiled(*options_for_cpu(self.passes, reductions))

    def artifact(self, reductions: Mapping[int, Reduction]) -> Artifact:
        """Compile with these layers reduced."""
        if self.target.is_gpu and self.brought.links.entries:
            raise TargetError(f"target {self.target.name!r}: library calls that read compiled features are not there for GPUs yet")
        return self._compiled(self.target, {**self.passes, "reductions": reductions})

    def _compiled(self, target: ResolvedTarget, passes: Mapping[str, Any]) -> Artifact:
        from tvm_rank.code import generate

        brought, stored = self.brought, self.stored
        code = generate(self.graph.mod, target.tvm_target, self.say, passes, brought.links.functions)
        stored = None if stored is None else _computed_ahead(stored, brought.config, code)
        manifest = _manifest(brought, self.graph, code, target, time.perf_counter() - self.started, stored)
        return Artifact(
            manifest=dataclasses.replace(manifest, schedule=code.schedule),
            executable=code.executable,
            stacks=brought.stacks,
            tables=brought.tables,
            config=self.config,
            host_files={**brought.host.files, **brought.links.files, **code.kept.files, **code.binaries},
            stages=code.stages,
            plan=code.plan,
            items=None if stored is None else stored.items,
            before_kernels=code.before_kernels,
            store_executable=code.store_executable,
        )


def _computed_ahead(stored: PreparedStore, config: FeatureConfig, code: Code) -> PreparedStore:
    """The store with what the code computes ahead."""
    kept, ahead = code.kept, code.materialized
    if kept.features:
        refusals = dict(zip(kept.refusals, _refusals(config, list(kept.refusals.values())), strict=True))
        entry = KeptEntry(features=kept.features, constants=kept.constants, refusals=refusals, block_rows=BLOCK_ROWS)
        ahead = dataclasses.replace(ahead, kept=(entry,))
    return stored.materialized(ahead, _refusals(config, ahead.refusals))


def _target(target: object, options: StoreOptions, precision: Precision) -> ResolvedTarget:
    """The target, if it has what is asked for."""
    from tvm_rank.target import check_precision, resolve

    resolved = resolve(target)
    check_precision(resolved, precision)
    options.check_target(resolved.name, resolved.machine, resolved.needs)
    return resolved


def _manifest(
    brought: Brought, graph: RankGraph, code: Code, target: ResolvedTarget, seconds: float, stored: PreparedStore | None
) -> Manifest:
    """The manifest, but for the files."""
    from tvm_rank.frontend.binding import unused_features
    from tvm_rank.frontend.write_stack import stack_entry

    outputs = zip(brought.dense.outputs, code.outputs, strict=True)
    return Manifest(
        **this_build(),
        target=target.name,
        tvm_target=str(target.tvm_target),
        machine=target.machine,
        needs=target.needs,
        hash_function=brought.config.hash_function,
        request_fields=graph.request_uses,
        item_fields=(*graph.item_uses, *(feature.use for feature in code.kept.features)),
        outputs=tuple(OutputEntry(name=name, shape=shape, dtype=dtype) for name, (shape, dtype) in outputs),
        refusals=_refusals(brought.config, code.refusals),
        stacks=tuple(stack_entry(stack) for stack in brought.stacks),
        host_stages=brought.host.stages,
        links=brought.links.entries,
        store=() if stored is None else (stored.entry,),
        features=tuple(dict.fromkeys(feature.name for binding in brought.bindings for feature in binding.features)),
        unused_features=unused_features(brought.config, brought.bindings),
        kernels=code.kernels,
        groups=code.groups,
        compile_seconds=round(seconds, 3),
        files={},
    )


def _refusals(config: FeatureConfig, names: Sequence[Sequence[str]]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Per kernel, (feature, rule) of each status element."""
    from tvm_rank.features import refusals_of

    return tuple(tuple((r.feature, r.rule) for r in refusals_of(group, config.features)) for group in names)
