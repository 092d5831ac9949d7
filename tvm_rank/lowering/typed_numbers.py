"""Numbers of a `value_type` -> the part that shapes code, and the constants of one column."""

from __future__ import annotations

from typing import Any

import numpy as np

from te_schedules.bucketize import boundaries, hash_bucket, num_buckets
from te_schedules.feature import typed_numbers as kernel
from tvm_rank.config.spec import Boundaries, HashBucket, NumBuckets
from tvm_rank.config.typed_numbers import TypedNumbers
from tvm_rank.lowering.bucketizers import ALL_IDS
from tvm_rank.lowering.normalizers import shape_of
from tvm_rank.ops.typed_numbers import default_values, id_of


def constants_of(feature: TypedNumbers, hash_function: str) -> tuple[dict[str, Any], dict[str, int], dict[str, np.ndarray]]:
    """(arguments of `TypedNumber`, ints, arrays); `dimension`, `separator`, and ids or numbers of a missing row included."""
    shape, numbers = shape_of(feature.normalizer)
    rule, values = feature.bucketizer, default_values(feature)
    ints = {"dimension": feature.value_dim, "separator": ord(feature.separators[-1])}
    arrays = {"normalizer": numbers}
    name = ""
    if rule is None:
        filled = [np.float32(value) for value in values] or [np.float32(0)] * feature.value_dim
        return _kind(feature, shape, name), ints, arrays | {"defaults": np.array(filled, np.float64)}
    arrays["default_ids"] = np.array([id_of(feature, value, hash_function) for value in values], np.int64)
    ints["limit"] = ALL_IDS
    if isinstance(rule, Boundaries):
        name, arrays = kernel.BOUNDARIES, arrays | boundaries.arrays(rule.values)
    elif isinstance(rule, NumBuckets):
        name, ints = kernel.NUM_BUCKETS, ints | num_buckets.constants(rule.size)
    else:
        assert isinstance(rule, HashBucket)  # the loader lets nothing else through
        name, ints = f"hash_{hash_function}", ints | hash_bucket.constants(rule.size)
    return _kind(feature, shape, name), ints, arrays


def _kind(feature: TypedNumbers, shape: Any, bucketizer: str) -> dict[str, Any]:
    return {"value_type": feature.value_type, "normalizer": shape, "bucketizer": bucketizer}
