"""regex_replace_feature: what is left of a text when matches of a pattern are replaced, bucketized."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.config.types.regex_replace_feature import RegexReplaceFeature
from tvm_rank.ops.reference import check_columns, readable, row_texts, text_ids
from tvm_rank.output import FeatureOutput


def reference(feature: RegexReplaceFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32.

        pattern "[^0-9]", replacement "", num_buckets 100, default "0":   "id7" · "x" · null   ->   values = [7 0 0]   lengths = [1 1 1]

    With value_dim 1 the text of a row is one value, whatever separators it has; with another value_dim it is split at the separators
    before. Each element of a list is one value. RE2 replaces in each value the first match, or with `replace_all` all matches from left
    to right that do not overlap; it sees code points, and bytes that are no UTF-8 as U+FFFD. Values that are empty then are dropped, the
    others get the id of prefix + value. A missing row has the id of `default_value`, which is not replaced in, or none.

    Raises InputError for a column of another type or length, and for text that is no integer under num_buckets.
    """
    check_columns(feature, columns, rows)
    splitting = () if feature.value_dim == 1 else feature.separators
    replaced = [[replace(feature, text) for text in row_texts(columns[0], row, splitting)] for row in range(rows)]
    is_read = feature.stub and feature.yields_texts
    return text_ids(dataclasses.replace(feature, value_dim=0) if is_read else feature, feature.prefix, replaced, hash_function)


def replace(feature: RegexReplaceFeature, text: bytes) -> bytes:
    """The text with its matches replaced."""
    count = -1 if feature.replace_all else 1
    given = pa.array([readable(text)], pa.string())
    done = pc.replace_substring_regex(given, pattern=feature.pattern, replacement=feature.replacement, max_replacements=count)
    return done.cast(pa.binary())[0].as_py()
