"""match_feature: the values that a nested map has for categories and items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Boundaries, Field, NumBuckets
from tvm_rank.config.types.match_feature import ALL, MULTIHIT, MatchFeature
from tvm_rank.ops.map_rows import check_map, number_of
from tvm_rank.ops.normalize import bucket_of, normalize_text, to_float32
from tvm_rank.ops.reference import check_column, default_token_ids, id_function, ragged, row_in, texts, tokens
from tvm_rank.output import FeatureOutput

BLANKS = b" \t\n\v\f\r"
Hit = tuple[bytes, bytes, bytes]  # category, item, value


def reference(feature: MatchFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64, lengths (rows,) int32 and perhaps weights (nnz,) float32; or dense (rows, 1) float32.

    columns: the nested map, then categories and items where they are fields.

        map "c1^a:1,b:2|c2^a:3", category "c1", item ["b", "a"]   ->   values 2, 1 · category ALL of multihit, item "a"   ->   1, 3

    The map is a text, a list of such texts, or an Arrow map from category to "item:value,...". Blanks around parts are dropped, and so are
    empty parts; a group that is not category^items, or an item that is not item:value, makes the row empty. Groups of one category are
    one, and the last of equal items counts.

    hit: each category (outer loop) with each item; the literal ALL is a key like others. multihit: ALL stands for every key of the map, in
    the order of their last places, inside the loop over the other side's keys.

    Texts: each hit gives the id of prefix + [category _] [item _] value; num_buckets reads the bare value. Weighted: without the value,
    which is the weight, 1 if it is no number. A row without hits has the id of the default, or none.

    Numbers: the first hit whose value is a number, normalized in double; with boundaries each of them. A row without one has the default
    number as it is, 0 if there is none; with boundaries it is bucketized, and without a default there is no id.

    Raises InputError for a column of another type or length, and for text that is no integer under num_buckets.
    """
    check_map(feature, feature.fields[0], columns[0], rows, items=[pa.string()])
    for field, column in zip(feature.fields[1:], columns[1:], strict=True):
        check_column(feature, field, column, rows)
    hits = [_hits(feature, columns, row) for row in range(rows)]
    if feature.discrete:
        return _ids(feature, hits, hash_function)
    numbers = [[normalize_text(feature.normalizer, n) for n in map(number_of, _values(row)) if n is not None] for row in hits]
    defaults = [np.float32(number) for number in feature.defaults]
    if isinstance(feature.bucketizer, Boundaries):
        return ragged([[bucket_of(feature.bucketizer, number) for number in row or defaults] for row in numbers])
    dense = [(row or defaults or [np.float32(0)])[0] for row in numbers]
    return FeatureOutput(dense=np.array(dense, np.float32).reshape(len(hits), 1))


def _values(hits: list[Hit]) -> list[bytes]:
    return [value for _, _, value in hits]


def _ids(feature: MatchFeature, hits: list[list[Hit]], hash_function: str) -> FeatureOutput:
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    prefix = b"" if isinstance(feature.bucketizer, NumBuckets) else feature.prefix.encode()
    shown = (feature.show_category, feature.show_item, not feature.weighted)
    ids, weights = [], []
    for row, found in enumerate(hits):
        joined = [b"_".join(part for part, show in zip(hit, shown, strict=True) if show) for hit in found]
        ids.append([id_of(prefix + text, row) for text in joined] or default)
        numbers = [number_of(value) for value in _values(found)]
        weights.append([np.float32(1) if n is None else to_float32(n) for n in numbers] or [np.float32(1)] * len(default))
    return ragged(ids, weights if feature.weighted else None)


def _hits(feature: MatchFeature, columns: Sequence[pa.Array], row: int) -> list[Hit]:
    found = {(category, item): value for category, item, value in nested(columns[0], row)}
    rest = iter(columns[1:])
    categories, items = (
        tokens(next(rest), row, feature.separators) if isinstance(side, Field) else [ALL.encode()]
        for side in (feature.category, feature.item)
    )
    every = [side == ALL and feature.match_type == MULTIHIT for side in (feature.category, feature.item)]
    if not any(every):
        return [(c, i, found[c, i]) for c in categories for i in items if (c, i) in found]
    whole = [(c, i, value) for (c, i), value in found.items()]
    if all(every):
        return whole
    if every[0]:
        return [hit for wanted in items for hit in whole if hit[1] == wanted]
    return [hit for wanted in categories for hit in whole if hit[0] == wanted]


def nested(column: pa.Array, row: int) -> list[Hit]:
    """The entries of a nested map in the order of their last places; none when the row is missing or malformed."""
    found: dict[tuple[bytes, bytes], bytes] = {}
    for category, text in _groups(column, row):
        parts = None if category is None else [_pair(part, b":") for part in _parts(text, b",")]
        if category is None or parts is None or None in parts:
            return []
        for item, value in filter(None, parts):
            found.pop((category, item), None)
            found[category, item] = value
    return [(category, item, value) for (category, item), value in found.items()]


def _groups(column: pa.Array, row: int) -> list[tuple[bytes | None, bytes]]:
    """(category, items) of a row; category None: malformed."""
    if pa.types.is_map(column.type):
        entries = column[row_in(column, row)].values
        pairs = [] if entries is None else zip(texts(entries.field(0)), texts(entries.field(1)), strict=True)
        return [(key, items or b"") for key, items in pairs if key]
    at = row_in(column, row)
    of_row = column[at].values if pa.types.is_list(column.type) else column.slice(at, 1)
    if of_row is None:
        return []
    found = [_pair(group, b"^") for text in texts(of_row) for group in _parts(text or b"", b"|")]
    return [pair or (None, b"") for pair in found]


def _parts(text: bytes, delimiter: bytes) -> list[bytes]:
    return [part for part in (part.strip(BLANKS) for part in text.split(delimiter)) if part]


def _pair(text: bytes, delimiter: bytes) -> tuple[bytes, bytes] | None:
    parts = _parts(text, delimiter)
    return (parts[0], parts[1]) if len(parts) == 2 else None
