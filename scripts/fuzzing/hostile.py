"""Every feature type over columns of its own, and rows that a hostile client may send in any of them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

HASHED = {"hash_bucket_size": 500, "separator": "|", "embedding_dim": 4, "embedding_name": "t", "combiner": "sum"}
SEQUENCE = {"sequence_delim": ";", "sequence_length": 8}
TYPES: dict[str, dict[str, Any]] = {
    "id": {"feature_type": "id_feature", "expression": "item:id_a", "weighted": True} | HASHED,
    "raw": {"feature_type": "raw_feature", "expression": "item:raw_a", "normalizer": "method=log10"},
    "combo": {"feature_type": "combo_feature", "expression": ["user:combo_a", "item:combo_b"]} | HASHED,
    "ratio": {"feature_type": "overlap_feature", "query": "user:ratio_a", "title": "item:ratio_b", "method": "query_common_ratio",
              "separator": "|"},
    "cover": {"feature_type": "overlap_feature", "query": "user:cover_a", "title": "item:cover_b", "method": "proximity_min_cover",
              "separator": "|"},
    "look": {"feature_type": "lookup_feature", "map": "user:look_a", "key": "item:look_b", "combiner": "mean", "separator": "|"},
    "match": {"feature_type": "match_feature", "user": "user:match_a", "category": "ALL", "item": "item:match_b",
              "matchType": "multihit", "needDiscrete": True} | HASHED,
    "dot": {"feature_type": "kv_dot_product", "query": "user:dot_a", "document": "item:dot_b", "separator": "|"},
    "formula": {"feature_type": "expr_feature", "expression": "reduce_sum(formula_a * formula_b)",
                "variables": ["user:formula_a", "item:formula_b"], "separator": "|"},
    "combined": {"feature_type": "combine_feature", "expression": "item:combined_a", "separator": "|"},
    "masked": {"feature_type": "bool_mask_feature", "expression": ["item:masked_a", "item:masked_b"]} | HASHED,
    "cut": {"feature_type": "slice_feature", "expression": "item:cut_a", "start": -2} | HASHED,
    "typo": {"feature_type": "custom_feature", "operator_name": "EditDistance", "expression": ["user:typo_a", "item:typo_b"]},
    "replaced": {"feature_type": "regex_replace_feature", "expression": "item:replaced_a", "regex_pattern": "(a+)+$"} | HASHED,
    "normal": {"feature_type": "text_normalizer", "expression": "item:normal_a"} | HASHED,
    "tokens": {"feature_type": "tokenize_feature", "expression": "item:tokens_a", "vocab_file": "tokenizer.json", "embedding_dim": 4,
               "embedding_name": "t", "combiner": "sum"},
    "clicks": {"feature_type": "sequence_id_feature", "expression": "item:clicks_a"} | SEQUENCE | HASHED,
    "prices": {"feature_type": "sequence_raw_feature", "expression": "item:prices_a"} | SEQUENCE,
    "likes": {"feature_type": "sequence_lookup_feature", "map": "item:likes_a", "key": "item:likes_b"} | SEQUENCE,
}  # fmt: skip
NUMBERS = ("raw", "ratio", "cover", "look", "dot", "formula", "combined", "typo")
SEQUENCES = {"clicks": 4, "prices": 1, "likes": 1}


def configuration(names: Iterable[str] = tuple(TYPES)) -> dict[str, Any]:
    """A configuration of these features of TYPES."""
    return {"features": [{"feature_name": name, **TYPES[name]} for name in names]}


def inputs_of(name: str) -> list[str]:
    """The columns of a feature of TYPES, with their sides."""
    keys = TYPES[name]
    found: list[str] = []
    for key in ("map", "key", "query", "document", "title", "user", "item", "variables", "expression"):
        value = keys.get(key, [])
        found += [v for v in (value if isinstance(value, list) else [value]) if v.split(":")[0] in ("user", "item")]
    return list(dict.fromkeys(found))


def shape_of(name: str) -> Any:
    """The width of a feature as a model input."""
    if name in SEQUENCES:
        return (SEQUENCE["sequence_length"], SEQUENCES[name])
    return 1 if name in NUMBERS else 4


def write_tokenizer(folder: pathlib.Path) -> None:
    """The file of `tokens`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"?": 0, "a": 1, "x": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def calls(name: str, columns: Mapping[str, pa.Array]) -> Iterator[tuple[str, dict[str, pa.Array], dict[str, pa.Array]]]:
    """(what is hostile, user columns, item columns): each row in each input of a feature by itself, the others harmless, and in all."""
    inputs = [entry.split(":") for entry in inputs_of(name)]
    places = [(column,) for _, column in inputs]
    if len(inputs) > 1:
        places.append(tuple(column for _, column in inputs))
    for what, hostile in columns.items():
        for place in places:
            given = {
                side: {c: hostile if c in place else pa.array(["a"]) for s, c in inputs if s == side} for side in ("user", "item")
            }
            yield f"{what} in {' and '.join(place)}", given["user"], given["item"]


def rows(size: int) -> Mapping[str, Callable[[], pa.Array]]:
    """Hostile rows by name, each a column of one row of about `size` bytes or size / 10 values (at 10,000,000: 10 MB, a million)."""
    values, entries = size // 10, size // 100

    def words() -> list[str]:
        return [f"a{k % 5000}" for k in range(values)]

    def numbers() -> list[str]:
        return [str(k % 977) for k in range(values)]

    pairs = [f"k{k}:{k % 7}.5" for k in range(entries)]
    texts = {
        "one word": lambda: "x" * size,
        "digits": lambda: "1" * size,
        "separators": lambda: "|" * size,
        "default separators": lambda: "\x1d" * size,
        "delimiters": lambda: ";" * size,
        "blanks": lambda: " " * size,
        "words": lambda: "|".join(words()),
        "numbers": lambda: "|".join(numbers()),
        "few words between separators": lambda: ("|" * (size // 100) + "a") * 100,
        "pairs": lambda: "\x1d".join(pairs),
        "equal keys": lambda: "\x1d".join(["k:1"] * entries),
        "groups": lambda: "|".join(f"c{k}^i:1,j:2" for k in range(entries)),
        "letters that repeat": lambda: "a" * (size - 1) + "!",
    }
    made = {name: (lambda text=text: pa.array([text()], pa.string())) for name, text in texts.items()}
    return made | {
        "list of words": lambda: pa.array([words()], pa.list_(pa.string())),
        "list of empty texts": lambda: pa.array([[""] * values], pa.list_(pa.string())),
        "list of nulls": lambda: pa.array([[None] * values], pa.list_(pa.string())),
        "list of floats": lambda: pa.array([[k / 7 for k in range(values)]], pa.list_(pa.float64())),
        "list of integers": lambda: pa.array([list(range(values))], pa.list_(pa.int64())),
        "map of texts": lambda: pa.array([[(f"k{k}", f"i:{k}") for k in range(entries)]], pa.map_(pa.string(), pa.string())),
        "map of numbers": lambda: pa.array([[(k, float(k)) for k in range(entries)]], pa.map_(pa.int64(), pa.float64())),
        "map of one key": lambda: pa.array([[("k", 1.0)] * entries], pa.map_(pa.string(), pa.float64())),
    }
