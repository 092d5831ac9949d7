"""Sides: what each value of a graph depends on."""

from __future__ import annotations

import pytest
from tvm import relax, tirx

from relay_passes.sides import CROSSED_FIELDS, Side, infer
from te_schedules.column import WORDS
from te_schedules.column_group import op
from tvm_rank.config.load import load_config
from tvm_rank.lowering import column_of
from tvm_rank.lowering.fields import FieldTable

FEATURES = [
    {"feature_name": "city", "feature_type": "id_feature", "expression": "user:city", "hash_bucket_size": 10},
    {"feature_name": "brand", "feature_type": "id_feature", "expression": "item:brand", "hash_bucket_size": 10},
    {"feature_name": "cross", "feature_type": "combo_feature", "expression": ["user:city", "item:brand"], "hash_bucket_size": 10},
    {"feature_name": "price", "feature_type": "raw_feature", "expression": "item:price"},
    {"feature_name": "age", "feature_type": "raw_feature", "expression": "user:age"},
]


@pytest.fixture(scope="module")
def sides() -> dict[str, Side]:
    """The sides by the names of the variables of a small graph."""
    features = {feature.name: feature for feature in load_config({"features": FEATURES}).features}
    fields = {True: FieldTable(), False: FieldTable()}
    columns = {name: column_of(f, fields[f.is_request], "std") for name, f in features.items()}
    rows = {True: tirx.Var("R", "int64"), False: tirx.Var("N", "int64")}
    tables = {
        side: relax.Var(name, relax.TensorType([len(fields[side].uses), WORDS], "int64"))
        for side, name in ((True, "request_columns"), (False, "item_columns"))
    }
    shape = relax.Var("rows", relax.ShapeType([rows[True], rows[False]]))
    index = relax.Var("item_request", relax.TensorType([rows[False]], "int32"))
    weight = relax.const(1.0, "float32")
    crossed = [k for k, use in enumerate(fields[False].uses) if use.is_request]
    assert crossed, "the cross reads a user field"
    bb = relax.BlockBuilder()
    with bb.function("main", [tables[True], tables[False], shape, index], attrs={CROSSED_FIELDS: str(crossed)}):
        with bb.dataflow():
            values = {
                name: bb.emit(op.feature(tables[f.is_request], rows[f.is_request], columns[name]), name)
                for name, f in features.items()
            }
            tiled = bb.emit(relax.op.take(values["age"], index, axis=0), "tiled")
            doubled = bb.emit(relax.op.add(tiled, weight), "doubled")
            priced = bb.emit(relax.op.multiply(values["price"], weight), "priced")
            bb.emit(relax.op.concat([tiled, priced], axis=1), "joined")
            bb.emit(relax.op.add(weight, weight), "folded")
            out = bb.emit_output(doubled)
        bb.emit_func_output(out)
    return {var.name: side for var, side in infer(bb.get()["main"]).items()}


@pytest.mark.parametrize(
    ("name", "side"),
    [
        pytest.param("city", Side.REQUEST, id="a-feature-of-the-user"),
        pytest.param("brand", Side.ITEM, id="a-feature-of-the-item-beside-a-cross"),
        pytest.param("cross", Side.CROSSED, id="a-cross"),
        pytest.param("tiled", Side.REQUEST, id="a-request-value-with-a-row-for-each-item"),
        pytest.param("doubled", Side.REQUEST, id="what-is-made-of-it-and-a-constant"),
        pytest.param("priced", Side.ITEM, id="what-is-made-of-an-item-value"),
        pytest.param("joined", Side.CROSSED, id="a-concatenation-of-both"),
        pytest.param("folded", Side.CONSTANT, id="constants"),
        pytest.param("item_request", Side.CONSTANT, id="the-row-map"),
    ],
)
def test_a_value_depends_on(sides: dict[str, Side], name: str, side: Side):
    assert sides[name] is side
