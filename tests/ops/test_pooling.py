"""rank.lookup in compiled kernels: every combiner, widths around the vector, weights, shared tables, against the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cases.columns import column
from identity_model import engine_of

from tvm_rank.ops import lookup

DIMS = (1, 4, 8, 16, 20, 64, 100)
COMBINERS = ("sum", "mean", "sqrtn", "max")
IDS = 50  # ids of each table
DEFAULT = 3
LENGTHS = (0, 1, 2, 7, 130, 300)  # ids of a row: a queue of 120 is flushed in the middle of rows, and between them
TOLERANCE = 1e-6  # of the sum of |w * e|


def _feature(combiner: str, dim: int, group: str, *, table: str = "", weighted: bool = False, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "id_feature",
        "expression": "item:pairs" if weighted else "item:ids",
        "num_buckets": IDS,
        "weighted": weighted,
        "combiner": combiner,
        "embedding_dim": dim,
        "embedding_name": table or f"a_{dim}",
        "group": group,
        **keys,
    }


FEATURES: dict[str, dict[str, Any]] = {
    **{f"sum_{dim}": _feature("sum", dim, "plain") for dim in DIMS},
    **{f"{c}_{dim}": _feature(c, dim, "plain") for c, dim in (("mean", 8), ("mean", 16), ("sqrtn", 20), ("max", 20))},
    **{f"{c}_20_weighted": _feature(c, 20, "weighted", weighted=True) for c in COMBINERS},
    "sum_100_weighted": _feature("sum", 100, "weighted", weighted=True),
    "sum_16_second": _feature("sum", 16, "plain", table="b_16"),  # with sum_16 one section of two columns and two tables
    "mean_8_second": _feature("mean", 8, "second", table="b_8"),
    "mean_8_default": _feature("mean", 8, "second", table="b_8", default_value=str(DEFAULT)),
    "sum_16_first": _feature("sum", 16, "second", value_dim=1),
    "max_20_default": _feature("max", 20, "second", table="b_20", default_value=str(DEFAULT)),
    "mean_20_weighted_default": _feature("mean", 20, "weighted", weighted=True, default_value=str(DEFAULT)),
    "alone": _feature("sqrtn", 16, "nobody", table="b_16"),
}
GROUPS = ("plain", "weighted", "second", "alone")


def members(group: str) -> list[str]:
    return [name for name, keys in FEATURES.items() if group in (name, keys["group"])]


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    source = np.random.default_rng(0)
    widths = {keys["embedding_name"]: keys["embedding_dim"] for keys in FEATURES.values()}
    return {name: source.standard_normal((IDS, dim), dtype=np.float32) for name, dim in widths.items()}


@pytest.fixture(scope="module")
def engine(tables, tmp_path_factory):
    widths = {group: sum(FEATURES[name]["embedding_dim"] for name in members(group)) for group in GROUPS}
    return engine_of(tmp_path_factory.mktemp("pooling"), FEATURES, widths, tables)


Bags = list[list[tuple[int, float]]]


def random_bags(rows: int, seed: int) -> Bags:
    """Ids and weights of each row. Weights are multiples of 1/8, some 0 or below, so that their sums are exact in float32."""
    source = np.random.default_rng(seed)
    return [
        list(zip(source.integers(0, IDS, n).tolist(), (source.integers(-8, 33, n) / 8).tolist(), strict=True))
        for n in source.choice(LENGTHS, rows)
    ]


def pooled(engine, bags: Bags) -> dict[str, np.ndarray]:
    """The pooled embeddings of each feature."""
    ids = column([[number for number, _ in bag] for bag in bags], pa.list_(pa.int64()))
    pairs = column(bags, pa.map_(pa.int64(), pa.float32()))
    scores = engine.rank(items={"ids": ids, "pairs": pairs})
    found = {}
    for group in GROUPS:
        ends = np.cumsum([FEATURES[name]["embedding_dim"] for name in members(group)])
        found |= dict(zip(members(group), np.split(scores[f"{group}_out"], ends[:-1], axis=1), strict=True))
    return found


def arguments(bags: Bags, keys: dict[str, Any], tables: dict[str, np.ndarray]) -> tuple:
    """Arguments of the reference for a feature."""
    default = [(DEFAULT, 1.0)] if "default_value" in keys else []
    kept = [(bag or default)[: keys.get("value_dim") or None] for bag in bags]
    flat = [pair for bag in kept for pair in bag]
    weights = np.array([weight for _, weight in flat], np.float32) if keys["weighted"] else None
    lengths = np.array([len(bag) for bag in kept], np.int32)
    return np.array([number for number, _ in flat], np.int64), lengths, weights, tables[keys["embedding_name"]], keys["combiner"]


def assert_pooled(engine, tables: dict[str, np.ndarray], bags: Bags) -> None:
    for name, got in pooled(engine, bags).items():
        values, lengths, weights, table, combiner = arguments(bags, FEATURES[name], tables)
        wanted = lookup.reference(values, lengths, weights, table, combiner)
        size = lookup.reference(values, lengths, None if weights is None else np.abs(weights), np.abs(table), combiner)
        if combiner == "mean" and weights is not None:  # sums of weights may be far smaller than sums of their sizes
            size = _mean_sizes(values, lengths, weights, table)
        assert got.shape == wanted.shape
        assert got.dtype == np.float32
        wrong = np.abs(got - wanted) > TOLERANCE * size
        assert not wrong.any(), f"{name}: {got[wrong][:3]}, wanted {wanted[wrong][:3]} in rows {np.argwhere(wrong)[:3, 0]}"


def _mean_sizes(values, lengths, weights, table) -> np.ndarray:
    sizes = lookup.reference(values, lengths, np.abs(weights), np.abs(table), "sum")
    totals = np.array([np.abs(part.sum(dtype=np.float64)) for part in np.split(weights, np.cumsum(lengths)[:-1])])
    return np.divide(sizes, totals[:, None], out=np.zeros_like(sizes), where=totals[:, None] > 0)


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, 129])
def test_random_bags_are_pooled_as_defined(engine, tables, rows):
    assert_pooled(engine, tables, random_bags(rows, seed=rows))


def test_rows_without_ids_are_zeros_or_the_default(engine, tables):
    bags: Bags = [[], [(1, 2.0)], [], []]
    assert_pooled(engine, tables, bags)
    found = pooled(engine, bags)
    for name, keys in FEATURES.items():
        empty = found[name][[0, 2, 3]]
        if "default_value" in keys:
            np.testing.assert_array_equal(empty, np.tile(tables[keys["embedding_name"]][DEFAULT], (3, 1)))
        else:
            assert not empty.any(), name


def test_a_row_of_all_ids_and_one_row_are_pooled_alike(engine):
    bags = random_bags(70, seed=1)
    whole = pooled(engine, bags)
    for row in (0, 5, 64, 69):
        alone = pooled(engine, [bags[row]])
        for name, values in alone.items():
            np.testing.assert_array_equal(values[0], whole[name][row], err_msg=name)


def test_weights_that_cancel_give_zeros_where_they_divide(engine, tables):
    bags: Bags = [[(1, 1.0), (2, -1.0)], [(1, 0.0)], [(4, 0.0), (5, 0.0)]]
    assert_pooled(engine, tables, bags)
    found = pooled(engine, bags)
    assert not found["mean_20_weighted"].any()
    assert not found["sqrtn_20_weighted"][1:].any()
    assert found["sqrtn_20_weighted"][0].all()


def test_the_largest_embedding_counts_whatever_its_weight(engine, tables):
    found = pooled(engine, [[(7, 0.0)], [(7, -2.0), (8, 0.5)], [(1, 1.0), (1, -1.0)]])["max_20_weighted"]
    table = tables["a_20"]
    np.testing.assert_array_equal(found, [table[7], np.maximum(table[7], table[8]), table[1]])


def test_equal_ids_are_added_as_often_as_they_come(engine, tables):
    found = pooled(engine, [[(9, 1.0)] * 4])
    np.testing.assert_array_equal(found["sum_16"][0], 4 * tables["a_16"][9])
    np.testing.assert_array_equal(found["mean_16"][0], tables["a_16"][9])


def test_the_definition_has_the_values_worked_out_by_hand():
    table = np.array([[1.0, -2.0], [3.0, 4.0]], np.float32)
    values, lengths = np.array([0, 1, 1]), np.array([2, 0, 1], np.int32)
    weights = np.array([3, -1, 0.5], np.float32)
    wanted = {
        "sum": ([[4, 2], [0, 0], [3, 4]], [[0, -10], [0, 0], [1.5, 2]]),
        "mean": ([[2, 1], [0, 0], [3, 4]], [[0, -5], [0, 0], [3, 4]]),
        "sqrtn": ([[4 / 2**0.5, 2 / 2**0.5], [0, 0], [3, 4]], [[0, -10 / 10**0.5], [0, 0], [3, 4]]),
        "max": ([[3, 4], [0, 0], [3, 4]], [[3, 4], [0, 0], [3, 4]]),
    }
    for combiner, (plain, weighted) in wanted.items():
        np.testing.assert_array_equal(lookup.reference(values, lengths, None, table, combiner), np.array(plain, np.float32))
        np.testing.assert_array_equal(lookup.reference(values, lengths, weights, table, combiner), np.array(weighted, np.float32))
