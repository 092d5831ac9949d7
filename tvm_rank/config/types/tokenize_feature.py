"""tokenize_feature in fg.json: a text becomes the tokens of a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config.bucketizer import read_id_bucketizer
from tvm_rank.config.files import read_file
from tvm_rank.config.inputs import DEFAULT_SEPARATOR, read_field
from tvm_rank.config.keys import ID_BUCKETIZERS, IDS
from tvm_rank.config.outputs import read_embedding
from tvm_rank.config.reader import Section
from tvm_rank.config.spec import Bucketizer, Feature, NumBuckets
from tvm_rank.errors import RankError

KEYS = ("expression", "vocab_file", "tokenizer_type", "output_type", "output_delim", *IDS)
TOKENIZER_TYPES = ("bpe", "sentencepiece")
BUCKETIZERS = tuple(key for key in ID_BUCKETIZERS if key != "vocab_file")  # which names the tokenizer's vocabulary here
OUTPUT_TYPES = ("word_id", "word")


@dataclass(frozen=True, kw_only=True)
class TokenizeFeature(Feature):
    """tokenize_feature: the tokens of a text by the `model` (contents of the vocabulary file), as ids or as words.

    Ids (`output_type` word_id) are the ids of the feature, unless another bucketizer is given; words need one. `default_value` is a text
    that is tokenized like any other. `output_delim` joins the tokens where another library feature reads them as one text. `prefix` is
    put before each token ("" or "<name>_").
    """

    stem: ClassVar[str] = "tokenize_feature"

    tokenizer_type: str
    output_type: str
    output_delim: str
    model: bytes = field(repr=False)
    prefix: str = ""


def read(section: Section, common: dict[str, Any], base_dir: Path) -> TokenizeFeature:
    """The feature."""
    tokenizer_type = section.choice("tokenizer_type", TOKENIZER_TYPES, "bpe")
    output_type = section.choice("output_type", OUTPUT_TYPES, "word_id")
    model, size = _model(section, base_dir, tokenizer_type)
    prefix = section.boolean("need_prefix", False)
    return TokenizeFeature(
        **common,
        bucketizer=_bucketizer(section, base_dir, NumBuckets(size=size) if output_type == "word_id" else None),
        default_value=section.text("default_value", "0"),
        value_dim=section.integer("value_dim", minimum=0, default=0),
        prefix=f"{common['name']}_" if prefix else "",
        embedding=read_embedding(section, common["name"]),
        fields=read_field(section, "expression"),
        tokenizer_type=tokenizer_type,
        output_type=output_type,
        output_delim=section.text("output_delim", DEFAULT_SEPARATOR),
        model=model,
    )


def _bucketizer(section: Section, base_dir: Path, own: NumBuckets | None) -> Bucketizer | None:
    """The bucketizer; without one, the vocabulary's `own` ids."""
    if own is not None and not any(key in section for key in BUCKETIZERS):
        return own
    return read_id_bucketizer(section, base_dir, joined=False, keys=BUCKETIZERS)


def _model(section: Section, base_dir: Path, tokenizer_type: str) -> tuple[bytes, int]:
    """(contents of the vocabulary file, its count of ids); (b"", 1) when it is wrong."""
    from tvm_rank.host.tokenize_feature import MAX_MODEL, ModelFileError, vocabulary_size

    if not section.required_text("vocab_file", "name the tokenizer.json or sentencepiece model"):
        return b"", 1
    contents = read_file(section, "vocab_file", base_dir, limit=MAX_MODEL)
    if contents is None:
        return b"", 1
    try:
        return contents, max(1, vocabulary_size(tokenizer_type, contents))
    except (ModelFileError, RankError) as error:
        section.problem("vocab_file", str(error))
    return b"", 1
