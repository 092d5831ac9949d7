"""Kernels per kind, not per column: two hundred columns compile to as many kernels, and as much code, as twenty."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.ops import id_feature, raw_feature
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights

OPTIMIZED = True  # see tests/conftest.py

DIM, ROWS, ITEMS = 16, 100, 23
FEW, MANY = 20, 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A model over `count` hashed columns and a tenth of numbers: of one group, an input for each, or each with an operator of its own."""

    count: int
    form: str

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """The id features and the raw features."""
        return [f"c{k}" for k in range(self.count)], [f"x{k}" for k in range(self.count // 10)]

    def features(self) -> dict[str, Any]:
        """fg.json."""
        ids, numbers = self.names
        group = {"group": "all"} if self.form == "group" else {}
        entries = [
            {
                "feature_name": name,
                "feature_type": "id_feature",
                "expression": f"item:{name}",
                "hash_bucket_size": ROWS,
                "embedding_dim": DIM,
            }
            | group
            for name in ids
        ]
        entries += [
            {
                "feature_name": name,
                "feature_type": "raw_feature",
                "expression": f"item:{name}",
                "normalizer": f"method=zscore,mean={k},standard_deviation=4",
            }
            | group
            for k, name in enumerate(numbers)
        ]
        return {"features": entries}

    def tables(self) -> dict[str, np.ndarray]:
        """A table for each id feature."""
        rng = np.random.default_rng(1)
        return {name: rng.standard_normal((ROWS, DIM)).astype(np.float32) for name in self.names[0]}

    def weights(self) -> dict[str, np.ndarray]:
        """The weights of the one layer."""
        ids, numbers = self.names
        return dense_weights(np.random.default_rng(2), {"out": (len(ids) * DIM + len(numbers), 1)})

    def onnx(self) -> onnx.ModelProto:
        """The dense model."""
        ids, numbers = self.names
        widths = dict.fromkeys(ids, DIM) | dict.fromkeys(numbers, 1)
        writer = GraphWriter(
            "many", {"all": (sum(widths.values()),)} if self.form == "group" else {n: (w,) for n, w in widths.items()}
        )
        inputs = ["all"] if self.form == "group" else list(widths)
        if self.form == "apart":
            inputs = [writer.node("Relu", name) for name in inputs]
        whole = inputs[0] if self.form == "group" else writer.node("Concat", *inputs, axis=1)
        return writer.model(writer.dense(whole, "out", self.weights()))

    def items(self) -> dict[str, pa.Array]:
        """Columns; in each the values differ."""
        ids, numbers = self.names
        columns = {name: pa.array([f"{name} {k * row % 7}" for row in range(ITEMS)]) for k, name in enumerate(ids)}
        return columns | {name: pa.array(np.arange(ITEMS) * (k + 1), pa.float32()) for k, name in enumerate(numbers)}

    def expected(self) -> np.ndarray:
        """The scores by NumPy."""
        config, tables, items = load_config(self.features()), self.tables(), self.items()
        parts = []
        for feature in config.features:
            columns = [items[feature.name]]
            if feature.embedding is None:
                parts.append(raw_feature.reference(feature, columns, ITEMS, config.hash_function).dense)
            else:
                ids = id_feature.reference(feature, columns, ITEMS, config.hash_function).values
                parts.append(tables[feature.name][ids])
        whole = np.hstack(parts).astype(np.float64)
        whole = np.maximum(whole, 0) if self.form == "apart" else whole
        return 1 / (1 + np.exp(-(whole @ self.weights()["out_w"] + self.weights()["out_b"])))


def compiled(model: Model) -> tvm_rank.Artifact:
    """The artifact of a model."""
    return tvm_rank.compile(features=model.features(), model=model.onnx(), tables=model.tables())


def assert_scores_are_right(artifact: tvm_rank.Artifact, model: Model, folder: pathlib.Path) -> None:
    """Save, load, rank, compare with NumPy."""
    artifact.save(folder / "artifact")
    engine = tvm_rank.load(folder / "artifact")
    scores = engine.rank(items=model.items())["score"]
    np.testing.assert_array_equal(engine.rank(items=pa.RecordBatch.from_pydict(model.items()))["score"], scores)  # the quick way
    assert np.ptp(model.expected()) > 0.05
    np.testing.assert_allclose(scores, model.expected(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["group", "inputs"])
def test_ten_times_the_columns_take_as_many_kernels_and_as_much_code(form: str, tmp_path: pathlib.Path):
    few, many = (compiled(Model(count=count, form=form)) for count in (FEW, MANY))
    assert [kernel["name"] for kernel in many.manifest.kernels if kernel["operator"] == "rank.features"] == ["item_features"]
    assert len(many.manifest.kernels) == len(few.manifest.kernels)
    assert [group["columns"] for group in few.manifest.groups] == [FEW, FEW // 10]
    assert [group["columns"] for group in many.manifest.groups] == [MANY, MANY // 10]
    assert len(many.stages["llvm"]) < 1.2 * len(few.stages["llvm"])
    assert_scores_are_right(many, Model(count=MANY, form=form), tmp_path)


def test_columns_with_an_operator_each_share_their_loops_too(tmp_path: pathlib.Path):
    model = Model(count=3 * FEW, form="apart")
    artifact = compiled(model)
    assert [group["columns"] for group in artifact.manifest.groups] == [model.count, model.count // 10]
    assert_scores_are_right(artifact, model, tmp_path)
