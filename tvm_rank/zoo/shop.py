"""The shop that the models of the zoo rank for: its raw fields, the features over them, and the files of a model.

A model brings features (built from the functions here) and an ONNX graph over the groups and features that they name; `build` draws
tables, users and items that fit.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from tvm_rank.zoo import shop_data
from tvm_rank.zoo.workload import Workload

Feature = dict[str, Any]
HISTORY = "history"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large a model is: small ones for tests, larger ones for timings.

    dim: width of an embedding · hidden: widths of the layers · length: elements of a sequence · rows: of a table · heads: of attention
    """

    dim: int = 8
    hidden: tuple[int, ...] = (32, 16)
    length: int = 6
    rows: int = 50
    heads: int = 2


FeaturesOf = Callable[[Sizes], list[Feature]]
GraphOf = Callable[[Sizes, np.random.Generator], onnx.ModelProto]


def build(
    name: str,
    features_of: FeaturesOf,
    graph_of: GraphOf,
    folder: str | pathlib.Path,
    *,
    seed: int = 0,
    requests: int = 3,
    items: int = 50,
    **sizes: Any,
) -> Workload:
    """Write the model, and `requests` requests of `items` items each; the same for the same seed. sizes: fields of `Sizes`."""
    size, rng = Sizes(**sizes), np.random.default_rng(seed)
    features = features_of(size)
    graph = graph_of(size, rng)
    return Workload.write(
        model_name=name,
        folder=folder,
        features={"hash_function": "farm", "features": features},
        model=graph,
        tables=tables_of(features, rng),
        user=shop_data.user_table(rng, requests, fields_of(features)),
        items=shop_data.item_table(rng, requests, items, fields_of(features)),
    )


def category(name: str, expression: str | list[str], size: Sizes, *, group: str | None = None, **more: Any) -> Feature:
    """An id with an embedding: hashed texts. `table` names the table, if it is shared."""
    table = more.pop("table", name)
    entry: Feature = {
        "feature_name": name,
        "feature_type": "id_feature" if isinstance(expression, str) else "combo_feature",
        "expression": expression,
        "value_type": "string",
        "default_value": "none",
        "hash_bucket_size": size.rows,
        "embedding_dim": size.dim,
        "embedding_name": table,
        "combiner": "mean",
    }
    return entry | ({"group": group} if group else {}) | more


def user_features(size: Sizes, **more: Any) -> list[Feature]:
    """Four fields with embeddings."""
    return [
        category("user_id", "user:user_id", size, group="user", **more),
        category("gender", "user:gender", size, group="user", **more),
        category("city", "user:city", size, group="user", **more),
        category("hour", "context:hour", size, group="user", **more),
    ]


def item_features(size: Sizes, **more: Any) -> list[Feature]:
    """Four fields with embeddings, the last one multi-valued."""
    return [
        category("item_id", "item:item_id", size, group="item", **more),
        category("category", "item:category", size, group="item", **more),
        category("brand", "item:brand", size, group="item", **more),
        category("tags", "item:tags", size, group="item", **more),
    ]


def number_features() -> list[Feature]:
    """The logarithms of a price and an age."""
    common = {"feature_type": "raw_feature", "value_type": "float", "normalizer": "method=log10,threshold=0.1,default=-1"}
    fields = {"price": "item:price", "age": "user:age"}
    return [{"feature_name": name, "expression": field, **common, "group": "numbers"} for name, field in fields.items()]


USER_FIELDS = ITEM_FIELDS = 4
FIELDS = USER_FIELDS + ITEM_FIELDS
NUMBERS = 2


def linear_features(features: Sequence[Feature]) -> list[Feature]:
    """The same ids once more with one number each, for the linear part: groups `user_linear` and `item_linear`."""
    return [
        feature
        | {"feature_name": f"{feature['feature_name']}_linear", "embedding_name": f"{feature['feature_name']}_linear"}
        | {"embedding_dim": 1, "group": f"{feature['group']}_linear"}
        for feature in features
    ]


def history(size: Sizes) -> Feature:
    """The clicks of the user: item and category of each, in the tables of the candidates; (N, length, 2 dim)."""
    parts = [
        category("item", "user:item", size, table="item_id"),
        category("category", "user:category", size, table="category"),
    ]
    return {"sequence_name": HISTORY, "sequence_length": size.length, "features": parts}


def side_width(size: Sizes) -> int:
    """Columns of the groups `user` and `item`."""
    return USER_FIELDS * size.dim


def tables_of(features: Sequence[Feature], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A table for each embedding of the features: float32 (ids, dim)."""
    found: dict[str, np.ndarray] = {}
    for feature in _flat(features):
        if "embedding_dim" in feature:
            rows = feature.get("hash_bucket_size") or feature.get("num_buckets") or len(feature["boundaries"]) + 1
            found.setdefault(feature["embedding_name"], rng.normal(0, 0.4, (rows, feature["embedding_dim"])).astype(np.float32))
    return found


def fields_of(features: Sequence[Feature]) -> set[str]:
    """The raw columns that the features read; those of a sequence group are named `<sequence>__<field>`."""
    found: set[str] = set()
    for feature in features:
        prefix = f"{feature['sequence_name']}__" if "features" in feature else ""
        for part in _flat([feature]):
            expressions = [part["expression"]] if isinstance(part["expression"], str) else part["expression"]
            found |= {prefix + expression.split(":", 1)[1] for expression in expressions}
    return found


def _flat(features: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The features, those of groups one by one."""
    return [part for feature in features for part in feature.get("features", [feature])]
