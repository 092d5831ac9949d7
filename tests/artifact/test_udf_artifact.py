"""User-defined functions inside an artifact: machine code alone, the same numbers as the feature program."""

from __future__ import annotations

import numpy as np
import pytest
from ops.identity_model import identity_model

import tvm_rank
from tvm_rank.errors import InputError


@tvm_rank.udf
def shared_words(query: list[str], title: list[str], *, scale: float = 1.0) -> float | None:
    if not query:
        return None
    found = 0
    for word in query:
        if word in title:
            found += 1
    return scale * found / len(query)


FEATURES = {
    "words": {"operator_name": "shared_words", "expression": ["user:query", "item:title"], "scale": 8, "default_value": "-1"},
    "typo": {
        "operator_name": "EditDistance",
        "expression": ["user:name", "item:name_of_item"],
        "boundaries": [1, 2, 4],
        "embedding_dim": 4,
    },
    "user-only": {"operator_name": "SeqExpr", "expression": ["user:x"], "formula": "x * 2 + 1"},
}
FG = {
    "features": [
        {"feature_name": name, "feature_type": "custom_feature", "separator": " ", **keys} for name, keys in FEATURES.items()
    ]
}
TABLE = np.arange(16, dtype=np.float32).reshape(4, 4)
USER = {"query": ["red shirt", "", "a b c"], "name": ["shirt", "dress", None], "x": [0.5, 1.5, 2.5]}
ITEMS = {"title": ["red dress", "b a", None, "shirt red"], "name_of_item": ["shirts", "skirt", "", "mess"]}
REQUESTS = np.array([0, 2, 1, 0])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tvm_rank.Engine:
    path = tmp_path_factory.mktemp("udf") / "artifact"
    model = identity_model({"words": 1, "typo": 4, "user-only": 1})
    tvm_rank.compile(features=FG, model=model, tables={"typo": TABLE}, udfs=[shared_words]).save(path)
    return tvm_rank.load(path)


def test_an_engine_ranks_as_the_feature_program_says(engine):
    scores = engine.rank(user=USER, items=ITEMS, item_request=REQUESTS)
    program = tvm_rank.compile_features(FG, udfs=[shared_words])
    wanted = program({name: [column[r] for r in REQUESTS] for name, column in USER.items()} | ITEMS)
    np.testing.assert_array_equal(scores["words_out"], wanted["words"].dense)
    np.testing.assert_allclose(wanted["words"].dense[:, 0], [4.0, 16 / 3, -1.0, 8.0], rtol=1e-6)
    np.testing.assert_array_equal(scores["typo_out"], TABLE[wanted["typo"].values])
    np.testing.assert_array_equal(scores["user-only_out"][:, 0], [2.0, 6.0, 4.0, 2.0])


def test_what_a_row_cannot_have_is_an_input_error(engine):
    user = {"query": ["a"], "name": ["a b"], "x": [1.0]}
    with pytest.raises(InputError, match="feature 'typo', row 0: wants inputs with one value, or all the same number of them"):
        engine.rank(user=user, items={"title": ["x"], "name_of_item": ["a b c"]})
