"""Features whose values are computed numbers of a `value_type`: what expr_feature and combine_feature have in common in fg.json."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tvm_rank.config.bucketizer import read_boundaries
from tvm_rank.config.keys import NUMBERS
from tvm_rank.config.number import parse_int64
from tvm_rank.config.outputs import default_numbers, read_embedding, read_normalizer
from tvm_rank.config.reader import Section, describe, one_of
from tvm_rank.config.spec import Bucketizer, Feature, HashBucket, Normalizer, NumBuckets

INTEGERS = ("int32", "int64")
NUMBER_TYPES = ("float", "double", *INTEGERS)
KEYS = (*NUMBERS, "num_buckets")
"""Keys that these types take beside `keys.COMMON`."""


@dataclass(frozen=True, kw_only=True)
class TypedNumbers(Feature):
    """Numbers computed in float64, then taken as `value_type` (float, double, int32 or int64), normalized and perhaps bucketized.

    `defaults` are the numbers of `default_value`, in output space and not rounded; () when it is "".
    """

    value_type: str = "float"
    normalizer: Normalizer | None = None
    defaults: tuple[float, ...] = ()

    @property
    def is_integer(self) -> bool:
        """True when numbers are truncated to integers."""
        return self.value_type in INTEGERS

    @property
    def numbers(self) -> int:
        """`value_dim` of them."""
        return self.value_dim


def read_typed_numbers(section: Section, common: dict[str, Any], *, hashed: bool, value_dim: int) -> dict[str, Any]:
    """What `TypedNumbers` adds to the common arguments, and its bucketizer. `hashed`: the type takes hash_bucket_size, too."""
    keys = ("boundaries", "num_buckets", *(("hash_bucket_size",) if hashed else ()))
    given = [key for key in keys if key in section]
    if len(given) > 1:
        section.problem(given[1], f"a second bucketizer beside {given[0]!r}; keep one")
    value_type = _value_type(section, given)
    bucketizer = _bucketizer(section, given)
    section.boolean("need_prefix", False)  # numbers have no text to put it before
    default = section.text("default_value", "0")
    if isinstance(bucketizer, NumBuckets) and default and parse_int64(default.encode()) is None:
        section.problem("default_value", f'num_buckets needs an integer, got {describe(default)}; write one, or "" for none')
        default = ""
    return {
        "value_type": value_type,
        "normalizer": read_normalizer(section),
        "bucketizer": bucketizer,
        "embedding": read_embedding(section, common["name"], has_ids=bool(given)),
        "default_value": default,
        "value_dim": value_dim,
        "defaults": default_numbers(section, default, common["separators"], value_dim or 1, rounded=False),
    }


def read_value_dim(section: Section, *, has_ids: bool) -> int:
    """How many values a row has: at least 1, and 0 for any number where there are ids."""
    return section.integer("value_dim", minimum=0 if has_ids else 1, maximum=2**31 - 1, default=1)


def _value_type(section: Section, bucketizers: Collection[str]) -> str:
    value_type = section.text("value_type", "int64" if "num_buckets" in bucketizers else "float").lower()
    if value_type not in NUMBER_TYPES:
        section.problem("value_type", f"wanted {one_of(NUMBER_TYPES)}, got {describe(value_type)}")
        return "float"
    for key in bucketizers:
        wanted = INTEGERS if key == "num_buckets" else ("float", "double")
        if value_type not in wanted:
            section.problem(key, f"needs a value_type of {one_of(wanted)}, got {value_type!r}")
    return value_type


def _bucketizer(section: Section, given: Collection[str]) -> Bucketizer | None:
    if "boundaries" in given:
        return read_boundaries(section)
    for key in given:
        size = section.integer(key, minimum=1, default=0)
        if size:
            return HashBucket(size=size) if key == "hash_bucket_size" else NumBuckets(size=size)
    return None
