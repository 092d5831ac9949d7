"""Files as trainers of the older engine have them (every feature with value_type, combiner, embedding_dim and group; maps as text with
`multi_val_sep`; lookups of user maps by item keys; keys that only a trainer reads) compile as they are, features and whole models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ops.identity_model import identity_model

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.ops.dag import references

DIM = 4


def an_id(side: str, name: str, size: int, **keys: Any) -> dict[str, Any]:
    return {
        "expression": f"{side}:{name}", "feature_name": name, "feature_type": "id_feature", "value_type": "String", "combiner": "mean",
        "hash_bucket_size": size, "embedding_dim": DIM, "group": side, **keys,
    }  # fmt: skip


FG: dict[str, Any] = {
    "features": [
        an_id("user", "user_id", 1000),
        an_id("user", "level", 10, is_cache=True, is_multi=False),
        an_id("item", "goods_id", 1000, filter_freq=2, steps_to_live=100),
        an_id("item", "brand", 100, shared_name="brands", embedding_dimension=DIM, embedding_dim=None),
        {"expression": "item:price", "feature_name": "price", "feature_type": "raw_feature", "value_type": "Integer", "combiner": "mean",
         "group": "item"},
        {"expression": "item:price", "feature_name": "price_level", "feature_type": "raw_feature", "bucketize_boundaries": "5,10,20"},
        {"sequence_name": "seen", "sequence_column": "seen", "sequence_table": "item", "sequence_length": 50, "sequence_delim": ";",
         "attribute_delim": "#", "sequence_pk": "seen", "default_value": "-1",
         "features": [an_id("item", "video", 100, need_prefix=False, use_embedding_variable=True)]},
        {"expression": "user:tag_category_list", "feature_name": "liked_cates", "feature_type": "id_feature", "hash_bucket_size": 1000,
         "embedding_dim": DIM, "group": "user"},
        {"map": "user:tag_brand_list", "key": "item:brand", "feature_name": "brand_score", "feature_type": "lookup_feature",
         "needDiscrete": True, "hash_bucket_size": 100, "embedding_dim": DIM, "group": "combo"},
        {"map": "user:tag_category_list", "key": "item:cate", "feature_name": "cate_score", "feature_type": "lookup_feature",
         "needDiscrete": False, "needKey": False, "combiner": "sum", "group": "combo"},
        {"expression": ["user:level", "item:brand"], "feature_name": "level_brand", "feature_type": "combo_feature", "value_type": "String",
         "needPrefix": False, "hash_bucket_size": 100, "embedding_dim": DIM, "group": "combo"},
    ],
    "reserves": ["user_id", "clk"],
    "multi_val_sep": "|",
    "embedding_dim": DIM,
    "model_dir": "experiments/demo",
    "num_steps": 1000,
    "model_type": "multi_tower",
    "label_fields": ["clk"],
}  # fmt: skip
FG["features"][6]["features"][0]["expression"] = "user:video"
for _feature in FG["features"]:
    if _feature.get("embedding_dim", DIM) is None:
        del _feature["embedding_dim"]
USER = {
    "seen__video": ["v1;v2"],
    "user_id": ["u7"],
    "level": ["3"],
    "tag_brand_list": ["b1:0.5|b2:7"],
    "tag_category_list": ["c1:2|c9:4.5"],
}
ITEMS = {"goods_id": ["g1", None, "g3"], "brand": ["b2", "b9", ""], "price": [10, None, 3], "cate": ["c9", "c1|c9", None]}


def test_the_features_are_those_of_the_definition():
    program = tvm_rank.compile_features(FG)
    columns = {name: pa.array(values) for name, values in (USER | ITEMS).items()}
    wanted, out = references(load_config(FG), columns, 3), program(columns)
    for name, output in wanted.items():
        for part in ("values", "lengths", "dense"):
            np.testing.assert_array_equal(getattr(out[name], part), getattr(output, part), err_msg=f"{name}.{part}")
    assert out["price_level"].values.tolist() == [2, 0, 0]
    assert out["seen__video"].lengths.tolist() == [2, 2, 2]
    assert out["liked_cates"].lengths.tolist() == [2, 2, 2]  # "c1:2" and "c9:4.5"
    assert out["brand_score"].lengths.tolist() == [1, 0, 0]
    assert out["cate_score"].dense.tolist() == [[4.5], [6.5], [0.0]]


def test_a_model_over_its_groups_compiles(tmp_path):
    widths = {"user": 3 * DIM, "item": 3 * DIM + 1, "combo": 2 * DIM + 1}
    names = ["user_id", "level", "goods_id", "brands", "liked_cates", "brand_score", "level_brand", "seen__video"]
    tables = {name: np.full((1000, DIM), k + 1, np.float32) for k, name in enumerate(names)}
    tvm_rank.compile(features=FG, model=identity_model(widths), tables=tables).save(tmp_path / "artifact")
    scores = tvm_rank.load(tmp_path / "artifact").rank(user=USER, items=ITEMS)
    assert scores["user_out"].tolist() == [[1.0] * DIM + [2.0] * DIM + [5.0] * DIM] * 3
    assert scores["item_out"][:, 2 * DIM].tolist() == [10.0, 0.0, 3.0]
    assert scores["combo_out"][:, DIM].tolist() == [4.5, 6.5, 0.0]


def test_what_is_between_the_two_dialects_is_a_choice():
    """The same file by the older engine's own defaults: prefixes and farm hash."""
    farm = tvm_rank.compile_features({"features": FG["features"][:1]}, dialect="rtp")
    plain = tvm_rank.compile_features({"features": FG["features"][:1]})
    assert farm({"user_id": ["u7"]})["user_id"].values != plain({"user_id": ["u7"]})["user_id"].values
    assert farm({"user_id": ["u7"]})["user_id"].values == pytest.approx(
        tvm_rank.compile_features({"features": FG["features"][:1]}, "farm")({"user_id": ["user_id_u7"]})["user_id"].values
    )
