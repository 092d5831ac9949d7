"""The dialect of the engine of 2018-2022 ("rtp"), turned into today's: other defaults, other spellings, texts in place of ids.

Whatever means the same in both dialects is left as it is. What the older engine alone has is a key of its own in the types that take it
(`RTP_KEYS`), or refused by name (`REFUSED`).
"""

from __future__ import annotations

from typing import Any

from tvm_rank.config.keys import IDS
from tvm_rank.config.number import parse_float
from tvm_rank.config.reader import Section, describe

PYFG, RTP = "pyfg", "rtp"
DIALECTS = (PYFG, RTP)

RTP_KEYS: dict[str, tuple[str, ...]] = {
    "id_feature": ("invalid_values",),
    "combo_feature": ("prune_limit", "prune_right", "need_sort"),
    "overlap_feature": ("need_discrete", "need_dense", *IDS),
}
"""Keys that a type takes in this dialect only."""

REFUSED: dict[str, dict[str, str]] = {
    "lookup_feature": {
        "is_optimized": "values that were looked up before are combined to one number only (needDiscrete false, value_dimension 1)",
        "map_keys": "give the map as one column of `key:value`",
        "map_values": "give the map as one column of `key:value`",
        "key_timestamps": "compute the count or the class of the gaps before, and give it as the map's value",
        "value_timestamps": "compute the count or the class of the gaps before, and give it as the map's value",
    },
    "overlap_feature": {"cutThreshold": "no source says what it cuts", "property": "no source says what it is"},
}
"""Keys of the older engine that are not taken over, and why or what to do instead."""

_TRUE_BY_DEFAULT = {
    "id_feature": ("need_prefix",),
    "combo_feature": ("need_prefix",),
    "lookup_feature": ("need_prefix", "need_discrete", "need_key"),
    "match_feature": ("need_prefix", "need_discrete", "show_category", "show_item"),
    "overlap_feature": ("need_prefix", "need_discrete"),
}


def translated(section: Section) -> Section:
    """The feature as today's dialect writes it, in a section that still knows its dialect, its path and its problems."""
    kind = section.get("feature_type") if "feature_type" in section else None
    if not isinstance(kind, str):
        return section
    if kind == "lookup_feature" and _is_optimized(section):
        return _as_combine(section)
    for key, advice in REFUSED.get(kind, {}).items():
        if key in section:
            section.problem(key, f"is not built for this type; {advice}")
            section = section.without(key)
    changes: dict[str, Any] = {key: True for key in _TRUE_BY_DEFAULT.get(kind, ()) if key not in section}
    changes |= {"id_feature": _id, "raw_feature": _raw}.get(kind, lambda _section: {})(section)
    if kind == "lookup_feature" and "need_discrete" in section and section.get("need_discrete") is False:
        changes.pop("need_key", None)
    for key in ("prune_to", "shared_embedding_name", "force_prefix_name", "bucketize_boundaries"):
        section = section.without(key)
    return section.changed(changes)


def _is_optimized(section: Section) -> bool:
    """Whether the values were looked up before, and one number is made of them."""
    is_number = not section.boolean("need_discrete", True) and section.integer("value_dim", minimum=1, default=1) == 1
    return section.boolean("is_optimized", False) and is_number


def _as_combine(section: Section) -> Section:
    """The same as a combine_feature over the values."""
    expression = section.get("map") if "map" in section else ""
    for key in ("map", "key", "is_optimized", "need_discrete", "need_key", "need_weighting"):
        section = section.without(key)
    return section.changed({"feature_type": "combine_feature", "expression": expression})


def _id(section: Section) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if "prune_to" in section:
        changes["value_dim"] = section.integer("prune_to", minimum=1, default=1)
    if "shared_embedding_name" in section:  # the table is shared, so its texts are bare
        changes["need_prefix"] = section.boolean("force_prefix_name", False)
        if "embedding_dim" in section and "embedding_name" not in section:
            changes["embedding_name"] = section.text("shared_embedding_name", "")
    return changes


def with_boundaries(section: Section) -> Section:
    """The section with the boundaries of `bucketize_boundaries` as `boundaries`: both dialects mean the same by it."""
    if "bucketize_boundaries" not in section or "boundaries" in section:
        return section
    return section.without("bucketize_boundaries").changed(_raw(section))


def _raw(section: Section) -> dict[str, Any]:
    if "bucketize_boundaries" not in section:
        return {}
    text = section.text("bucketize_boundaries", "")
    numbers = [parse_float(part.strip().encode()) for part in text.split(",")]
    if None in numbers:
        section.problem("bucketize_boundaries", f"wanted numbers with ',' between them, got {describe(text)}")
        return {"boundaries": [0.0]}
    return {"boundaries": numbers}


def read_invalid_values(section: Section) -> tuple[str, ...]:
    """`invalid_values`: texts that count as missing."""
    values = section.get("invalid_values") if "invalid_values" in section else []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        section.problem("invalid_values", f"wanted a list of texts, got {describe(values)}")
        return ()
    return tuple(values)
