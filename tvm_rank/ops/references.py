"""The reference of every feature type, by its stem."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from tvm_rank.config.spec import Feature
from tvm_rank.ops import (
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
from tvm_rank.ops.legacy import AS_NUMBERS, legacy_column
from tvm_rank.output import FeatureOutput

REFERENCES: dict[str, Callable[..., FeatureOutput]] = {
    "id_feature": id_feature.reference,
    "raw_feature": raw_feature.reference,
    "combo_feature": combo_feature.reference,
    "overlap_feature": overlap_feature.reference,
    "lookup_feature": lookup_feature.reference,
    "match_feature": match_feature.reference,
    "kv_dot_product": kv_dot_product.reference,
    "regex_replace_feature": regex_replace_feature.reference,
    "text_normalizer": text_normalizer.reference,
    "tokenize_feature": tokenize_feature.reference,
    "expr_feature": expr_feature.reference,
    "combine_feature": combine_feature.reference,
    "bool_mask_feature": bool_mask_feature.reference,
    "slice_feature": slice_feature.reference,
    "custom_feature": custom_feature.reference,
}


def reference(feature: Feature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """What the definition of its type says of a feature over these columns, one for each of `feature.fields`."""
    if feature.sequence is not None:
        from tvm_rank.ops import sequence  # which calls the references

        return sequence.reference(feature, columns, rows, hash_function)
    if feature.legacy:
        as_text = feature.stem not in AS_NUMBERS
        columns = [legacy_column(column, as_text=as_text, invalid=feature.invalid_values) for column in columns]
    return REFERENCES[feature.stem](feature, columns, rows, hash_function)
