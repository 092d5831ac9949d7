"""One workload for each feature type: its configuration, its columns, and the same with NumPy and pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benching import numpy_way as way
from benching import polars_way as polars
from benching.numpy_way import SIZE
from tvm_rank.output import FeatureOutput

MEAN, DEVIATION, DEFAULT, NULLS = 0.1, 0.3, 0.5, 0.1
Columns = Mapping[str, pa.Array]


@dataclass(frozen=True)
class Workload:
    """`keys` of the feature (its type and what goes with it), `columns`, the `ways` of doing the same by name, and how many `values` go in."""

    name: str
    keys: dict[str, Any]
    columns: Columns
    ways: Mapping[str, Callable[[Columns], FeatureOutput]]
    values: int


def _texts(draw: np.random.Generator, count: int, words: pa.Array) -> pa.Array:
    return words.take(pa.array(draw.zipf(1.3, count) % len(words)))


def _joined(values: pa.Array, lengths: np.ndarray, separator: str = "|") -> pa.Array:
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, values), separator)


def _lists(values: pa.Array, lengths: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)), values)


def workloads(rows: int, seed: int) -> list[Workload]:
    """All workloads: about 4 values in a row of several, words of 5 to 16 bytes."""
    draw = np.random.default_rng(seed)
    words = pa.array([f"word{k * 7919 % 10**9}" for k in range(20_000)])
    lengths = draw.integers(1, 8, rows)
    total = int(lengths.sum())
    several, one = _texts(draw, total, words), _texts(draw, rows, words)
    listed, other = _lists(several, lengths), _lists(_texts(draw, total, words), lengths)
    full = pa.array(draw.normal(size=rows))
    floats, more = (pa.array(draw.normal(size=rows), mask=draw.random(rows) < NULLS) for _ in range(2))
    decimals = pa.array([f"{x:.4f}" for x in draw.normal(size=total)])
    some = pc.if_else(pa.array(draw.random(rows) < NULLS), None, decimals.slice(0, rows))
    mask = pa.array(np.where(draw.random(total) < 0.5, "true", "false"))
    weights = pa.MapArray.from_arrays(listed.offsets, several, pa.array(draw.normal(size=total).astype(np.float32)))
    vectors = [_lists(pa.array(draw.normal(size=8 * rows)), np.full(rows, 8)) for _ in range(2)]
    nested = pa.array([f"c1^i{k % 5}:1.5,i7:2|c2^i1:{k % 9},i2:4" for k in range(rows)])
    columns = {
        "words": _joined(several, lengths), "list": listed, "other": other, "one": one, "two": _texts(draw, rows, words),
        "a": floats, "b": more, "full": full, "decimal": some, "decimals": _joined(decimals, lengths),
        "mask": _joined(mask, lengths), "weights": weights, "u": vectors[0], "v": vectors[1], "nested": nested,
        "category": pa.array(["c1", "c2", "c3"]).take(pa.array(draw.integers(0, 3, rows))),
        "item": pa.array([f"i{k}" for k in range(9)]).take(pa.array(draw.integers(0, 9, rows))),
    }  # fmt: skip
    ways = {
        name: {"NumPy": plain} | ({"polars": query} if query and polars.IS_THERE else {}) for name, _, plain, query, _ in _CASES
    }
    return [Workload(name, keys, columns, ways[name], total if many else rows) for name, keys, _, _, many in _CASES]


def _sparse(**keys: Any) -> dict[str, Any]:
    return {"hash_bucket_size": SIZE, **keys}


def _split_ids(column: str) -> Callable[[Columns], FeatureOutput]:
    def plain(c: Columns) -> FeatureOutput:
        values, lengths = way.split(c[column])
        return way.ids(way.buckets(values, SIZE), lengths)

    return plain


def _overlap(c: Columns) -> FeatureOutput:
    (query, n), (title, m) = way.split(c["list"]), way.split(c["other"])
    a, b = way.codes(query, title)
    hits = way.find(way.rows_of(n), a, way.rows_of(m), b) >= 0
    return way.dense(way.sums(hits.astype(np.float64), n) / n)


def _looked_up(c: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row of each key, where the row's map has it or -1, the map's values)."""
    keys, lengths = way.split(c["other"])
    known, rows = c["weights"].keys, way.rows_of(np.diff(c["weights"].offsets.to_numpy()))
    a, b = way.codes(keys, known)
    owners = way.rows_of(lengths)
    return owners, way.find(owners, a, rows, b), c["weights"].items.to_numpy().astype(np.float64)


def _lookup(c: Columns) -> FeatureOutput:
    owners, places, values = _looked_up(c)
    hit = places >= 0
    return way.dense(np.bincount(owners[hit], weights=values[places[hit]], minlength=len(c["weights"])))


def _dot_of_keys(c: Columns) -> FeatureOutput:
    owners, places, values = _looked_up(c)
    words, lengths = way.split(c["other"])
    (a,) = way.codes(words)
    last = way.find(owners, a, owners, a) == np.arange(len(a))  # of equal keys the last counts
    hit = (places >= 0) & last
    return way.dense(np.bincount(owners[hit], weights=values[places[hit]], minlength=len(lengths)))


def _formula(c: Columns) -> FeatureOutput:
    a, b = way.plain(c["a"]), way.plain(c["b"])
    return way.filled([c["a"], c["b"]], np.where(a > b, a * 2 - b, b / (1 + np.abs(a))), 0)


def _functions(c: Columns) -> FeatureOutput:
    a, b = way.plain(c["a"]), way.plain(c["b"])
    return way.filled([c["a"], c["b"]], 1 / (1 + np.exp(-a)) * np.log(np.abs(b) + 1), 0)


def _text_formula(c: Columns) -> FeatureOutput:
    return way.filled([c["decimal"], c["b"]], way.numbers(c["decimal"]) * 2 - way.plain(c["b"]), 0)


def _dot(c: Columns) -> FeatureOutput:
    (u, lengths), (v, _) = way.split(c["u"]), way.split(c["v"])
    width = int(lengths[0])
    if (lengths == width).all():  # vectors of one length are a matrix
        return way.dense(np.einsum("ij,ij->i", u.to_numpy().reshape(-1, width), v.to_numpy().reshape(-1, width)))
    return way.dense(way.sums(u.to_numpy() * v.to_numpy(), lengths))


def _mean(c: Columns) -> FeatureOutput:
    values, lengths = way.split(c["decimals"])
    return way.dense(way.sums(way.numbers(values), lengths) / lengths)


def _masked(c: Columns) -> FeatureOutput:
    (values, lengths), (mask, _) = way.split(c["words"]), way.split(c["mask"])
    true = pc.equal(pc.utf8_lower(mask), "true")
    kept = np.bincount(way.rows_of(lengths)[true.to_numpy(zero_copy_only=False)], minlength=len(lengths))
    return way.ids(way.buckets(values.filter(true), SIZE), kept)


def _sliced(c: Columns) -> FeatureOutput:
    values, lengths = way.split(pc.list_slice(pc.split_pattern(c["words"], "|"), 1, 4))
    return way.ids(way.buckets(values, SIZE), lengths)


def _raw(column: str) -> Callable[[Columns], FeatureOutput]:
    def plain(c: Columns) -> FeatureOutput:
        mean, deviation = np.float32(MEAN), np.float32(DEVIATION)
        if column != "decimal":
            return way.filled([c[column]], (way.plain(c[column]).astype(np.float32) - mean) / deviation, DEFAULT)
        return way.filled([c[column]], (way.numbers(c[column]) - np.float64(mean)) / np.float64(deviation), DEFAULT)

    return plain


def _bucketized(c: Columns) -> FeatureOutput:
    ids = np.searchsorted(np.asarray(BOUNDARIES, np.float32), way.plain(c["a"]).astype(np.float32), side="right")
    ids = np.where(c["a"].is_valid().to_numpy(zero_copy_only=False), ids, np.searchsorted(BOUNDARIES, DEFAULT, side="right"))
    return way.ids(ids, np.ones(len(ids)))


def _crossed(c: Columns) -> FeatureOutput:
    return way.ids(way.buckets(pc.binary_join_element_wise(c["one"], c["two"], "_"), SIZE), np.ones(len(c["one"])))


def _matched(c: Columns) -> FeatureOutput:
    return way.nested(c["nested"].to_pylist(), c["category"].to_pylist(), c["item"].to_pylist())


_ZSCORE = {"normalizer": f"method=zscore,mean={MEAN},standard_deviation={DEVIATION}", "default_value": str(DEFAULT)}
_SCALE = (float(np.float32(MEAN)), float(np.float32(DEVIATION)), DEFAULT)
BOUNDARIES = [k / 4 for k in range(-8, 9)]
_AB = {"feature_type": "expr_feature", "variables": ["item:a", "item:b"]}
Way = Callable[[Columns], FeatureOutput]
# name, keys, the NumPy way, the polars way, whether its values are those of rows of several
_CASES: list[tuple[str, dict[str, Any], Way, Way | None, bool]] = [
    ("id_feature, text", _sparse(feature_type="id_feature", expression="item:words", separator="|"), _split_ids("words"),
     polars.split_ids, True),
    ("id_feature, list", _sparse(feature_type="id_feature", expression="item:list"), _split_ids("list"), None, True),
    ("raw_feature, text", {"feature_type": "raw_feature", "expression": "item:decimal"} | _ZSCORE, _raw("decimal"),
     polars.text_number("decimal", *_SCALE), False),
    ("raw_feature, number", {"feature_type": "raw_feature", "expression": "item:a"} | _ZSCORE, _raw("a"),
     polars.number("a", *_SCALE), False),
    ("raw_feature, no nulls", {"feature_type": "raw_feature", "expression": "item:full"} | _ZSCORE, _raw("full"),
     polars.number("full", *_SCALE), False),
    ("raw_feature, boundaries", {"feature_type": "raw_feature", "expression": "item:a", "default_value": str(DEFAULT),
                                 "boundaries": BOUNDARIES}, _bucketized, None, False),
    ("combo_feature", _sparse(feature_type="combo_feature", expression=["item:one", "item:two"]), _crossed, polars.crossed, False),
    ("overlap_feature", {"feature_type": "overlap_feature", "query": "item:list", "title": "item:other",
                         "method": "query_common_ratio"}, _overlap, polars.overlap, True),
    ("lookup_feature", {"feature_type": "lookup_feature", "map": "item:weights", "key": "item:other"}, _lookup,
     polars.found(once=False), True),
    ("match_feature", {"feature_type": "match_feature", "user": "item:nested", "category": "item:category", "item": "item:item",
                       "needDiscrete": False}, _matched, polars.matched, False),
    ("kv_dot_product", {"feature_type": "kv_dot_product", "query": "item:weights", "document": "item:other"}, _dot_of_keys,
     polars.found(once=True), True),
    ("expr_feature, numbers", _AB | {"expression": "a > b ? a * 2 - b : b / (1 + abs(a))"}, _formula, polars.formula, False),
    ("expr_feature, exp and log", _AB | {"expression": "sigmoid(a) * log(abs(b) + 1)"}, _functions, polars.functions, False),
    ("expr_feature, text", {"feature_type": "expr_feature", "expression": "decimal * 2 - b", "variables": ["item:decimal", "item:b"]},
     _text_formula, polars.text_formula, False),
    ("expr_feature, vectors of 8", {"feature_type": "expr_feature", "expression": "dot(u, v)", "variables": ["item:u", "item:v"]},
     _dot, None, False),
    ("combine_feature", {"feature_type": "combine_feature", "expression": "item:decimals", "separator": "|", "combiner": "mean"},
     _mean, polars.mean, True),
    ("bool_mask_feature", _sparse(feature_type="bool_mask_feature", expression=["item:words", "item:mask"], separator="|"), _masked,
     polars.masked, True),
    ("slice_feature", _sparse(feature_type="slice_feature", expression="item:words", separator="|", start=1, end=4), _sliced,
     polars.sliced, True),
]  # fmt: skip
