"""What a feature gives: ids by a bucketizer or numbers, their defaults, and the embedding behind ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tvm_rank.config.bucketizer import read_boundaries, read_id_bucketizer
from tvm_rank.config.inputs import DEFAULT_SEPARATOR
from tvm_rank.config.keys import COMBINERS
from tvm_rank.config.normalizer import parse_normalizer
from tvm_rank.config.number import parse_float, parse_int64
from tvm_rank.config.reader import Section, describe
from tvm_rank.config.spec import Embedding, Normalizer, NumBuckets


def read_ids(section: Section, name: str, base_dir: Path, *, joined: bool) -> dict[str, Any]:
    """bucketizer, default_value, value_dim, prefix and embedding of texts that become ids. `joined`: they are never integers."""
    bucketizer = read_id_bucketizer(section, base_dir, joined=joined)
    default = section.text("default_value", "")
    if isinstance(bucketizer, NumBuckets) and default and parse_int64(default.encode()) is None:
        section.problem("default_value", f'num_buckets needs an integer, got {describe(default)}; write one, or "" for none')
    return {
        "bucketizer": bucketizer,
        "default_value": default,
        "value_dim": section.integer("value_dim", minimum=0, default=0),
        "prefix": f"{name}_" if section.boolean("need_prefix", False) else "",
        "embedding": read_embedding(
            section, name, has_ids=bucketizer is not None or not section.boolean("stub_type", False), values="a text"
        ),
    }


def read_numbers(section: Section, name: str) -> dict[str, Any]:
    """normalizer, bucketizer and embedding of numbers."""
    section.boolean("need_prefix", False)  # numbers have no text to put it before
    bucketizer = read_boundaries(section)
    return {
        "normalizer": read_normalizer(section),
        "bucketizer": bucketizer,
        "embedding": read_embedding(section, name, has_ids="boundaries" in section),
    }


def read_normalizer(section: Section) -> Normalizer | None:
    """The normalizer; None when absent, empty or wrong."""
    text = section.text("normalizer", "")
    if not text:
        return None
    try:
        return parse_normalizer(text)
    except ValueError as error:
        section.problem("normalizer", str(error))
        return None


def default_numbers(
    section: Section, text: str, splitting: tuple[str, ...], value_dim: int, *, rounded: bool = True
) -> tuple[float, ...]:
    """The `value_dim` numbers of a default_value, `rounded` to float32; one number stands for all; () when it is empty or wrong."""
    for separator in splitting[1:]:
        text = text.replace(separator, DEFAULT_SEPARATOR)
    parts = [part for part in text.split(DEFAULT_SEPARATOR) if part]
    numbers = [parse_float(part.encode()) for part in parts]
    if None in numbers:
        section.problem("default_value", f"{parts[numbers.index(None)]!r} is not a number")
        return ()
    if text and not parts:
        section.problem("default_value", 'holds separators only; write a number, or "" for none')
    if len(numbers) not in (0, 1, value_dim):
        section.problem("default_value", f"{len(numbers)} numbers for value_dim {value_dim}; give {value_dim}, or one for all")
        return ()
    with np.errstate(over="ignore"):
        found = tuple(float(np.float32(number) if rounded else number) for number in numbers)  # type: ignore[arg-type]
    return found * value_dim if len(found) == 1 else found


def read_embedding(section: Section, name: str, *, has_ids: bool = True, values: str = "a number") -> Embedding | None:
    """The embedding that looks the ids up; None without `embedding_dim`. `values`: what there is when there are no ids."""
    combiner = section.choice("combiner", COMBINERS, "mean", {"avg": "mean"})
    table = section.required_text("embedding_name", "name the table, or remove the key") if "embedding_name" in section else name
    dim = section.integer("embedding_dim", minimum=1, maximum=2**31 - 1, default=0)
    if "embedding_dim" in section and not has_ids:
        bucketizer = "'boundaries'" if values == "a number" else "a bucketizer such as 'hash_bucket_size'"
        section.problem("embedding_dim", f"{values} has no id to look up; add {bucketizer}, or remove it")
    if "embedding_name" in section and "embedding_dim" not in section:
        section.missing("embedding_dim", f"{section.where('embedding_name')} names a table of unknown width")
    return Embedding(table=table, dim=dim, combiner=combiner) if dim and has_ids else None
