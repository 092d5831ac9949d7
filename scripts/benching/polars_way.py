"""Feature generation with polars, for the types for which a query says what the feature is. Hashing goes on with NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from benching import numpy_way as way
from tvm_rank.output import FeatureOutput

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # next to one thread of ours; polars reads it once, when it is imported
try:
    import polars as pl
except ImportError:
    pl: Any = None  # type: ignore[no-redef]

Columns = Mapping[str, pa.Array]
Way = Callable[[Columns], FeatureOutput]
IS_THERE = pl is not None


def _frame(c: Columns, *names: str) -> Any:
    return pl.DataFrame({name: pl.from_arrow(c[name]) for name in names})


def _dense(frame: Any) -> FeatureOutput:
    return way.dense(frame.to_series().to_numpy())


def _arrow(series: Any) -> pa.Array:
    """Texts as Arrow had them."""
    return series.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())


def number(column: str, mean: float, deviation: float, default: float) -> Way:
    """raw_feature of numbers."""

    def run(c: Columns) -> FeatureOutput:
        scaled = (pl.col(column).cast(pl.Float32) - np.float32(mean)) / np.float32(deviation)
        return _dense(_frame(c, column).select(scaled.fill_null(default)))

    return run


def text_number(column: str, mean: float, deviation: float, default: float) -> Way:
    """raw_feature of texts; one that is no number is 0."""

    def run(c: Columns) -> FeatureOutput:
        read = pl.col(column).cast(pl.Float64, strict=False).fill_null(0.0)
        scaled = ((read - mean) / deviation).cast(pl.Float32)
        return _dense(_frame(c, column).select(pl.when(pl.col(column).is_null()).then(default).otherwise(scaled)))

    return run


def formula(c: Columns) -> FeatureOutput:
    """a > b ? a * 2 - b : b / (1 + abs(a))"""
    a, b = pl.col("a"), pl.col("b")
    return _dense(_frame(c, "a", "b").select(pl.when(a > b).then(a * 2 - b).otherwise(b / (1 + a.abs())).fill_null(0)))


def functions(c: Columns) -> FeatureOutput:
    """sigmoid(a) * log(abs(b) + 1)"""
    a, b = pl.col("a"), pl.col("b")
    return _dense(_frame(c, "a", "b").select((1 / (1 + (-a).exp()) * (b.abs() + 1).log()).fill_null(0)))


def text_formula(c: Columns) -> FeatureOutput:
    """decimal * 2 - b"""
    return _dense(_frame(c, "decimal", "b").select((pl.col("decimal").cast(pl.Float64) * 2 - pl.col("b")).fill_null(0)))


def mean(c: Columns) -> FeatureOutput:
    """combine_feature of texts."""
    numbers = pl.col("decimals").str.split("|").list.eval(pl.element().cast(pl.Float64)).list.mean()
    return _dense(_frame(c, "decimals").select(numbers))


def split_ids(c: Columns) -> FeatureOutput:
    """id_feature of texts."""
    lists = pl.from_arrow(c["words"]).str.split("|")
    return way.ids(way.buckets(_arrow(lists.explode()), way.SIZE), lists.list.len().to_numpy())


def sliced(c: Columns) -> FeatureOutput:
    """slice_feature."""
    lists = pl.from_arrow(c["words"]).str.split("|").list.slice(1, 3)
    lengths = lists.list.len().to_numpy()
    return way.ids(way.buckets(_arrow(lists.filter(lengths > 0).explode()), way.SIZE), lengths)


def masked(c: Columns) -> FeatureOutput:
    """bool_mask_feature."""
    split = [pl.col(name).str.split("|") for name in ("words", "mask")]
    values = _frame(c, "words", "mask").select(*split).with_row_index("row").explode("words", "mask")
    kept = values.filter(pl.col("mask").str.to_lowercase() == "true")
    lengths = np.bincount(kept["row"].to_numpy(), minlength=len(c["words"]))
    return way.ids(way.buckets(_arrow(kept["words"]), way.SIZE), lengths)


def crossed(c: Columns) -> FeatureOutput:
    """combo_feature."""
    joined = _frame(c, "one", "two").select(pl.concat_str("one", "two", separator="_")).to_series()
    return way.ids(way.buckets(_arrow(joined), way.SIZE), np.ones(len(c["one"])))


def _exploded(c: Columns, name: str) -> Any:
    return _frame(c, name).rename({name: "key"}).with_row_index("row").explode("key")


def overlap(c: Columns) -> FeatureOutput:
    """overlap_feature, query_common_ratio."""
    hits = _exploded(c, "list").join(_exploded(c, "other"), on=["row", "key"], how="semi")
    found = np.bincount(hits["row"].to_numpy(), minlength=len(c["list"]))
    return way.dense(found / np.diff(c["list"].offsets.to_numpy()))


def found(*, once: bool) -> Way:
    """lookup_feature; kv_dot_product if each key counts `once`."""

    def run(c: Columns) -> FeatureOutput:
        weights, rows = c["weights"], len(c["weights"])
        owners = way.rows_of(np.diff(weights.offsets.to_numpy())).astype(np.uint32)
        entries = pl.DataFrame({"row": owners, "key": pl.from_arrow(weights.keys), "weight": pl.from_arrow(weights.items)})
        keys = _exploded(c, "other")
        hits = (keys.unique() if once else keys).join(entries.unique(["row", "key"], keep="last"), on=["row", "key"])
        return way.dense(np.bincount(hits["row"].to_numpy(), weights=hits["weight"].cast(pl.Float64).to_numpy(), minlength=rows))

    return run


def matched(c: Columns) -> FeatureOutput:
    """match_feature: the group of the category, in it the pair of the item."""
    table = _frame(c, "nested", "category", "item").with_row_index("row")
    groups = table.with_columns(pl.col("nested").str.split("|")).explode("nested")
    parts = groups.with_columns(pl.col("nested").str.split_exact("^", 1).struct.rename_fields(["name", "inner"])).unnest("nested")
    pairs = parts.filter(pl.col("name") == pl.col("category")).with_columns(pl.col("inner").str.split(",")).explode("inner")
    cut = pairs.with_columns(pl.col("inner").str.split_exact(":", 1).struct.rename_fields(["key", "value"])).unnest("inner")
    hits = cut.filter(pl.col("key") == pl.col("item"))
    numbers = np.zeros(len(c["nested"]))
    numbers[hits["row"].to_numpy()] = hits["value"].cast(pl.Float64).to_numpy()
    return way.dense(numbers)
