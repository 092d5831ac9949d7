"""slice_feature: some of the values of a row, or some of the characters of each value, bucketized."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pyarrow as pa

from tvm_rank.config.spec import NumBuckets
from tvm_rank.config.types.slice_feature import SliceFeature
from tvm_rank.ops.reference import check_columns, default_token_ids, id_function, ragged, tokens
from tvm_rank.output import FeatureOutput


def reference(feature: SliceFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32.

        start 1, end 3                      "a|b|c|d" · "a"     ->   the ids of b, c · none
        start -2, unit character            "abc|x"             ->   the ids of bc, x

    The tokens of a row (`reference.tokens`) or the characters of each token from `start` on and before `end`, counted as Python counts:
    negative places from the end, what lies outside is cut off. A character is what UTF-8 says (`characters`); a token without the
    wanted characters is dropped. Each text gets the id of prefix + text; num_buckets reads the bare text. A row without texts is
    missing: it has the id of `default_value`, or none. `value_dim` k > 0 keeps the first k ids.

    Raises InputError for a column of another type or length, and for a text that is no integer under num_buckets.
    """
    check_columns(feature, columns, rows)
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    prefix = b"" if isinstance(feature.bucketizer, NumBuckets) else feature.prefix.encode()
    part = slice(feature.start, feature.end)
    ids = []
    for row in range(rows):
        found = tokens(columns[0], row, feature.separators)
        cut = found[part] if feature.unit == "value" else [b"".join(characters(token)[part]) for token in found]
        ids.append([id_of(prefix + text, row) for text in cut if text][: feature.value_dim or None] or default)
    return ragged(ids)


def characters(text: bytes) -> list[bytes]:
    """The characters of UTF-8: each byte but those that continue one (10xxxxxx) begins a character; the first byte does in any case."""
    begins = [k for k, byte in enumerate(text) if k == 0 or byte & 0xC0 != 0x80]
    return [text[begin:end] for begin, end in itertools.pairwise([*begins, len(text)])]
