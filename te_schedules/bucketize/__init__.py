"""Value -> id, one rule per file."""

from __future__ import annotations

from te_schedules.bucketize import hash_bucket, num_buckets, vocabulary
from te_schedules.tokens import Text

NONE, NUM_BUCKETS, VOCABULARY = "", "num_buckets", "vocabulary"
HASHES = {"hash_std": "std", "hash_farm": "farm"}


def bind_constants(bucketizer: str, scope) -> None:
    """Read the column's constants of the rule before the row loop."""
    if bucketizer in HASHES:
        scope.bind("size", "magic")
    elif bucketizer == NUM_BUCKETS:
        scope.bind("size")
    elif bucketizer == VOCABULARY:
        scope.bind("unknown", "slots_at", "slots_count", "words_at")


def emit_text_id(bucketizer: str, scope, text: Text, row):
    """The id (int64) of a text by the rule of that name."""
    if bucketizer in HASHES:
        return hash_bucket.emit(scope, text, HASHES[bucketizer])
    if bucketizer == NUM_BUCKETS:
        return num_buckets.emit(scope, text, row)
    return vocabulary.emit(scope, text)
