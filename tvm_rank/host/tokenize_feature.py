"""tokenize_feature: the `tokenizers` and `sentencepiece` libraries over the different texts of a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.errors import RankError
from tvm_rank.host.texts import Convert, refuse_long

LIBRARIES = {"bpe": "tokenizers", "sentencepiece": "sentencepiece"}
MAX_TEXT = 1024 * 1024  # bytes; sentencepiece needs 45 s for 10 MB in one text
MAX_MODEL = 256 * 1024 * 1024  # bytes of a vocabulary file


class ModelFileError(Exception):
    """The vocabulary file cannot be read; the text says why."""


def vocabulary_size(tokenizer_type: str, model: bytes) -> int:
    """How many ids the model has (its largest id + 1). Raises ModelFileError, or RankError when the library is not installed."""
    return _LOADERS[tokenizer_type](model)[1]


def opened(parameters: Mapping[str, Any], files: Mapping[str, bytes]) -> Convert:
    """The function texts -> list<int64> of token ids, or list<string> of tokens, one list a text.

    parameters: `tokenizer_type` (bpe, sentencepiece), `output_type` (word_id, word) · files: `vocab_file`.
    """
    encode, _ = _LOADERS[parameters["tokenizer_type"]](files["vocab_file"])
    words = parameters["output_type"] == "word"

    def convert(texts: pa.StringArray) -> pa.ListArray:
        refuse_long(texts, MAX_TEXT, "tokenize_feature")
        tokens = encode(texts.to_pylist(), words)
        offsets = np.zeros(len(tokens) + 1, np.int32)
        np.cumsum([len(row) for row in tokens], out=offsets[1:])
        flat = list(chain.from_iterable(tokens))
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.string() if words else pa.int64()))

    return convert


Encode = Callable[[list[str], bool], Sequence[Sequence[Any]]]


def _load_bpe(model: bytes) -> tuple[Encode, int]:
    tokenizers = _library("tokenizers")
    try:
        tokenizer = tokenizers.Tokenizer.from_str(model.decode())
        tokenizer.no_padding()  # a row must not depend on the others of its batch
        tokenizer.encode_batch_fast(["a b"], add_special_tokens=False)
    except UnicodeDecodeError as error:
        raise ModelFileError(f"not a tokenizer.json: not UTF-8 at byte {error.start}") from error
    except BaseException as error:
        if not _is_failure(error):
            raise
        raise ModelFileError(f"not a tokenizer.json that `tokenizers` reads: {str(error)[:200]}") from error

    def encode(texts: list[str], words: bool) -> Sequence[Sequence[Any]]:
        try:
            batch = tokenizer.encode_batch if words else tokenizer.encode_batch_fast  # which keeps no words
            found = batch(texts, add_special_tokens=False)
        except BaseException as error:
            if not _is_failure(error):
                raise
            raise RankError(f"`tokenizers` failed: {str(error)[:200]}") from error
        return [row.tokens for row in found] if words else [row.ids for row in found]

    return encode, 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)


def _is_failure(error: BaseException) -> bool:
    """True for what the library raises; a panic of Rust code is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _load_sentencepiece(model: bytes) -> tuple[Encode, int]:
    sentencepiece = _library("sentencepiece")
    try:
        processor = sentencepiece.SentencePieceProcessor()
        if not model:
            raise RuntimeError("it is empty")
        processor.LoadFromSerializedProto(model)
        processor.encode(["a b"])
    except (RuntimeError, OSError, ValueError) as error:
        raise ModelFileError(f"not a model that `sentencepiece` reads: {str(error)[:200]}") from error

    def encode(texts: list[str], words: bool) -> Sequence[Sequence[Any]]:
        return processor.encode(texts, out_type=str if words else int)

    return encode, processor.vocab_size()


_LOADERS: Mapping[str, Callable[[bytes], tuple[Encode, int]]] = {"bpe": _load_bpe, "sentencepiece": _load_sentencepiece}


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RankError(f"tokenize_feature needs the package {name!r}; install it: pip install 'tvm-rank[text]'") from error
