"""Samples judge a GPU model with an item store: a CPU that has the store scores them, with the layers that are left for a request."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import gpu_store_model as model
import numpy as np
import pytest

import tvm_rank

USERS, ROWS = [f"city {k}" for k in range(3)], [*range(0, model.ITEMS, 3), -1, 7]
OF = [k % len(USERS) for k in range(len(ROWS))]
LEVELS = {"ids": ("rows", "number"), "embeddings": ("columns", "text")}  # level -> layout, keys


def ids(keys: str) -> list[Any]:
    return [model.key(keys, row if row >= 0 else 10**6) for row in ROWS]


def compiled(level: str, layout: str, keys: str, tolerance: float) -> tvm_rank.Artifact:
    return tvm_rank.compile(
        features=model.features(),
        model=model.model(),
        tables=model.tables(),
        items=model.items(keys),
        item_key="key",
        store_layout=layout,
        materialize=level,
        target="cuda-sm_90",
        precision=tvm_rank.Precision(dense="bf16", tolerance=tolerance),
        samples=tvm_rank.Samples(user={"city": USERS}, item_ids=ids(keys), item_request=OF),
    )


def scores(keys: str, precision: str, *, has_dense: bool) -> np.ndarray:
    return model.wanted(USERS, OF, ROWS, model.items(keys), precision, has_dense=has_dense)


def largest(keys: str, *, has_dense: bool) -> float:
    """How much a score of the samples differs from fp32 by the reference."""
    return float(np.abs(scores(keys, "bf16", has_dense=has_dense) - scores(keys, "fp32", has_dense=has_dense)).max())


@pytest.mark.parametrize("level", LEVELS)
def test_what_samples_by_ids_lose_is_refused_by_the_tolerance(level: str):
    layout, keys = LEVELS[level]
    with pytest.raises(tvm_rank.PrecisionError, match=r"layer 0 \(7x8\) errs most") as refused:
        compiled(level, layout, keys, 0.0)
    said = re.search(r"a score differs by (\S+) ", str(refused.value))
    assert said is not None
    assert float(said.group(1)) == pytest.approx(largest(keys, has_dense=False), abs=2e-6)


@pytest.mark.usefixtures("emulated")
def test_a_store_of_layers_leaves_only_the_rest_of_them_to_be_judged(tmp_path: pathlib.Path):
    artifact = compiled("dense", "rows", "text", 0.01)
    precision = artifact.manifest.precision
    assert [layer["layer"] for layer in precision["layers"]] == [f"{model.DIM}x8 none", "8x1 sigmoid"]
    assert precision["scored_by"] == "the reference on the CPU"
    assert precision["differences"][0]["largest"] == pytest.approx(largest("text", has_dense=True), abs=1e-6)
    artifact.save(tmp_path / "artifact")
    got = tvm_rank.load(tmp_path / "artifact").rank({"city": USERS}, ids("text"), OF)
    np.testing.assert_allclose(got["score"], scores("text", "bf16", has_dense=True), rtol=0, atol=1e-5)
    assert tvm_rank.check(tmp_path / "artifact", rounds=1).ok
