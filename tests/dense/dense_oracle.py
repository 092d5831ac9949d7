"""How the tests of the dense layer compile, run and compare; the tolerance is decided here."""

from __future__ import annotations

import functools

import numpy as np
import tvm
from tvm import relax

from te_schedules.dense import Layer, dense_func, pack, tiles_for
from te_schedules.dense.tiles import DenseTiles
from tvm_rank.ops.dense import reference

AVX512, AVX2, SSE2 = ({"kind": "llvm", "mcpu": mcpu} for mcpu in ("cascadelake", "haswell", "x86-64"))
AARCH64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "neoverse-n1"}
TOLERANCE = 1e-5  # of sum |x| |w| + |bias|


def cpu_has(target: dict) -> bool:
    """True when this machine runs the code of a target."""
    needed = {"cascadelake": "avx512f", "cooperlake": "avx512bf16", "haswell": "avx2", "x86-64-v3": "avx2", "x86-64": "sse2"}[
        target["mcpu"]
    ]
    return bool(tvm.get_global_func("target.target_has_feature")(needed, tvm.target.Target(host())))


def host() -> dict:
    """The target of this machine."""
    return {"kind": "llvm", "mcpu": tvm.get_global_func("target.llvm_get_system_cpu")()}


@functools.cache
def compiled(mcpu: str, depth: int, units: int, activation: str, biases: int, tiles: DenseTiles):
    """The kernel of a layer, built once per test run."""
    layer = Layer(depth=depth, units=units, activation=activation, has_row_bias=biases > 0, has_item_bias=biases > 1, tiles=tiles)
    function = dense_func(layer).with_attr("global_symbol", "main")
    return tvm.compile(tvm.IRModule({"main": function}), target=tvm.target.Target({"kind": "llvm", "mcpu": mcpu}))


def run(target: dict, x, weight, bias, activation, *extra, tiles: DenseTiles | None = None) -> np.ndarray:
    """The layer by the kernel of a target. The output is surrounded by guards, which must stay as they are."""
    tiles = tiles or tiles_for(tvm.target.Target(target))
    built = compiled(target["mcpu"], *weight.shape, activation, len(extra) // 2, tiles)
    guarded = np.full(len(x) * len(bias) + 64, 7.0, np.float32)
    out = guarded[32 : 32 + len(x) * len(bias)].reshape(len(x), len(bias))
    arguments = (x, pack(weight, tiles), bias, *extra, out)
    if len(x) == 0:  # NumPy's empty arrays have strides that TVM refuses
        arguments = tuple(tvm.runtime.tensor(a) for a in arguments)
    built["main"](*arguments)
    assert (guarded[:32] == 7).all()
    assert (guarded[32 + out.size :] == 7).all()
    return out


def assert_is_reference(got, x, weight, bias, activation, *extra) -> None:
    """Assert that `got` is the layer, NaN for NaN, within the tolerance; activations do not enlarge an error."""
    want = reference(x, weight, bias, activation, *extra)
    assert got.shape == want.shape
    assert got.dtype == np.float32
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    with np.errstate(invalid="ignore"):
        scale = np.abs(x) @ np.abs(weight) + np.abs(bias) + 1
    assert (np.abs(got[finite] - want[finite]) <= TOLERANCE * scale[finite]).all()


def random_layer(rows: int, depth: int, units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, weight, bias of normal numbers."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in ((rows, depth), (depth, units), (units,)))


def run_module(mod: tvm.IRModule, *inputs: np.ndarray, target: dict | None = None) -> list[np.ndarray]:
    """All results of `main` of a Relax module, compiled by the path that a model takes."""
    mod = relax.transform.LegalizeOps()(mod)
    machine = relax.VirtualMachine(tvm.compile(mod, target=tvm.target.Target(target or host())), tvm.cpu())
    result = machine["main"](*(tvm.runtime.tensor(array) for array in inputs))
    return [part.numpy() for part in result] if isinstance(result, tvm.ir.Array | list | tuple) else [result.numpy()]
