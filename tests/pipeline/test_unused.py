"""What no output depends on is not computed, and its columns and tables are not asked for."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from onnx import helper
from two_columns import DIM, ROWS, TABLE, WEIGHT, bucket, config, graph, number

import tvm_rank

REPLACED = {
    "feature_type": "regex_replace_feature",
    "regex_pattern": "[^0-9]",
    "replacement": "",
    "num_buckets": ROWS,
    "default_value": "0",
    "embedding_dim": DIM,
}
FEATURES = config(
    bucket("level", "item:level"),
    number("age", "user:age"),
    bucket("dead", "item:only_dead", group="unread"),  # feeds an input that the model does not read
    number("dead_number", "user:dead_number", group="unread"),
    bucket("nobody", "item:only_nobody"),  # feeds no input
    {"feature_name": "replaced", "expression": "item:title", **REPLACED},
    {"feature_name": "again", "expression": "item:title", "group": "titles", **REPLACED},
    {"feature_name": "more", "expression": "item:title", "group": "titles", **REPLACED, "embedding_name": "again"},
    {"feature_name": "unread_text", "expression": "user:query", **REPLACED},
)
ITEMS = {"level": [0, ROWS - 1, 5], "title": ["no. 3", "7", None]}


def model():
    nodes = [
        helper.make_node("Concat", ["level", "age", "titles"], ["h"], axis=1),
        helper.make_node("MatMul", ["h", "w"], ["score"]),
        helper.make_node("Exp", ["unread"], ["nothing"]),
    ]
    shapes = {"level": (DIM,), "age": (1,), "unread": (DIM + 1,), "titles": (2 * DIM,)}
    weight = np.vstack([WEIGHT, WEIGHT[:DIM], WEIGHT[:DIM]])
    return graph(nodes, shapes, {"score": (3,)}, w=weight), weight


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tvm_rank.Engine:
    folder = tmp_path_factory.mktemp("unused") / "artifact"
    tables = {"level": TABLE, "again": TABLE[::-1].copy()}
    tvm_rank.compile(features=FEATURES, model=model()[0], tables=tables).save(folder)
    return tvm_rank.load(folder)


def test_only_the_columns_that_an_output_depends_on_are_asked_for(engine):
    assert engine.user_fields == ("age",)
    assert set(engine.item_fields) == {"level", "title"}
    got = engine.rank(user={"age": [2.0]}, items=ITEMS)["score"]
    titles = TABLE[::-1][[3, 7, 0]]
    inputs = np.hstack([TABLE[ITEMS["level"]], np.full((3, 1), 2.0, np.float32), titles, titles])
    np.testing.assert_allclose(got, inputs @ model()[1], atol=1e-5)


def test_what_is_not_needed_has_no_code_and_is_named(engine):
    manifest = engine.manifest
    assert manifest.features == ("level", "age", "again", "more")
    assert manifest.unused_features == ("dead", "dead_number", "nobody", "replaced", "unread_text")
    assert sum(group["columns"] for group in manifest.groups) == 3, "level, age, and one for both titles"
    assert [stage.input for stage in manifest.host_stages] == ["title"], "equal calls of a library are one"
    assert [sorted(stack.tables) for stack in manifest.stacks] == [["again", "level"]]


def test_a_model_that_reads_none_of_its_inputs_compiles(tmp_path: pathlib.Path):
    nodes = [helper.make_node("Mul", ["age", "zero"], ["score"])]
    made = graph(nodes, {"age": (1,), "level": (DIM,)}, {"score": (1,)}, zero=np.zeros(1, np.float32))
    tvm_rank.compile(features=config(*FEATURES["features"][:2]), model=made).save(tmp_path / "artifact")
    engine = tvm_rank.load(tmp_path / "artifact")
    assert engine.item_fields == ()
    assert engine.rank(user={"age": [2.0]}, items={"any": [1, 2]})["score"].shape == (2, 1)
