"""The keys of fg.json: which exist, which feature type takes which, and other spellings of them."""

from __future__ import annotations

FEATURE_TYPES = ("id_feature", "raw_feature", "combo_feature", "overlap_feature")

_UNSUPPORTED = (
    "expr_feature", "combine_feature", "lookup_feature", "match_feature", "kv_dot_product", "bool_mask_feature",
    "regex_replace_feature", "text_normalizer", "tokenize_feature", "bm25_feature", "slice_feature", "custom_feature",
    "sid_feature", "lookup_feature_v2", "lookup_feature_v3", "lookup_feature_btree", "gbdt_feature",
)  # fmt: skip
UNSUPPORTED_TYPES = (
    *_UNSUPPORTED,
    *(f"sequence_{kind}" for kind in (*FEATURE_TYPES, *_UNSUPPORTED)),
)

ALIASES = {
    "value_dimension": "value_dim",
    "needPrefix": "need_prefix",
    "embedding_dimension": "embedding_dim",
    "shared_name": "embedding_name",
}
"""Another spelling -> the key."""

TOP_KEYS = ("features", "hash_function", "multi_val_sep")
TOP_IGNORED = (
    "reserves", "reserve_default", "embedding_dim", "model_dir", "num_steps", "model_type", "label_fields", "model_path",
    "edit_config_json",
)  # fmt: skip
"""For an offline job or a trainer: nothing here depends on them."""

IGNORED = (
    "is_cache", "is_multi", "kv_separator", "max_partitions", "filter_freq", "steps_to_live", "normalizer_fn", "extra_combo_info",
)  # fmt: skip
"""For the trainer that wrote the feature: nothing here depends on them."""

VOCABULARIES = ("vocab_list", "vocab_dict", "vocab_file")
ID_BUCKETIZERS = ("hash_bucket_size", "num_buckets", *VOCABULARIES)
SEQUENCE_KEYS = ("is_sequence", "sequence_delim", "sequence_length", "sequence_fields", "sequence_pk")

_COMMON = (
    "feature_name", "feature_type", "value_type", "default_value", "separator", "need_prefix", "value_dim", "stub_type",
    *SEQUENCE_KEYS, "embedding_dim", "embedding_name", "combiner", "group",
)  # fmt: skip
_IDS = ("expression", *ID_BUCKETIZERS, "default_bucketize_value")

TYPE_KEYS = {
    "id_feature": (*_COMMON, *_IDS, "weighted"),
    "raw_feature": (*_COMMON, "expression", "normalizer", "boundaries"),
    "combo_feature": (*_COMMON, *_IDS),
    "overlap_feature": (*_COMMON, "query", "title", "method", "normalizer", "boundaries"),
}

LEGACY_HINTS = {
    "bucketize_boundaries": "write 'boundaries' as a list of numbers",
    "prune_to": "write 'value_dim'",
    "shared_embedding_name": "write 'embedding_name'",
    "invalid_values": "replace such values before",
    "force_prefix_name": "write 'need_prefix'",
}
"""Keys of the engine of 2018-2022 whose meaning is not taken over."""

VALUE_TYPES = ("string", "int32", "int64", "float", "double", "integer")
"""In any case ("String", "Double"). Ids are bucketized by their text and numbers computed as float32 whatever it says."""

COMBINERS = ("sum", "mean", "sqrtn", "max")
SIDES = ("user", "item", "context")

METHODS = (
    "query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of", "proximity_min_cover", "proximity_min_dist",
    "proximity_max_dist", "proximity_avg_dist",
)  # fmt: skip
LEGACY_METHODS = (
    "common_word", "diff_word", "common_word_divided", "diff_word_divided", "diff_both", "match_words", "match_words_divided",
    "hit_ornot",
)  # fmt: skip
