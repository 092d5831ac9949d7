"""Features of both sides: an item's row reads the user's row that `item_request` names, against the definition on repeated rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cases.columns import column
from identity_model import engine_of

from tvm_rank.config.load import load_config
from tvm_rank.ops import lookup
from tvm_rank.ops.references import REFERENCES

SPACE, DIM, ITEMS = 97, 4, 130
FEATURES = {
    "pairs": {
        "feature_type": "combo_feature",
        "expression": ["user:tags", "item:kind"],
        "separator": "|",
        "hash_bucket_size": SPACE,
        "default_value": "none",
        "embedding_dim": DIM,
        "combiner": "sum",
    },
    "triples": {
        "feature_type": "combo_feature",
        "expression": ["user:numbers", "item:kind", "context:hour"],
        "need_prefix": True,
        "hash_bucket_size": SPACE,
        "embedding_dim": DIM,
        "embedding_name": "pairs",
    },
    "common": {
        "feature_type": "overlap_feature",
        "query": "user:tags",
        "title": "item:words",
        "method": "query_common_ratio",
        "separator": "|",
    },
    "tags": {
        "feature_type": "id_feature",
        "expression": "user:tags",
        "separator": "|",
        "hash_bucket_size": SPACE,
        "embedding_dim": DIM,
    },
}
WIDTHS = {"pairs": DIM, "triples": DIM, "common": 1, "tags": DIM}
TAGS = [b"a|b|\0", None, b"longer than eight bytes|c", b"d", b"|"]
USER = {
    "tags": column(TAGS, pa.string()),
    "numbers": column([[1, 2], [], None, [3], [4, 5]], pa.list_(pa.int64())),
    "hour": column([7, 8, None, 9, 10], pa.int32()),
}
KINDS, WORDS = [b"x", b"y|z", None, b"", b"v"], [[b"a", b"c"], [b"b"], None, [b"d", b"e"], [b"a", None, b"\0"]]
ITEM = {
    "kind": column([KINDS[k * 3 % 5] for k in range(ITEMS)], pa.string()),
    "words": column([WORDS[k % 5] for k in range(ITEMS)], pa.list_(pa.string())),
}
TABLES = {name: np.random.default_rng(7).standard_normal((SPACE, DIM), dtype=np.float32) for name in ("pairs", "tags")}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engine_of(tmp_path_factory.mktemp("mapped"), FEATURES, WIDTHS, TABLES)


def assert_scores(scores: dict[str, np.ndarray], user: dict[str, pa.Array], index: np.ndarray) -> None:
    """Compare with the references, for which the user's rows are repeated."""
    columns = ITEM | {name: values.take(pa.array(index)) for name, values in user.items()}
    for feature in load_config({"features": [{"feature_name": name, **keys} for name, keys in FEATURES.items()]}).features:
        out = REFERENCES[feature.stem](feature, [columns[field.name] for field in feature.fields], ITEMS, "std")
        wanted = out.dense
        if wanted is None:
            wanted = lookup.reference(out.values, out.lengths, None, TABLES[feature.embedding.table], feature.embedding.combiner)
        np.testing.assert_allclose(scores[f"{feature.name}_out"], wanted, rtol=1e-6, atol=1e-6, err_msg=feature.name)


def indices(users: int) -> np.ndarray:
    return np.random.default_rng(users).integers(0, users, ITEMS)


@pytest.mark.parametrize("users", [1, 2, 5])
def test_each_item_reads_the_row_of_its_user(engine, users):
    user, index = {name: values[:users] for name, values in USER.items()}, indices(users)
    assert_scores(engine.rank(user=user, items=ITEM, item_request=index), user, index)


@pytest.mark.parametrize("users", [1, 5])
def test_record_batches_are_read_like_columns(engine, users):
    user, index = {name: values[5 - users :] for name, values in USER.items()}, indices(users)
    batches = {"user": pa.RecordBatch.from_pydict(user), "items": pa.RecordBatch.from_pydict(ITEM)}
    assert_scores(engine.rank(**batches, item_request=index), user, index)


def test_sliced_record_batches_begin_at_their_own_first_row(engine):
    index = indices(2)
    user = pa.RecordBatch.from_pydict(USER).slice(2, 2)
    items = pa.RecordBatch.from_pydict({n: pa.concat_arrays([values[:9], values]) for n, values in ITEM.items()}).slice(9)
    assert_scores(engine.rank(user=user, items=items, item_request=index), {n: USER[n][2:4] for n in USER}, index)
