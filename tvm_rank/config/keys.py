"""The keys of fg.json that all feature types share, and other spellings of keys. What one type adds is in `config/types/<type>.py`."""

from __future__ import annotations

KNOWN_TYPES = (
    "id_feature", "raw_feature", "combo_feature", "overlap_feature",
    "expr_feature", "combine_feature", "lookup_feature", "match_feature", "kv_dot_product", "bool_mask_feature",
    "regex_replace_feature", "text_normalizer", "tokenize_feature", "bm25_feature", "slice_feature", "custom_feature",
    "sid_feature", "lookup_feature_v2", "lookup_feature_v3", "lookup_feature_btree", "gbdt_feature",
)  # fmt: skip
"""All feature types that engines of this family have; `config.types.TYPES` are those that are built."""

REASONS = {
    "bm25_feature": "neither its keys nor the source of its corpus statistics are public, so a guess would give other scores; compute the "
    "score before, and read it as a raw_feature",
}
"""Why a type is not built."""

ALIASES = {
    "value_dimension": "value_dim",
    "needPrefix": "need_prefix",
    "embedding_dimension": "embedding_dim",
    "shared_name": "embedding_name",
    "needDiscrete": "need_discrete",
    "needKey": "need_key",
    "needWeighting": "need_weighting",
    "matchType": "match_type",
    "showCategory": "show_category",
    "showItem": "show_item",
    "pruneLimit": "prune_limit",
    "pruneRight": "prune_right",
    "needSort": "need_sort",
    "needDense": "need_dense",
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
    "use_embedding_variable",
)  # fmt: skip
"""For the trainer that wrote the feature: nothing here depends on them."""

VOCABULARIES = ("vocab_list", "vocab_dict", "vocab_file")
ID_BUCKETIZERS = ("hash_bucket_size", "num_buckets", *VOCABULARIES)
SEQUENCE_KEYS = ("is_sequence", "sequence_delim", "sequence_length", "sequence_fields", "sequence_pk")

COMMON = (
    "feature_name", "feature_type", "value_type", "default_value", "separator", "need_prefix", "value_dim", "stub_type",
    *SEQUENCE_KEYS, "embedding_dim", "embedding_name", "combiner", "group",
)  # fmt: skip
"""Keys that every feature type takes."""
IDS = (*ID_BUCKETIZERS, "default_bucketize_value")
"""Keys of the types whose values are texts that become ids."""
NUMBERS = ("normalizer", "boundaries")
"""Keys of the types whose values are numbers."""

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
SIDES = ("user", "item", "context", "feature", "const")
