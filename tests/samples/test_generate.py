"""Generated samples: every feature type gets requests that it accepts, always the same, in which it finds values and misses some."""

from __future__ import annotations

import pathlib
import random
import sys

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import fuzz_types
from fuzzing.types import CONFIGURATIONS

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.host.stage import OPERATIONS
from tvm_rank.lowering import column_of
from tvm_rank.lowering.fields import FieldTable
from tvm_rank.ops.dag import references
from tvm_rank.samples.make import accepted_requests
from tvm_rank.samples.requests import ITEMS, REQUESTS, Columns, item_rows

FORMS = (fuzz_types.PLAIN, fuzz_types.SEQUENCE, fuzz_types.GROUPED)


def sampled(config: FeatureConfig) -> dict[str, pa.Array]:
    """The columns of generated requests, with a row for each item."""
    table = FieldTable(config.features)
    for feature in config.features:
        if feature.stem not in OPERATIONS:
            column_of(feature, table, config.hash_function)
    raw = {f.name: f.is_request for feature in config.features for f in feature.fields if f.side not in ("feature", "const")}
    columns = Columns(user=[n for n, of_user in raw.items() if of_user], items=[n for n, of_user in raw.items() if not of_user])
    requests, _ = accepted_requests(config, columns, table.uses)
    assert requests.bytes < 256_000
    return item_rows(requests, columns)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_feature_of_each_type_accepts_them(name: str, form: str):
    config = fuzz_types.read(fuzz_types.configurations(name, 1, random.Random(f"{name} {form}"), form), form)
    rows = sampled(config)
    references(config, rows, REQUESTS * ITEMS)
    assert all(column.equals(sampled(config)[name]) for name, column in rows.items())


def values(keys: dict) -> np.ndarray:
    """What a feature makes of its samples."""
    config = load_config({"features": [{"feature_name": "f"} | keys]})
    output = references(config, sampled(config), REQUESTS * ITEMS)["f"]
    found = output.values if output.dense is None else output.dense[:, 0]
    assert found is not None
    return found


KNOWN = {
    "vocabulary": {
        "feature_type": "id_feature",
        "expression": "item:x",
        "vocab_list": ["red", "green"],
        "default_bucketize_value": 9,
    },
    "integers": {"feature_type": "id_feature", "expression": "item:x", "num_buckets": 1000},
    "boundaries": {"feature_type": "raw_feature", "expression": "item:x", "boundaries": [10, 20, 30]},
    "scaled": {"feature_type": "raw_feature", "expression": "item:x", "normalizer": "method=minmax,min=1000,max=3000"},
    "lookup": {"feature_type": "lookup_feature", "map": "user:m", "key": "item:x"},
    "match": {"feature_type": "match_feature", "user": "user:m", "category": "ALL", "item": "item:x", "matchType": "multihit"},
    "products": {"feature_type": "kv_dot_product", "query": "user:q", "document": "item:d"},
    "overlap": {"feature_type": "overlap_feature", "query": "user:q", "title": "item:t", "method": "query_common_ratio"},
}


@pytest.mark.parametrize("name", KNOWN)
def test_values_are_found_and_missed(name: str):
    assert len(np.unique(values(KNOWN[name]))) >= 2


def test_values_lie_on_both_sides_of_boundaries_and_on_them():
    config = load_config({"features": [{"feature_name": "f"} | KNOWN["boundaries"]]})
    found = set(sampled(config)["x"].to_pylist())
    assert found & {10, 20, 30}
    assert min(x for x in found if x is not None) < 10 <= max(x for x in found if x is not None)


def test_nulls_and_empty_texts_are_among_them():
    keys = {"feature_type": "id_feature", "hash_bucket_size": 9}
    config = load_config({"features": [{"feature_name": f"f{k}", "expression": f"item:x{k}", **keys} for k in range(9)]})
    rows = [value for column in sampled(config).values() for value in column.to_pylist()]
    assert None in rows
    assert "" in rows
    assert any(value and "\x1d" in value for value in rows if isinstance(value, str))
