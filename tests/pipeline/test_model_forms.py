"""Models of every form: ids as inputs, several outputs, inputs of one side only, features that nothing reads."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from onnx import helper
from two_columns import DIM, ROWS, TABLE, WEIGHT, bucket, config, graph, number, product

import tvm_rank

NODE = helper.make_node
USER, PRICE = {"shop": [3, 11]}, [0.5, -1.0, 2.0, 8.0, 0.25]
INDEX = [0, 1, 1, 0, 1]


@pytest.fixture
def engine(tmp_path: pathlib.Path):
    """`engine(features, model, tables)`: compiled, saved, checked by the samples that it carries, loaded."""

    def make(features: dict[str, Any], model: Any, tables: Any = None) -> tvm_rank.Engine:
        tvm_rank.compile(features=features, model=model, tables=tables).save(tmp_path / "artifact")
        assert (report := tvm_rank.check(tmp_path / "artifact", rounds=1)).ok, report
        return tvm_rank.load(tmp_path / "artifact")

    return make


def test_ids_of_both_sides_and_several_outputs(engine):
    # level: int64 (N,) of an item · shop: int64 (N, 1) of the request · price: float
    nodes = [
        NODE("Gather", ["table", "level"], ["by_level"], axis=0),
        NODE("Gather", ["table", "shop"], ["by_shop"], axis=0),
        NODE("Reshape", ["by_shop", "flat"], ["request"]),
        NODE("Mul", ["by_level", "price"], ["scaled"]),
        NODE("Add", ["scaled", "request"], ["sum"]),
    ]
    inputs = {"level": ("id",), "shop": (1, "id"), "price": (1,)}
    outputs = {"sum": (DIM,), "request": (DIM,), "by_level": (DIM,)}
    model = graph(nodes, inputs, outputs, table=TABLE, flat=np.array([-1, DIM], np.int64))
    ids = {"embedding_dim": None}
    features = [
        {k: v for k, v in (bucket("level", "item:level") | ids).items() if v is not None},
        {k: v for k, v in (bucket("shop", "user:shop") | ids).items() if v is not None},
        number("price", "item:price"),
        bucket("nobody_reads_this", "item:absent"),
    ]
    ranked = engine(config(*features), model)
    assert ranked.manifest.unused_features == ("nobody_reads_this",)
    assert set(ranked.item_fields) == {"level", "price"}
    level = [0, 5, ROWS - 1, 7, 7]
    scores = ranked.rank(user=USER, items={"level": level, "price": PRICE}, item_request=INDEX)
    request, by_level = TABLE[np.array(USER["shop"])[INDEX]], TABLE[level]
    assert list(scores) == ["sum", "request", "by_level"]
    np.testing.assert_array_equal(scores["request"], request)
    np.testing.assert_array_equal(scores["by_level"], by_level)
    np.testing.assert_allclose(scores["sum"], by_level * np.float32(PRICE)[:, None] + request, atol=1e-6)


def test_a_model_of_the_request_alone_gives_each_item_the_score_of_its_request(engine):
    features = config(bucket("shop", "user:shop"), number("age", "user:age"))
    ranked = engine(features, product(["shop", "age"], [DIM, 1]), {"shop": TABLE})
    user = USER | {"age": [30.0, 41.5]}
    expected = np.hstack([TABLE[user["shop"]], np.float32(user["age"])[:, None]]) @ WEIGHT
    scores = ranked.rank(user=user, items={"any column": PRICE}, item_request=INDEX)["score"]
    np.testing.assert_allclose(scores, expected[INDEX], atol=1e-5)
    one = ranked.rank(user={"shop": [11], "age": [41.5]}, items={"any column": PRICE})["score"]
    np.testing.assert_allclose(one, np.repeat(expected[1:], len(PRICE), 0), atol=1e-5)


def test_a_model_of_items_alone_needs_no_user(engine):
    ranked = engine(config(number("price", "item:price")), product(["price"], [1]))
    assert ranked.user_fields == ()
    scores = ranked.rank(items={"price": PRICE})["score"]
    np.testing.assert_allclose(scores, np.float32(PRICE)[:, None] * WEIGHT[:1], atol=1e-6)


def test_a_group_of_both_sides_keeps_the_order_of_the_configuration(engine):
    # request, item, request: the rows of the weight follow them
    features = config(
        number("a", "user:a", group="all"), bucket("level", "item:level", group="all"), number("b", "context:b", group="all")
    )
    weight = np.random.default_rng(9).standard_normal((DIM + 2, 2)).astype(np.float32)
    model = graph([NODE("MatMul", ["all", "w"], ["score"])], {"all": (DIM + 2,)}, {"score": (2,)}, w=weight)
    ranked = engine(features, model, {"level": TABLE})
    user, level = {"a": [1.0, 2.0], "b": [-3.0, 5.0]}, [4, 3, 2, 1, 0]
    scores = ranked.rank(user=user, items={"level": level}, item_request=INDEX)["score"]
    a, b = (np.float32(user[name])[INDEX][:, None] for name in "ab")
    np.testing.assert_allclose(scores, np.hstack([a, TABLE[level], b]) @ weight, atol=1e-5)
