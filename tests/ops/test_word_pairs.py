"""Rows whose keys or terms are compared as pairs of words: the same values as of rows that are read one by one, and as the definitions say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from cases import columns as arrow
from oracle import Compiled

from te_schedules.word_pairs import LONGEST, MOST

ROWS = 300  # more than a block
TEXTS, NUMBERS = pa.list_(pa.string()), pa.map_(pa.string(), pa.float32())
LOOKUP = {"feature_type": "lookup_feature", "map": "item:map", "key": "item:key"}
OVERLAP = {"feature_type": "overlap_feature", "query": "item:key", "title": "item:other"}
FEATURES = {
    **{name: LOOKUP | {"combiner": name} for name in ("sum", "mean", "min", "count", "gap_max")},
    "text": LOOKUP | {"key": "item:one", "default_value": "-1"},
    "overlap": OVERLAP | {"method": "query_common_ratio"},
    "listed": {"feature_type": "kv_dot_product", "query": "item:map", "document": "item:key"},
    "mapped": {"feature_type": "kv_dot_product", "query": "item:map", "document": "item:more"},
}
# beginnings of each other, with zeros behind that the length alone tells, and words of which one is the same
KEYS = [
    b"a",
    b"a\0",
    b"a\0\0",
    b"b",
    *(b"0123456789abcde"[:k] for k in range(1, LONGEST + 1)),
    b"01234567\0",
    b"01234567x",
    b"x" * LONGEST,
]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(FEATURES)


def batch(seed: int, keys: list[bytes] = KEYS, most: int = 7, rows: int = ROWS) -> dict[str, pa.Array]:
    """Columns of random rows, some of them empty, with keys that come twice."""
    rng = np.random.default_rng(seed)

    def some():
        return [keys[k] for k in rng.integers(0, len(keys), rng.integers(0, most + 1))]

    def entries():
        return [(key, float(rng.choice([0.5, -0.0, -3, np.inf, 1e-40]))) for key in some()]

    # a null row hides a text that is longer than any of these, so there is none
    keyed = [[some() for _ in range(rows)] for _ in range(2)]
    mapped = [[entries() for _ in range(rows)] for _ in range(2)]
    return {
        "key": arrow.column(keyed[0], TEXTS),
        "other": arrow.column(keyed[1], TEXTS),
        "map": arrow.column(mapped[0], NUMBERS),
        "more": arrow.column(mapped[1], NUMBERS),
        "one": arrow.column([None if rng.random() < 0.1 else keys[k] for k in rng.integers(0, len(keys), rows)], pa.string()),
    }


@pytest.mark.parametrize("most", [1, 7, MOST, MOST + 1])
def test_short_keys_are_those_of_the_definition_however_many_a_row_has(compiled, most):
    compiled.check(batch(most, most=most))


def test_one_key_that_is_longer_or_empty_or_null_changes_no_other_row(compiled):
    for odd in (b"y" * (LONGEST + 1), b"y" * 100, b""):
        compiled.check(batch(11, [*KEYS, odd]))
    compiled.check(batch(12) | {"key": arrow.column([[b"a", None, b"b"] for _ in range(ROWS)], TEXTS)})


def test_a_key_with_a_delimiter_has_a_weight_in_a_list_and_none_in_a_map(compiled):
    compiled.check(batch(13, [*KEYS, b"a:2.5", b"b:"]))


def test_rows_that_are_null_have_no_keys_although_some_lie_below_them(compiled):
    columns = batch(14)
    valid = pa.array(np.random.default_rng(14).random(ROWS) < 0.7)
    bits = valid.buffers()[1]
    for name in ("key", "other", "map"):
        column = columns[name]
        columns[name] = pa.Array.from_buffers(column.type, ROWS, [bits, column.buffers()[1]], children=[column.values])
        assert columns[name].null_count
    compiled.check(columns)


def test_a_part_of_a_column_and_one_row_that_serves_all_are_read_as_they_are(compiled):
    columns = batch(15)
    compiled.check({name: column.slice(33, 260) for name, column in columns.items()})
    compiled.check(columns | {"map": columns["map"].slice(2, 1), "other": columns["other"].slice(3, 1)})
