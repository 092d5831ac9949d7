"""The passes: each phase gives a well-formed module, and its text can be read."""

from __future__ import annotations

import pytest
import tvm
from tvm import relax

from tvm_rank import pipeline, zoo
from tvm_rank.config.load import load_config
from tvm_rank.frontend.binding import bind_inputs, bind_lookups, table_needs
from tvm_rank.frontend.graph import RankGraph, build_graph
from tvm_rank.frontend.onnx_model import import_model
from tvm_rank.frontend.tables import open_needed, plan_stacks
from tvm_rank.target import resolve

WITH_NUMPY = [name for name, model in zoo.MODELS.items() if model.dense]  # the others are compiled by tests/zoo


def graph_of(workload: zoo.Workload) -> RankGraph:
    """The graph of a workload, before any pass."""
    config, dense = load_config(workload.features), import_model(workload.model)
    bindings = bind_lookups(dense.inputs, bind_inputs(dense.given, config, dense.source))
    needs = table_needs(bindings)
    return build_graph(
        config, bindings, plan_stacks(needs, open_needed(workload.tables, needs, dense.tables, config.source)), dense
    )


@pytest.mark.parametrize("target", ["cpu", "sapphirerapids", "aarch64"])  # of each kind of vectors one
@pytest.mark.parametrize("name", WITH_NUMPY)
def test_every_phase_gives_a_well_formed_module(name: str, target: str, workloads: dict[str, zoo.Workload]):
    mod = graph_of(workloads[name]).mod
    relax.analysis.well_formed(mod)  # raises ValueError
    seen = []

    def after(phase: str, module: tvm.IRModule) -> None:
        relax.analysis.well_formed(module)
        seen.append(phase)

    pipeline.run(mod, resolve(target).tvm_target, after)
    assert seen == ["inline", "graph", "legalize", "fuse", "lower"]


@pytest.mark.parametrize("name", WITH_NUMPY)
def test_the_graph_has_one_batch_only(name: str, workloads: dict[str, zoo.Workload]):
    main = graph_of(workloads[name]).mod["main"]
    symbols = {var.name for var in relax.analysis.free_symbolic_vars(main)}
    assert symbols == set()
    assert {var.name for var in relax.analysis.defined_symbolic_vars(main)} == {"R", "N"}
    shapes = [
        b.var.ty.shape.values for b in main.body.blocks[0].bindings if isinstance(b.var.ty, relax.TensorType) and b.var.ty.ndim == 2
    ]
    assert {shape[0].name for shape in shapes} <= {"R", "N"}


def test_no_operator_of_the_graph_is_left_after_the_phases(workloads: dict[str, zoo.Workload]):
    texts: dict[str, str] = {}
    target = resolve("cpu").tvm_target
    pipeline.run(
        graph_of(workloads["deepfm"]).mod, target, lambda phase, mod: texts.setdefault(phase, mod["main"].script(show_meta=False))
    )
    assert "rank.lookup" in texts["inline"]
    assert "rank.lookup" not in texts["graph"]
    assert "rank.dense" in texts["graph"]
    assert "rank.dense" not in texts["legalize"]
