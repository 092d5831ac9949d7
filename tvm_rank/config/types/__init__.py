"""The feature types that are built, one file each, listed here: what their keys are and how they are read.

A file has KEYS (what the type takes beside `keys.COMMON`), its frozen subclass of `spec.Feature`, which names its `stem`, and

    read(section, common, base_dir) -> Feature

`section` is the JSON object, which collects problems; `common` the arguments of `Feature` that all types share (name, path,
separators, group); `base_dir` the folder that names of files are relative to. The result is whole only if no problem was noted.
"""

from __future__ import annotations

from types import ModuleType

from tvm_rank.config.keys import COMMON, KNOWN_TYPES
from tvm_rank.config.types import (
    bool_mask_feature,
    combine_feature,
    combo_feature,
    custom_feature,
    expr_feature,
    id_feature,
    kv_dot_product,
    lookup_feature,
    match_feature,
    overlap_feature,
    raw_feature,
    regex_replace_feature,
    slice_feature,
    text_normalizer,
    tokenize_feature,
)

TYPES: dict[str, ModuleType] = {
    "id_feature": id_feature,
    "raw_feature": raw_feature,
    "combo_feature": combo_feature,
    "overlap_feature": overlap_feature,
    "lookup_feature": lookup_feature,
    "match_feature": match_feature,
    "kv_dot_product": kv_dot_product,
    "regex_replace_feature": regex_replace_feature,
    "text_normalizer": text_normalizer,
    "tokenize_feature": tokenize_feature,
    "expr_feature": expr_feature,
    "combine_feature": combine_feature,
    "bool_mask_feature": bool_mask_feature,
    "slice_feature": slice_feature,
    "custom_feature": custom_feature,
}

FEATURE_TYPES = tuple(TYPES)
TYPE_KEYS = {stem: (*COMMON, *module.KEYS) for stem, module in TYPES.items()}

UNSUPPORTED_TYPES = tuple(kind for kind in KNOWN_TYPES if kind not in TYPES)
