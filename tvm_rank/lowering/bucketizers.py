"""The constants of bucketizers and of default values, as kernels want them."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

import numpy as np

from te_schedules import bucketize
from te_schedules.bucketize import boundaries, hash_bucket, num_buckets, vocabulary
from tvm_rank.config.number import parse_int64
from tvm_rank.config.spec import Boundaries, Feature, HashBucket, NumBuckets, Vocabulary
from tvm_rank.ops.reference import hash_farm, hash_std

ALL_IDS = 2**62  # `limit` of a feature that keeps all ids of a row
HASHES = {"std": hash_std, "farm": hash_farm}


def of_text(feature: Feature, hash_function: str) -> tuple[str, dict[str, int], dict[str, np.ndarray]]:
    """(kernel's name of the bucketizer, ints, arrays) of a feature of texts, `limit` and `default_ids` (or `default_text`) included."""
    rule = feature.bucketizer
    ints: dict[str, int] = {"limit": feature.value_dim or ALL_IDS, "separator": ord(feature.separators[-1])}
    if rule is None:
        text = np.frombuffer(feature.default_value.encode(), np.uint8)
        return bucketize.NONE, ints | {"single": int(feature.value_dim == 1)}, {"default_text": text}
    arrays = {"default_ids": np.array(default_ids(feature, hash_function), np.int64)}
    if isinstance(rule, HashBucket):
        return f"hash_{hash_function}", ints | hash_bucket.constants(rule.size), arrays
    if isinstance(rule, NumBuckets):
        return bucketize.NUM_BUCKETS, ints | num_buckets.constants(rule.size), arrays
    assert isinstance(rule, Vocabulary)  # the loader lets nothing else through
    words = vocabulary.arrays([(word.encode(), number) for word, number in rule.entries], hash_std)
    return bucketize.VOCABULARY, ints | {"unknown": rule.default}, arrays | words


def default_ids(feature: Feature, hash_function: str) -> list[int]:
    """The id of a missing row: of `default_value` as one token without prefix; none when it is empty."""
    text, rule = feature.default_value, feature.bucketizer
    if not text:
        return []
    if isinstance(rule, HashBucket):
        return [HASHES[hash_function](text.encode()) % rule.size]
    if isinstance(rule, NumBuckets):
        value = parse_int64(text.encode())  # the loader has seen that it is one
        return [value if value is not None and 0 <= value < rule.size else 0]
    assert isinstance(rule, Vocabulary)
    return [dict(rule.entries).get(text, rule.default)]


def bucket_of(rule: Boundaries, value: float) -> int:
    """The bucket of a number: count of boundaries <= value, both as float32."""
    return bisect.bisect_right(rule.values, float(np.float32(value))) if value == value else 0


def of_number(rule: Boundaries, defaults: Mapping[int, float] | list[float]) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """(ints, arrays) of a bucketized number whose missing row has the numbers `defaults` (none: no id)."""
    ids = np.array([bucket_of(rule, value) for value in defaults], np.int64)
    return {"limit": ALL_IDS}, {"default_ids": ids, **boundaries.arrays(rule.values)}
