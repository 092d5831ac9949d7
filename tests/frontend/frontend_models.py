"""Small ONNX models for the tests of the importer: written in ONNX's text form, compared with ONNX Runtime."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import tvm
from onnx import numpy_helper, parser

from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_model import import_model

BATCHES = (1, 7, 64)
RELU = "(float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }"


def parsed(graph: str, weights: dict[str, object] | None = None, *, opset: int = 17, domains: str = "") -> onnx.ModelProto:
    """`graph` in ONNX's text form, "(float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }", with `weights` as initializers."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{domains}]> case {graph}')
    for name, value in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name=name))
    return model


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal float32 numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype=np.float32)


TARGET = tvm.target.Target({"kind": "llvm", "opt-level": 0})  # code that LLVM does not optimize: quickly made, and the same numbers


def compare(model: onnx.ModelProto, *, batches: tuple[int, ...] = BATCHES, ids: int = 5, rtol: float = 2e-5, atol: float = 2e-6):
    """Import, build with TVM's plain pipeline, run for each batch, and compare all outputs with ONNX Runtime.

    Integer inputs are drawn from 0 to ids - 1. Returns the imported model.
    """
    dense = import_model(model, keep_lookups=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        machine = tvm.relax.VirtualMachine(tvm.compile(dense.mod, target=TARGET), tvm.cpu())
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in batches:
        feed = {entry.name: _values(entry, batch, ids) for entry in dense.inputs}
        expected = session.run(list(dense.outputs), feed)
        got = machine["main"](*(tvm.runtime.tensor(feed[entry.name]) for entry in dense.inputs))
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert one.numpy().dtype == other.dtype
            assert one.numpy().shape == other.shape
            np.testing.assert_allclose(one.numpy(), other, rtol=rtol, atol=atol)
    return dense


def _values(entry, batch: int, ids: int) -> np.ndarray:
    rng = np.random.default_rng(batch)
    shape = (batch, *entry.shape)
    return rng.integers(0, ids, shape) if entry.dtype == "int64" else rng.standard_normal(shape, dtype=np.float32)


def operators(dense) -> list[str]:
    """The names of the Relax operators of `main`, in order of execution."""
    calls = [b.value for block in dense.mod["main"].body.blocks for b in block.bindings if isinstance(b.value, tvm.ir.Call)]
    return [call.op.name.removeprefix("relax.") for call in calls]


def problems_of(model: object, **options: str) -> tuple[str, ...]:
    """The problems for which the import of `model` is refused."""
    with pytest.raises(ModelError) as caught:
        import_model(model, **options)
    return caught.value.problems


def one_problem(model: object, **options: str) -> str:
    """The only problem for which the import of `model` is refused."""
    (problem,) = problems_of(model, **options)
    return problem
