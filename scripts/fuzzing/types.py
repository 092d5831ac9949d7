"""For every feature type: a random configuration, and the columns that such features read."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from fuzzing import columns as arrow
from fuzzing.vocabularies import BPE, PIECES

Draw = random.Random
Keys = dict[str, Any]
Columns = dict[str, pa.Array]

HASHES = {"std", "farm"}
LIBM = ("sin", "cos", "exp", "log", "tanh", "atan", "sigmoid", "log10", "cosh", "asinh")
VECTORS = ("len", "l2_norm", "squared_norm", "std_dev", "pop_std_dev", "variance", "pop_variance", "reduce_min", "reduce_max",
           "reduce_sum", "reduce_mean", "reduce_prod")  # fmt: skip
SHORT = ("a", "ab", "ba", "abc|bc", "裙子", "连衣裙", "é|e", "kitten", "sitting|sit", "🙂b")
OPERATORS = ("+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!=", "&&", "||", "&", "|")


def _some(draw: Draw, keys: Keys) -> Keys:
    """Each key with a chance of a half."""
    return {key: value for key, value in keys.items() if draw.random() < 0.5}


def _ids(draw: Draw, *, integers: bool = False) -> Keys:
    """A bucketizer of ids and what goes with it. `integers`: num_buckets, for texts that are integers."""
    if integers:
        return {"num_buckets": draw.choice([1, 10, 2**62])} | _some(draw, {"default_value": "3", "value_dim": 2})
    words = draw.sample(arrow.WORDS, 8)
    bucketizer = draw.choice([
        {"hash_bucket_size": draw.choice([1, 7, 1000, 2**40 + 1, 2**63 - 1])},
        {"hash_bucket_size": 2**63 - 1},
        {"vocab_list": words, "default_bucketize_value": draw.randrange(99)},
        {"vocab_dict": {text: draw.randrange(2**40) for text in words}, "default_bucketize_value": 5},
    ])  # fmt: skip
    more = {"default_value": draw.choice(["a", "a|b", "7"]), "need_prefix": True, "value_dim": draw.randint(1, 3)}
    return bucketizer | _some(draw, more)


def _numbers(draw: Draw) -> Keys:
    """Normalizer, boundaries, default. The normalizers have one right result."""
    normalizer = draw.choice([
        "method=minmax,min=-1,max=3.3", "method=zscore,mean=0.1,standard_deviation=0.3", "method=expression,expr=x>16?16:x*2-1/4",
    ])  # fmt: skip
    limits = sorted(draw.choice([-1e30, -1.0, 0.0, 0.1, 0.5, 1.0, 2.0, 7.0, 1e30]) for _ in range(draw.randint(1, 9)))
    keys = _some(draw, {"normalizer": normalizer, "boundaries": limits, "default_value": draw.choice(["1.5", "-2"])})
    if "boundaries" in keys and draw.randrange(3) == 0:
        keys["default_value"] = ""
    return keys


def _separated(draw: Draw) -> Keys:
    return {"separator": "|"} if draw.randrange(4) else {}


# ---------------------------------------------------------------- formulas


def formula(draw: Draw, depth: int, leaves: tuple[str, ...]) -> str:
    """A formula of operations that have one right result in float64."""
    kind = draw.randrange(9) if depth else 0
    if kind < 2:
        return draw.choice((*leaves, *leaves, "0", "1", "2.5", "_e", "1e-3"))
    inner = [formula(draw, depth - 1, leaves) for _ in range(3)]
    if kind == 2:
        return f"({draw.choice(['-', '!', 'abs', 'sign', 'floor', 'ceil', 'trunc', 'rint', 'round', 'sqrt', 'isnan'])}({inner[0]}))"
    if kind == 3:
        return f"({inner[0]} ? {inner[1]} : {inner[2]})"
    if kind == 4:
        return f"{draw.choice(['min', 'max', 'sum', 'avg'])}({', '.join(inner[: draw.randint(1, 3)])})"
    return f"mod({inner[0]}, {inner[1]})" if kind == 5 else f"({inner[0]} {draw.choice(OPERATORS)} {inner[1]})"


def _typed(draw: Draw) -> Keys:
    """Bits of floats, integers or boundaries, for any number of values."""
    kind = draw.randrange(4)
    if kind == 0:
        return _numbers(draw) | {"boundaries": [-1, 0, 0.5, 3], "value_dim": 0}
    if kind == 1:
        return {"num_buckets": draw.choice([10, 2**62]), "value_dim": 0, "value_type": draw.choice(["int32", "int64"])}
    value_type = draw.choice(["float", "double"])
    return {"hash_bucket_size": 2**63 - 1, "value_dim": 0, "value_type": value_type} | _some(draw, {"default_value": ""})


def expr_feature(draw: Draw) -> Keys:
    """Element by element, over vectors, with a function of the C library outside, or over numbers that rows have one or none of."""
    kind = draw.randrange(7)
    keys: Keys = _some(draw, {"fill_missing": draw.choice([0, -1.5])}) | {"separator": "|"}
    if kind < 2:
        names, text = ("x1", "x2", "x3"), formula(draw, 5, ("x1", "x2", "x3"))
        keys |= _typed(draw)
    elif kind < 4:
        inside = (f"{draw.choice(VECTORS)}({formula(draw, 2, ('x1', 'x2'))})", f"dot(x1, {formula(draw, 1, ('x1', 'x2'))})")
        names, text = ("x1", "x2", "one"), formula(draw, 3, (*inside, "one"))
        keys |= _typed(draw)
    elif kind < 5:
        names, text = ("one", "two"), f"{draw.choice(LIBM)}({formula(draw, 2, ('one', 'two'))})"
    else:
        names = tuple(draw.sample(("one", "two", "r1"), 3))
        text = formula(draw, 2, names)
    return keys | {"expression": text, "variables": [f"item:{name}" for name in names]}


# ---------------------------------------------------------------- the types


def _match(draw: Draw) -> Keys:
    sides = {"user": "user:nested", "category": draw.choice(["item:t1", "ALL"]), "item": draw.choice(["item:t2", "ALL"])}
    kind = draw.choice([{"matchType": "hit"}, {"matchType": "multihit"}])
    values = _numbers(draw) if draw.random() < 0.5 else _ids(draw) | _some(draw, {"show_category": True, "show_item": True})
    return sides | kind | values | _separated(draw)


def _lookup(draw: Draw) -> Keys:
    keys = {"map": "user:map", "key": "item:t1"} | _separated(draw)
    if draw.random() < 0.5:
        more = {"combiner": draw.choice(["sum", "mean", "min", "max", "count", "gap_min", "gap_max"])}
        return keys | more | _numbers(draw)
    ids = {key: value for key, value in _ids(draw).items() if key != "value_dim"}
    return keys | ids | {"needDiscrete": True} | _some(draw, {"needKey": True, "default_lookup_value": "a"})


def _custom(draw: Draw) -> Keys:
    """A function that ships, or one of `fuzzing/functions.py`."""
    name = draw.choice(["EditDistance", "SeqExpr", "clipped", "shared", "initials", "polynomial_hash", "steps"])
    number = _some(draw, {"default_value": "7", "boundaries": [0, 1.5, 3, 9]})
    if name == "EditDistance":
        keys: Keys = {
            "expression": ["item:short", "user:other"],
            "value_type": "int32",
            "encoding": draw.choice(["utf-8", "latin"]),
        } | number
    elif name == "SeqExpr":
        keys = {"expression": ["item:one", "item:two"], "formula": formula(draw, 4, ("one", "two"))} | number
    elif name == "clipped":
        keys = {"expression": ["item:one", "user:two"]} | _some(draw, {"low": -5, "high": 0.5}) | _numbers(draw)
    elif name == "shared":
        keys = {"expression": ["user:t1", "item:t2"]} | _some(draw, {"weight": 3}) | number
    elif name == "initials":
        keys = {"expression": "item:utf8"} | _some(draw, {"most": 1}) | _ids(draw)
    elif name == "polynomial_hash":
        keys = {"expression": "item:t1"} | draw.choice([{"num_buckets": 100}, {"hash_bucket_size": 2**63 - 1}]) | {"value_dim": 0}
    else:
        keys = {"expression": "item:x1", "value_dim": 0, "boundaries": [-1, 0, 1]}
    return {"operator_name": name} | keys | ({"separator": "|"} if name != "initials" else {})


def _tokens(draw: Draw) -> Keys:
    kind = draw.choice([{"vocab_file": BPE}, {"vocab_file": PIECES, "tokenizer_type": "sentencepiece"}])
    more = _ids(draw) if draw.random() < 0.5 else _some(draw, {"value_dim": 2, "default_value": draw.choice(["ab 7", ""])})
    if "hash_bucket_size" in more:
        more |= _some(draw, {"output_type": "word"})
    return {"expression": "item:utf8"} | kind | more


CONFIGURATIONS: dict[str, Callable[[Draw], Keys]] = {
    "id_feature": lambda d: {"expression": "item:t1"} | _ids(d) | _some(d, {"weighted": True}) | _separated(d),
    "raw_feature": lambda d: {"expression": "item:r1"} | _numbers(d) | {"separator": "|"},
    "combo_feature": lambda d: {"expression": ["item:t1", "user:t2"]} | _ids(d) | _separated(d),
    "overlap_feature": lambda d: {"query": "user:t1", "title": "item:t2", "method": d.choice([
        "query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of", "proximity_min_cover",
        "proximity_min_dist", "proximity_max_dist", "proximity_avg_dist"])} | _numbers(d) | _separated(d),
    "lookup_feature": _lookup,
    "match_feature": _match,
    "kv_dot_product": lambda d: {"query": "user:weights", "document": "item:pairs"} | _numbers(d),
    "expr_feature": expr_feature,
    "combine_feature": lambda d: {"expression": "item:t1", "separator": "|", "combiner": d.choice(
        ["sum", "mean", "min", "max", "count", "gap_min", "gap_max"])} | _some(d, {"value_map": {"a": 1.5, "b": -2, "7": 1e300}})
        | d.choice([_numbers(d), {"num_buckets": 100}]),
    "bool_mask_feature": lambda d: {"expression": ["item:t1", "item:mask"], "separator": "|"} | _ids(d),
    "slice_feature": lambda d: {"expression": "item:t1", "start": d.randint(-3, 3), "unit": d.choice(["value", "character"])}
        | _some(d, {"end": d.randint(-3, 3)}) | _ids(d) | _separated(d),
    "regex_replace_feature": lambda d: {"expression": "item:utf8", "regex_pattern": d.choice(["a+", "(.)b", "[0-9]", ["x", "价"]]),
        "replacement": d.choice(["", "Z", "-"])} | _ids(d) | _some(d, {"replace_all": False, "icase": True}),
    "text_normalizer": lambda d: {"expression": "item:utf8", "parameter": d.choice([2, 4, 8, 12, 32, 60, 512, 556])} | _ids(d),
    "custom_feature": _custom,
    "tokenize_feature": _tokens,
    "integer ids": lambda d: {"feature_type": "id_feature", "expression": "item:integers", "separator": "|"} | _ids(d, integers=True),
}  # fmt: skip
"""By name, which is the feature type unless the configuration says another."""


def batch(draw: Draw, rows: int) -> Columns:
    """The columns of all configurations."""
    counts = [draw.choice([1, 2, 3, 3, 70 if draw.randrange(20) == 0 else 2]) for _ in range(rows)]
    numbers = {name: arrow.values(draw, rows, text=arrow.numeric_text, counts=counts) for name in ("x1", "x2", "x3")}
    ones = {
        name: arrow.values(draw, rows, text=lambda d: arrow.numeric_text(d) or b"0", counts=[1] * rows)
        for name in ("one", "two", "r1")
    }

    def utf8() -> pa.Array:
        return pa.array(
            [draw.choice([None, "", " ".join(draw.choices(arrow.WORDS, k=draw.randint(1, 4)))]) for _ in range(rows)], pa.string()
        )

    def short() -> pa.Array:
        return pa.array([draw.choice([None, "", *SHORT]) for _ in range(rows)], pa.string())

    return numbers | ones | {
        "t1": arrow.values(draw, rows),
        "t2": arrow.values(draw, rows),
        "mask": arrow.values(draw, rows, text=lambda d: d.choice([b"true", b"True", b"1", b"0", b"false", b"", b"x"])),
        "map": arrow.maps(draw, rows, numeric=False),
        "weights": arrow.maps(draw, rows, numeric=True),
        "pairs": arrow.maps(draw, rows, numeric=True),
        "nested": arrow.column(draw, rows, arrow.TEXT, lambda _r: arrow.nested(draw)),
        "integers": arrow.column(draw, rows, arrow.TEXT, lambda _r: b"|".join(arrow.integer_text(draw) for _ in range(draw.randrange(4)))),
        "utf8": utf8(),
        "short": short(),
        "other": short(),
    }  # fmt: skip
