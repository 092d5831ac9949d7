"""text_normalizer: a text with its characters in a common form, then ids as of an id_feature."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from tvm_rank.config.types.text_normalizer import FILTER, HALF_WIDTH, LOWER, SIMPLIFIED, SPLIT_HAN, UPPER, TextNormalizer
from tvm_rank.host.characters import HAN_RANGES, is_special, simplified_characters
from tvm_rank.ops.reference import check_columns, readable, row_texts, split_tokens, text_ids
from tvm_rank.output import FeatureOutput


def reference(feature: TextNormalizer, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Ids (nnz,) int64 and lengths (rows,) int32 of the normalized texts.

    The whole text of a row is normalized, then split at the separators; each element of a list is normalized and not split. A missing
    row has the id of `default_value`, which is not normalized, or none. A stub without a bucketizer, which other features read, has
    whole texts: the reader splits them, and a tokenizer wants them so. `value_dim` has no effect then.

    Raises InputError for a column of another type or length, and for text that is no integer under num_buckets.
    """
    check_columns(feature, columns, rows)
    is_read = feature.stub and feature.yields_texts
    is_whole = is_read or pa.types.is_list(columns[0].type)
    values = []
    for row in range(rows):
        texts = [normalize(feature, readable(text)).encode() for text in row_texts(columns[0], row, ())]
        values.append(texts if is_whole else [part for text in texts for part in split_tokens(text, feature.separators)])
    return text_ids(replace(feature, value_dim=0) if is_read else feature, feature.prefix, values, hash_function)


def normalize(feature: TextNormalizer, text: str) -> str:
    """The text in its common form; as it is when it has more than `max_length` GBK bytes (one for ASCII, two for any other character).

    Each character goes through these steps, those that `parameter` asks for: full width to half width (U+FF01 to U+FF5E, and U+3000 to
    a blank); to lower or upper case, unless that gives several characters; traditional to simplified, by OpenCC's table of characters;
    punctuation, symbols and control characters, or those of `stop_characters`, become a blank. Then `remove_space` drops all blanks, and
    SPLIT_HAN puts a blank between two neighbours of which one is a Han character.
    """
    if feature.max_length and sum(1 if character < "\x80" else 2 for character in text) > feature.max_length:
        return text
    simplified = simplified_characters() if feature.parameter & SIMPLIFIED else {}
    characters = [_mapped(feature, character, simplified) for character in text]
    if feature.remove_space:
        characters = [character for character in characters if not _is_blank(character)]
    if not feature.parameter & SPLIT_HAN:
        return "".join(characters)
    parts = characters[:1]
    for before, character in itertools.pairwise(characters):
        if (_is_han(before) or _is_han(character)) and not _is_blank(before) and not _is_blank(character):
            parts.append(" ")
        parts.append(character)
    return "".join(parts)


def _mapped(feature: TextNormalizer, character: str, simplified: dict[str, str]) -> str:
    parameter = feature.parameter
    if parameter & HALF_WIDTH and "\uff01" <= character <= "\uff5e":
        character = chr(ord(character) - 0xFEE0)
    elif parameter & HALF_WIDTH and character == "\u3000":
        character = " "
    if parameter & (LOWER | UPPER):
        cased = character.lower() if parameter & LOWER else character.upper()
        character = cased if len(cased) == 1 else character
    character = simplified.get(character, character)
    stops = feature.stop_characters
    special = is_special(character) if stops is None else character in stops
    return " " if parameter & FILTER and special else character


def _is_han(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in HAN_RANGES)


def _is_blank(character: str) -> bool:
    return character.isspace() and not "\x1c" <= character <= "\x1f"  # chr(29) separates values
