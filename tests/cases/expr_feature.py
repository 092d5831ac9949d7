"""expr_feature: its variants, random formulas, and named columns.

Fields: `a`, `b`, `c` of any type, whose formulas go element by element; `u`, `v` vectors, and `s` a number.
"""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from cases.columns import column

ELEMENTS, VECTORS = ("a", "b", "c"), ("u", "v")
ALL_BITS = {"hash_bucket_size": 2**63 - 1, "value_dim": 0, "default_value": ""}
BOUNDARIES = {"boundaries": [-1e30, -1, -1, 0, 0.05, 0.1, 0.5, 1, 2, 16, 1e30]}

UNARY = (
    "-{}",
    "!{}",
    "+{}",
    "abs({})",
    "sign({})",
    "floor({})",
    "ceil({})",
    "trunc({})",
    "rint({})",
    "round({})",
    "sqrt({})",
    "isnan({})",
)
BINARY = ("||", "&&", "|", "&", "<=", ">=", "!=", "==", ">", "<", "+", "-", "*", "/")
FOLDS = ("min", "max", "sum", "avg")
LIBM = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "log2", "log10", "log", "ln", "exp",
        "sigmoid")  # fmt: skip
VECTOR_FUNCTIONS = ("len", "l2_norm", "squared_norm", "std_dev", "pop_std_dev", "variance", "pop_variance", "reduce_min", "reduce_max",
                    "reduce_sum", "reduce_mean", "reduce_prod")  # fmt: skip


def random_formula(draw: random.Random, depth: int, leaves: tuple[str, ...]) -> str:
    """A formula of operations that have one right result in float64; `leaves` are variables or other formulas."""
    kind = draw.randrange(10) if depth else 0
    if kind <= 1:
        return draw.choice((*leaves, *leaves, "0", "1", "2.5", "_pi", "1e-3", "7"))

    def inner() -> str:
        return random_formula(draw, depth - 1, leaves)

    if kind == 2:
        return "(" + draw.choice(UNARY).format(f"({inner()})") + ")"
    if kind == 3:
        return f"({inner()} ? {inner()} : {inner()})"
    if kind == 4:
        return f"{draw.choice(FOLDS)}({', '.join(inner() for _ in range(draw.randint(1, 4)))})"
    if kind == 5:
        return f"mod({inner()}, {inner()})"
    same = inner()
    right = same if draw.randrange(6) == 0 else inner()  # x - x is NaN where x is infinite
    return f"({same} {draw.choice(BINARY)} {right})"


def _feature(formula: str, variables: tuple[str, ...], *parts: dict[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {"feature_type": "expr_feature", "expression": formula, "separator": "|"}
    keys["variables"] = [f"item:{name}" for name in variables]
    for part in parts:
        keys |= part
    return keys


def _random_features(seed: int) -> dict[str, dict[str, Any]]:
    draw = random.Random(seed)
    features = {}
    for k in range(24):
        formula = random_formula(draw, 5, ELEMENTS)
        fill = {} if k % 3 else {"fill_missing": draw.choice([0, -1.5, "2.5"])}
        features[f"elements{k}"] = _feature(formula, ELEMENTS, ALL_BITS, fill, {"value_type": "double"} if k % 4 == 0 else {})
    for k in range(16):
        inside = tuple(
            draw.choice(
                [
                    f"{draw.choice(VECTOR_FUNCTIONS)}({random_formula(draw, 2, VECTORS)})",
                    f"dot({random_formula(draw, 1, VECTORS)}, v)",
                ]
            )
            for _ in range(2)
        )
        features[f"vectors{k}"] = _feature(random_formula(draw, 3, (*inside, "s")), (*VECTORS, "s"), ALL_BITS)
    return features


ELEMENT_FEATURES: dict[str, dict[str, Any]] = {
    "sum": _feature("a + b * c", ELEMENTS, ALL_BITS),
    "one": _feature("a", ("a",), ALL_BITS),
    "unused": _feature("a", ELEMENTS, ALL_BITS),
    "constant": _feature("2 + 3", ("a",), ALL_BITS),
    "filled": _feature("a - b", ("a", "b"), {"fill_missing": 7}, ALL_BITS),
    "filledforall": _feature(
        "a - b", ("a", "b"), {"fill_missing": "nan", "default_value": "1"}, ALL_BITS, {"default_value": "0.25"}
    ),
    "bucket": _feature("a / b", ("a", "b"), BOUNDARIES, {"value_dim": 0}),
    "bucketless": _feature("a / b", ("a", "b"), BOUNDARIES, {"value_dim": 0, "default_value": ""}),
    "integer": _feature("a * 3", ("a",), {"num_buckets": 1000, "value_dim": 0, "default_value": "12"}),
    "int32": _feature("a * 1e5", ("a",), {"num_buckets": 2**62, "value_type": "int32", "value_dim": 0, "default_value": ""}),
    "normalized": _feature("a", ("a",), {"normalizer": "method=zscore,mean=0.1,standard_deviation=0.3"}, ALL_BITS),
    "normalizeddouble": _feature("a", ("a",), {"normalizer": "method=minmax,min=-1,max=3", "value_type": "double"}, ALL_BITS),
    "normalizedint": _feature("a", ("a",), {"normalizer": "method=minmax,min=0,max=0.01", "num_buckets": 9999, "value_dim": 0}),
    "formula": _feature("a", ("a",), {"normalizer": "method=expression,expr=x>16?16:x*2"}, BOUNDARIES, {"value_dim": 0}),
}
VECTOR_FEATURES: dict[str, dict[str, Any]] = {
    "dot": _feature("dot(u, v)", VECTORS, ALL_BITS),
    "corr": _feature("corr(u, v)", VECTORS, ALL_BITS),
    "distance": _feature("euclid_dist(u, v) + s", (*VECTORS, "s"), ALL_BITS),
    "nested": _feature("reduce_max(abs(u - reduce_mean(u)))", ("u",), ALL_BITS),
    "lengths": _feature("len(u) * 1000 + len(u + v) / s", (*VECTORS, "s"), ALL_BITS),
    "numbers": _feature("dot(u, 2) + reduce_sum(3) + dot(s, v)", (*VECTORS, "s"), ALL_BITS),
    "filledvector": _feature("reduce_sum(u) - s", ("u", "s"), {"fill_missing": 3}, ALL_BITS),
    "dense": _feature("dot(u, v)", VECTORS, {"default_value": "-1.5"}),
    **{function: _feature(f"{function}(u)", ("u",), ALL_BITS) for function in VECTOR_FUNCTIONS},
}
FEATURES = ELEMENT_FEATURES | VECTOR_FEATURES | _random_features(7)
DENSE: dict[str, dict[str, Any]] = {
    **{f"{k}": _feature(random_formula(random.Random(k), 4, ELEMENTS), ELEMENTS) for k in range(8)},
    **{name: _feature(f"{name}({random_formula(random.Random(k), 2, ELEMENTS)})", ELEMENTS) for k, name in enumerate(LIBM)},
    "power": _feature("abs(a) ^ b", ELEMENTS),
    "roundp": _feature("roundp(a, 2)", ELEMENTS),
    "sphere": _feature("sphere_dist(a, b, c, 20)", ELEMENTS),
    "haversine": _feature("haversine(a, b, c, 20)", ELEMENTS),
    "truncated": _feature("a * 10", ELEMENTS, {"value_type": "int64", "default_value": "-2"}),
    "filled": _feature("a + b", ("a", "b"), {"fill_missing": 5}),
}

_TEXT = pa.string()
_LIST = pa.list_(pa.float64())
_NAN, _INF = float("nan"), float("inf")
_MANY = [k / 7 - 5 for k in range(200)]


def _even(width: int, rows: int, kind: pa.DataType) -> pa.Array:
    """Vectors of one length."""
    numbers = [-0.0, _NAN, 3.25, *_MANY] if pa.types.is_floating(kind) else range(-70, 70)
    return column([[numbers[(7 * row + 3 * k) % len(numbers)] for k in range(width)] for row in range(rows)], pa.list_(kind))


_SOME = [None if row == 5 else row / 3 for row in range(130)]
_TEXTS = [b"1", b"-1.5", b"|2|", b"x", b"", None, b"nan", b"1e400", b"0x1", b"1|2|x", b"-0", b"3\x1d4||5"]
# a, b, c
ELEMENT_COLUMNS: dict[str, tuple[pa.Array, ...]] = {
    "numbers": (
        column([1.5, -0.0, None, _NAN, _INF, -_INF, 1e300], pa.float64()),
        column([2, -3, 0, 4, None, 6, 2**31 - 1], pa.int32()),
        column([0.1, 0.2, 0.3, None, 1e-40, 3e38, -1.0], pa.float32()),
    ),
    "int64-keeps-its-digits": (column([2**53, 2**60 + 1], pa.int64()), column([1], pa.int64()), column([1], pa.int64())),
    "texts": (column(_TEXTS, _TEXT), column([2.5], pa.float32()), column([b"10"], _TEXT)),
    "a-text-for-all": (column([b"1|2|3"], _TEXT), column([1.0, None, 3.0], pa.float64()), column([4, 5, 6], pa.int64())),
    "a-null-for-all": (column([None], _TEXT), column([1.0, None], pa.float64()), column([4, 5], pa.int64())),
    "lists": (
        column([[1.0, None, 3.0], [], None, [2.0]], _LIST),
        column([[7, 8, 9], [1], [2], [5, 6]], pa.list_(pa.int64())),
        column([[b"1", b"x", b"2", None, b""][: 5 if k == 0 else 1] for k in range(4)], pa.list_(_TEXT)).slice(0, 4),
    ),
    "many": (
        column([_MANY, [1.0], _MANY], _LIST),
        column(["|".join(map(repr, _MANY)).encode()] * 3, _TEXT),
        column([3], pa.int32()),
    ),
    "129-rows": tuple(column([None if k % p == 0 else k / p for k in range(129)], pa.float64()) for p in (5, 7, 11)),
    "no-rows": tuple(column([], pa.float64()) for _ in range(3)),
    "sliced": tuple(column([7.0, 0.1, None, 0.2], pa.float32()).slice(1) for _ in range(3)),
}
# u, v, s
VECTOR_COLUMNS: dict[str, tuple[pa.Array, ...]] = {
    "texts": (column([b"0.2|0.2", b"", b"0.3|0.4", b"1"], _TEXT), column([b"0.2|0.2"], _TEXT), column([1, 2, 3, None], pa.int32())),
    "lists": (
        column([[1.0, 2.0, None], [_NAN, 1.0], [-0.0], None], _LIST),
        column([[1.5, -2.0, 3.0], [5.0], [-0.0], [1.0]], _LIST),
        column([1.0, 2.0, -0.0, 4.0], pa.float64()),
    ),
    "many": (
        column([_MANY, _MANY[:65], _MANY[:64]], _LIST),
        column([_MANY[::-1], [2.0], _MANY[:64]], _LIST),
        column([b"3"], _TEXT),
    ),
    "even": (_even(3, 130, pa.float64()), _even(3, 130, pa.int32()), column(_SOME, pa.float64())),
    "even-and-one": (_even(17, 65, pa.float32()), _even(17, 1, pa.int64()), column([b"3"], _TEXT)),
    "even-but-one": (
        column([[1.0, 2.0]] * 70 + [[3.0]], _LIST),
        column([[5.0, 0.5]] * 70 + [[2.0]], _LIST),
        column([2], pa.int32()),
    ),
    "numbers": tuple(column([1.5, None, -2.0], pa.float64()) for _ in range(3)),
    "no-rows": tuple(column([], pa.float64()) for _ in range(3)),
}
GOOD = {name: column([1.0], pa.float64()) for name in (*ELEMENTS, *VECTORS, "s")}
# field, column: lengths that do not fit beside GOOD or two values
REFUSED: dict[str, dict[str, pa.Array]] = {
    "three-beside-two": {"a": column([[1.0, 2.0, 3.0]], _LIST), "b": column([[1.0, 2.0]], _LIST)},
    "vectors": {"u": column([[1.0, 2.0, 3.0]], _LIST), "v": column([b"1|2"], _TEXT)},
    "number-beside-vectors": {"s": column([[1.0, 2.0]], _LIST)},
    "row-128": {"a": column([[1.0] * (3 if k == 128 else 2) for k in range(129)], _LIST), "b": column([b"1|2"], _TEXT)},
}
