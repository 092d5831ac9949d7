"""The bucketizer of a feature: one key among hash_bucket_size, num_buckets, vocab_*, or `boundaries`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tvm_rank.config.keys import ID_BUCKETIZERS, VOCABULARIES
from tvm_rank.config.reader import INT64_MAX, Section, describe, integer_of, number_of, one_of
from tvm_rank.config.spec import Boundaries, Bucketizer, HashBucket, NumBuckets, Vocabulary
from tvm_rank.config.vocabulary import read_vocab_file

MAX_ID = INT64_MAX - 1  # so that the count of ids fits int64


def read_id_bucketizer(
    section: Section, base_dir: Path, *, joined: bool, keys: Sequence[str] = ID_BUCKETIZERS
) -> Bucketizer | None:
    """Exactly one bucketizer of ids; None when it is wrong, or when there is none and the feature may give texts: as a
    stub to other features, and in the older dialect as its result.

    `joined`: the values are joined with "_" and never integers. `keys`: those that the feature type takes.
    """
    given = [key for key in keys if key in section]
    allowed = [key for key in keys if key != "num_buckets" or not joined]
    if not given and (section.boolean("stub_type", False) or section.dialect == "rtp"):
        return None
    if not given:
        section.missing("hash_bucket_size", f"ids need one bucketizer: {one_of(allowed)}")
        return None
    if len(given) > 1:
        section.problem(given[1], f"a second bucketizer beside {given[0]!r}; keep one")
        return None
    key = given[0]
    if key not in VOCABULARIES and "default_bucketize_value" in section:
        section.problem("default_bucketize_value", f"has a meaning only with {one_of(VOCABULARIES)}; remove it")
    if key == "num_buckets" and joined:
        section.problem(key, f"values joined with '_' are never integers; use {one_of(allowed)}")
        return None
    if key in VOCABULARIES:
        return _vocabulary(section, key, base_dir)
    size = section.integer(key, minimum=1, default=0)
    if not size:
        return None
    return HashBucket(size=size) if key == "hash_bucket_size" else NumBuckets(size=size)


def _vocabulary(section: Section, key: str, base_dir: Path) -> Vocabulary | None:
    if "default_bucketize_value" not in section:
        section.missing("default_bucketize_value", f"{key} needs the id of words that it lacks, for example 0")
    default = section.integer("default_bucketize_value", minimum=0, maximum=MAX_ID, default=0)
    if key == "vocab_list":
        entries = _vocab_list(section)
    elif key == "vocab_dict":
        entries = _vocab_dict(section)
    else:
        entries = read_vocab_file(section, base_dir)
    return Vocabulary(entries=tuple(entries.items()), default=default) if entries else None


def _vocab_list(section: Section) -> dict[str, int]:
    """id = index; a repeated word has its last index."""
    words = section.get("vocab_list")
    if not isinstance(words, list) or not words:
        section.problem("vocab_list", f"wanted a list of at least one text, got {describe(words)}")
        return {}
    entries = {}
    for index, word in enumerate(words):
        if isinstance(word, str):
            entries[word] = index
        else:
            hint = f'; write "{word}"' if integer_of(word) is not None else ""
            section.problem("vocab_list", f"wanted text at [{index}], got {describe(word)}{hint}")
    return entries


def _vocab_dict(section: Section) -> dict[str, int]:
    words = section.get("vocab_dict")
    if not isinstance(words, dict) or not words:
        section.problem("vocab_dict", f"wanted an object of at least one word and its id, got {describe(words)}")
        return {}
    entries = {}
    for word, value in words.items():
        number = integer_of(value)
        if number is None or not 0 <= number <= MAX_ID:
            section.problem("vocab_dict", f"wanted an integer of at least 0 for {word!r}, got {describe(value)}")
        else:
            entries[word] = number
    return entries


def read_boundaries(section: Section) -> Boundaries | None:
    """`boundaries`, rounded to float32; None when absent or wrong. Neighbours may be equal: the bucket between them stays empty."""
    if "boundaries" not in section:
        return None
    values = section.get("boundaries")
    if not isinstance(values, list) or not values:
        section.problem("boundaries", f"wanted a list of at least one number, got {describe(values)}")
        return None
    rounded: list[float] = []
    for index, value in enumerate(values):
        number = number_of(value)
        with np.errstate(over="ignore"):
            nearest = math.nan if number is None else float(np.float32(number))
        if math.isfinite(nearest):
            rounded.append(nearest)
        else:
            section.problem("boundaries", f"wanted a number that float32 holds at [{index}], got {describe(value)}")
    if len(rounded) < len(values):
        return None
    for index, (left, right) in enumerate(itertools.pairwise(values)):
        if right < left:
            section.problem("boundaries", f"not sorted: {right} at [{index + 1}] comes after {left}; sort the list")
            return None
    return Boundaries(values=tuple(rounded))
