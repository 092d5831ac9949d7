"""tokenize_feature: two tiny vocabularies, trained here, the variants over them, and named columns."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import pyarrow as pa
import sentencepiece
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from cases.columns import column

SENTENCES = [
    "red cotton shirt",
    "blue cotton dress",
    "red silk dress for summer",
    "新款 连衣裙 夏季",
    "新款 裙子",
    "shirt 100% cotton",
] * 5
SPECIAL = "<|end|>"


def write_models(folder: pathlib.Path) -> pathlib.Path:
    """Write tokenizer.json and spiece.model to the folder."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(vocab_size=320, special_tokens=[SPECIAL], initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.enable_padding(length=16)  # as a trainer may leave it; it must not matter
    tokenizer.save(str(folder / "tokenizer.json"))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=64, minloglevel=2, hard_vocab_limit=False
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    return folder


def _feature(kind: str, **keys: Any) -> dict[str, Any]:
    file = "tokenizer.json" if kind == "bpe" else "spiece.model"
    return {
        "feature_type": "tokenize_feature",
        "expression": "item:text",
        "tokenizer_type": kind,
        "vocab_file": file,
        "output_type": "word_id",
        **keys,
    }


FEATURES: dict[str, dict[str, Any]] = {
    f"{kind}-{name}": _feature(kind, **keys)
    for kind in ("bpe", "sentencepiece")
    for name, keys in {
        "ids": {"default_value": ""},
        "default": {"default_value": "red shirt", "separator": "|"},
        "three": {"value_dim": 3},
        "hashed-ids": {"hash_bucket_size": 50, "need_prefix": True},
        "words": {"output_type": "word", "hash_bucket_size": 1000, "default_value": "dress"},
    }.items()
}

_STRING = pa.string()
COLUMNS: dict[str, pa.Array] = {
    "texts": column([b"red shirt", b"blue dress|red\x1dsilk", None, b"", "连衣裙 abc".encode(), b"red shirt", b" "], _STRING),
    "special": column([SPECIAL.encode(), b"red" + SPECIAL.encode() + b" silk", b"<unk> <s> </s>"], _STRING),
    "no-utf8": column([b"a\xff", b"\xe4\xb8", b"a\0b"], _STRING),
    "integers": column([100, None, -20], pa.int64()),
    "floats": column([1.5, None, 2.0], pa.float64()),
    "no-rows": column([], _STRING),
    "one-for-all": column([b"red dress"], _STRING),
}
