"""Operators of the dense model in forms of our own give NumPy's numbers, with NaN and far-out numbers as they should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tvm
from tvm import relax

from te_schedules.plain import LEGALIZATIONS
from tvm_rank import pipeline
from tvm_rank.target import resolve

ROWS = 5


def outputs(*cases) -> list[np.ndarray]:
    """Each case is (a function of Relax values, its arrays (ROWS, ...), or constants as ir constants); all in one module."""
    builder, rows = relax.BlockBuilder(), tvm.tirx.Var("N", "int64")
    arrays = [array for _, given in cases for array in given]
    params = [relax.Var(f"x{k}", relax.TensorType([rows, *a.shape[1:]], "float32")) for k, a in enumerate(arrays)]
    with builder.function("main", params):
        with builder.dataflow():
            left = list(params)
            found = [builder.emit(make(*[left.pop(0) for _ in given])) for make, given in cases]
            result = builder.emit_output(relax.Tuple([builder.emit(relax.op.add(one, relax.const(0, "float32"))) for one in found]))
        builder.emit_func_output(result)
    target, transform = resolve("cpu").tvm_target, relax.transform
    passes = [transform.LegalizeOps(LEGALIZATIONS), transform.AnnotateTIROpPattern(), transform.FuseOps(), transform.FuseTIR()]
    with target:
        mod = tvm.transform.Sequential([*passes, *pipeline.phases(target)["lower"]])(builder.get())
        machine = relax.VirtualMachine(pipeline.build(mod, target), tvm.cpu())
    return [one.numpy() for one in machine["main"](*map(tvm.runtime.tensor, arrays))]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers of ROWS rows, three times as large."""
    return 3 * np.random.default_rng([seed, *shape]).standard_normal((ROWS, *shape), dtype=np.float32)


@pytest.fixture(scope="module")
def of_numbers() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Operator -> (its argument, its result)."""
    far = np.array(
        [0, -0.0, 1e-4, -1e-4, 88.3, -87.2, 200, -200, np.inf, -np.inf, np.nan, 0.0099, 0.0101, -9.99, 10.01], np.float32
    )
    x = np.stack([far, *normal(len(far))[1:]])
    operators = {"exp": relax.op.exp, "sigmoid": relax.op.sigmoid, "tanh": relax.op.tanh, "erf": relax.op.erf}
    operators |= {"gelu": relax.op.nn.gelu, "silu": relax.op.nn.silu}
    return {name: (x, y) for name, y in zip(operators, outputs(*((make, [x]) for make in operators.values())), strict=True)}


ERF = np.vectorize(math.erf)
WANTED = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": ERF,
    "gelu": lambda x: np.where(x == -np.inf, 0, x * (1 + ERF(x / 2**0.5)) / 2),
    "silu": lambda x: np.where(x == -np.inf, 0, x / (1 + np.exp(-x))),
}


@pytest.mark.parametrize("name", WANTED)
def test_functions_of_numbers_are_those_of_numpy(name, of_numbers):
    x, found = of_numbers[name]
    usual = np.isfinite(x) if name in ("gelu", "silu") else np.full(x.shape, True)
    with np.errstate(all="ignore"):
        wanted = WANTED[name](x.astype(np.float64))
    wanted = np.where(wanted > 3.4e38, np.inf, wanted)
    np.testing.assert_allclose(found[usual], wanted[usual], rtol=2e-6, atol=1e-6)
    assert np.isnan(found[np.isnan(x)]).all()


def softmax(x: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_softmax_sums_joins_and_products_are_those_of_numpy():
    a, b, c, d = normal(2, 9), normal(2, 3, seed=1), normal(2, 9, 5, seed=2), normal(6, 9, 5, seed=3)
    masked = np.where(np.arange(20) < 3, normal(20), -1e9).astype(np.float32)
    weight = normal(9)[:, :9][:4]
    one = relax.const(weight)
    found = outputs(
        (lambda x: relax.op.nn.softmax(x, -1), [a]),
        (lambda x: relax.op.nn.softmax(x, -1), [masked]),
        (lambda x: relax.op.sum(x, [-1]), [normal(2, 19)]),
        (lambda x: relax.op.sum(x, [2], keepdims=True), [a]),
        (lambda x, y: relax.op.concat([x, y, x], 2), [a, b]),
        (lambda x, y: relax.op.concat([x, y], 1), [a, c[:, :, :, 0]]),
        (lambda x, y: relax.op.concat([x, y], 1), [c, d]),
        (lambda x, y: relax.op.matmul(x, y), [normal(2, 7, 9), c]),
        (lambda x: relax.op.matmul(one, x), [normal(9, 19, seed=4)]),
        (lambda x, y: relax.op.matmul(x, y), [normal(1, 9), normal(9, 1, seed=5)]),
    )
    wanted = [
        softmax(a),
        softmax(masked),
        normal(2, 19).sum(-1),
        a.sum(2, keepdims=True),
        np.concatenate([a, b, a], 2),
        np.concatenate([a, c[:, :, :, 0]], 1),
        np.concatenate([c, d], 1),
        normal(2, 7, 9) @ c,
        weight @ normal(9, 19, seed=4),
        normal(1, 9) @ normal(9, 1, seed=5),
    ]
    for one_found, one_wanted in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one_found, one_wanted, rtol=1e-5, atol=2e-5)


def test_layer_normalization_of_rows_that_fill_no_vector_and_of_large_means():
    shapes, epsilon = [(16,), (3, 21), (5,)], 1e-3
    given = [normal(*shape) + np.float32(100 * k) for k, shape in enumerate(shapes)]
    ends = [(np.linspace(0.5, 2, s[-1], dtype=np.float32), np.linspace(-1, 1, s[-1], dtype=np.float32)) for s in shapes]

    def layer(scale: np.ndarray, offset: np.ndarray):
        return lambda x: relax.op.nn.layer_norm(x, relax.const(scale), relax.const(offset), axes=[-1], epsilon=epsilon)

    for x, (scale, offset), got in zip(
        given, ends, outputs(*((layer(*e), [x]) for x, e in zip(given, ends, strict=True))), strict=True
    ):
        wide = x.astype(np.float64)
        apart = wide - wide.mean(-1, keepdims=True)
        wanted = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + epsilon) * scale + offset
        np.testing.assert_allclose(got, wanted, atol=2e-5)
