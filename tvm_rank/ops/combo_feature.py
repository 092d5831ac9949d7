"""combo_feature: the Cartesian product of the values of several fields, joined and bucketized."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pyarrow as pa

from tvm_rank.config.types.combo_feature import MOST_COMBINATIONS, ComboFeature
from tvm_rank.errors import InputError
from tvm_rank.ops.reference import check_columns, default_token_ids, id_function, ragged, tokens
from tvm_rank.output import FeatureOutput


def reference(feature: ComboFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32.

        ["a", "b"] x ["c", "d"]   ->   the ids of a_c, a_d, b_c, b_d: the first field is the outer loop

    The tokens of each field (`reference.tokens`), joined with "_" behind the prefix. A row with a missing field is missing: it has
    the id of `default_value`, which is one token without prefix, or none. `value_dim` k > 0 keeps the first k ids.

    Of the older dialect, `most` values of a field are kept, from its first or up to its last, and the parts of a text may be sorted.

    Raises InputError for a column of another type or length, and for a row of more than MOST_COMBINATIONS.
    """
    check_columns(feature, columns, rows)
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    prefix, limit = feature.prefix.encode(), feature.value_dim or None
    order: Callable = sorted if feature.ordered else tuple
    ids = []
    for row in range(rows):
        parts = [_kept(feature, k, tokens(column, row, feature.separators)) for k, column in enumerate(columns)]
        if math.prod(map(len, parts)) > MOST_COMBINATIONS:
            raise InputError(f"feature {feature.name!r}, row {row}: {feature.refusal}")
        joined = itertools.islice(itertools.product(*parts), limit)
        ids.append([id_of(prefix + b"_".join(part), row) for part in map(order, joined)] or default)
    return ragged(ids)


def _kept(feature: ComboFeature, k: int, values: list[bytes]) -> list[bytes]:
    if not feature.most:
        return values
    return values[: feature.most[k]] if feature.front[k] else values[-feature.most[k] :]
