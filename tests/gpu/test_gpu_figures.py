"""What the models of costs know of a GPU, and that dense layers are chosen for the GPU of the target."""

from __future__ import annotations

import pytest
import tvm

from te_schedules.gpu.dense import GpuLayer, prim_func
from te_schedules.gpu.dense_model import modelled
from te_schedules.gpu.figures import BY_CAPABILITY, current, figures_of

TAKEN_FOR = {"sm_75": 80, "sm_80": 80, "sm_87": 86, "sm_89": 89, "sm_90a": 90, "sm_103": 100, "sm_120": 100}


def target(arch: str) -> tvm.target.Target:
    return tvm.target.Target({"kind": "cuda", "arch": arch}, host="llvm")


@pytest.mark.parametrize("arch", TAKEN_FOR)
def test_a_gpu_that_is_not_known_is_taken_for_the_nearest_one_below(arch: str):
    assert figures_of(arch) is BY_CAPABILITY[TAKEN_FOR[arch]]


def test_there_is_a_gpu_only_inside_of_its_target():
    with target("sm_80"):
        assert current().gpu == "A100"
    with pytest.raises(ValueError, match="no GPU to model costs for"):
        current()
    with tvm.target.Target("llvm"), pytest.raises(ValueError, match="no GPU to model costs for"):
        current()
    with pytest.raises(ValueError, match="'turing' names no compute capability"):
        figures_of("turing")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_layer_is_another_kernel_for_another_gpu(precision: str):
    layer = GpuLayer(depth=893, units=512, activation="relu", precision=precision)
    made = {}
    for capability, gpu in BY_CAPABILITY.items():
        with target(f"sm_{capability}"):
            made[capability], knobs = prim_func(layer).script(), layer.chosen
            assert f", {knobs.small_rows}, {knobs.middle_rows})" in made[capability].replace("T.int64", "")
            assert knobs == modelled(layer.depth, layer.units, precision, gpu)
    assert made[80] != made[90]


def test_fewer_processors_leave_the_form_of_many_blocks_at_fewer_rows():
    for precision in ("fp32", "tf32", "bf16", "fp16"):
        a10, h200 = (modelled(893, 512, precision, BY_CAPABILITY[capability]) for capability in (86, 90))
        assert a10.small_rows < h200.small_rows
        assert a10.middle_rows < h200.middle_rows
