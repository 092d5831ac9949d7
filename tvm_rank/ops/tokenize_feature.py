"""tokenize_feature: the tokens of a text, as ids of the vocabulary or as words that are bucketized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import pyarrow as pa

from tvm_rank.config.types.tokenize_feature import TokenizeFeature
from tvm_rank.errors import InputError
from tvm_rank.ops.reference import check_columns, readable, row_texts, text_ids
from tvm_rank.output import FeatureOutput


def reference(feature: TokenizeFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32.

        default "xyz":   "abc efg" · null   ->   values = [19758 299 16054 35609]   lengths = [3 1]

    The text of a row is tokenized by the vocabulary alone: nothing is added before or behind it, and no token of a special name in the
    text is lost. A column of lists is refused. Bytes that are no UTF-8 are read as U+FFFD. A missing row has the
    tokens of `default_value`, or none. `value_dim` k > 0 keeps the first k ids. Each token is the id that the vocabulary gives it, or
    what the bucketizer makes of prefix + its text.

    Raises InputError for a column of another type or length.
    """
    check_columns(feature, columns, rows)
    if pa.types.is_list(columns[0].type):
        raise InputError(
            f"feature {feature.name!r}: got {columns[0].type}; tokenize_feature takes one text a row; join the texts before"
        )
    encode = _encoder(feature.tokenizer_type, feature.output_type, feature.model)
    tokens = []
    for row in range(rows):
        (text,) = row_texts(columns[0], row, ()) or [feature.default_value.encode()]
        tokens.append(encode(readable(text)) if text else [])
    return text_ids(feature, feature.prefix, tokens, hash_function, has_default=False)


@lru_cache(maxsize=8)
def _encoder(tokenizer_type: str, output_type: str, model: bytes) -> Callable[[str], list[bytes]]:
    """text -> tokens, as decimal numbers or as words."""
    if tokenizer_type == "bpe":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(model.decode())
        tokenizer.no_padding()

        def encode(text: str) -> list:
            found = tokenizer.encode(text, add_special_tokens=False)
            return found.tokens if output_type == "word" else found.ids

    else:
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_proto=model)

        def encode(text: str) -> list:
            return processor.encode(text, out_type=str if output_type == "word" else int)

    return lambda text: [str(token).encode() for token in encode(text)]
