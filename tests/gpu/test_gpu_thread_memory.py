"""What threads of a GPU take of the device's heap: usual formulas and functions nothing, long vectors included."""

from __future__ import annotations

import ctypes
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from ops.identity_model import identity_model

import tvm_rank

pytestmark = pytest.mark.usefixtures("emulated")
LENGTHS = (1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 200)  # of vectors, around what a formula takes at once on a GPU and on a CPU
ROWS = 4 * len(LENGTHS)
NUMBERS = [f"n{k}" for k in range(7)]
DISTANCE = {"feature_type": "custom_feature", "operator_name": "EditDistance", "expression": ["item:word", "item:other"]}


def formula(text: str, *names: str, **keys: object) -> dict[str, object]:
    return {"feature_type": "expr_feature", "expression": text, "variables": [f"item:{name}" for name in names], **keys}


FEATURES = {
    "many": formula(" + ".join(f"{k + 1}.5 * {name}" for k, name in enumerate(NUMBERS)), *NUMBERS, default_value="-1"),
    "curved": formula("(n0 > 0 ? exp(n0) : log(n1 * n1 + 1)) ^ 0.5 + sin(n2)", "n0", "n1", "n2", default_value="-1"),
    "summed": formula("dot(v, w) / len(v) + n0", "v", "w", "n0", default_value="-1"),
    "distance": DISTANCE,
}  # fmt: skip


def items() -> pa.Table:
    rng = np.random.default_rng(4)
    of = {name: pa.array(rng.normal(size=ROWS), mask=rng.random(ROWS) < 0.1) for name in NUMBERS}
    vectors = [rng.normal(size=LENGTHS[k % len(LENGTHS)]) for k in range(ROWS)]
    texts = ["".join(rng.choice(list("abcd裙"), 12)) for _ in range(2 * ROWS)]
    return pa.table(of | {"v": vectors, "w": [v[::-1] for v in vectors], "word": texts[:ROWS], "other": texts[ROWS:]})


def test_formulas_and_functions_take_nothing_of_the_heap(tmp_path: pathlib.Path, emulated: ctypes.CDLL):
    columns = items()
    fg = {"features": [{"feature_name": name, **keys} for name, keys in FEATURES.items()]}
    engines = []
    for target in ("cpu", "cuda-sm_90"):
        tvm_rank.compile(features=fg, model=identity_model(dict.fromkeys(FEATURES, 1)), target=target).save(tmp_path / target)
        engines.append(tvm_rank.load(tmp_path / target))
    wanted, before = engines[0].rank({"u": [1.0]}, columns), emulated.emulated_pieces()
    got = engines[1].rank({"u": [1.0]}, columns)
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    assert emulated.emulated_pieces() == before
