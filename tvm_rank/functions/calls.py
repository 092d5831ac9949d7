"""Calls in a udf: builtins, functions of math, methods."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tvm_rank.functions.types import ANNOTATION, ELEMENT, NUMBERS, SEQUENCES, Expression, converted, join

if TYPE_CHECKING:
    from tvm_rank.functions.expressions import Expressions

OF_ONE = (
    "sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh", "fabs", "radians", "degrees",
)  # fmt: skip
OF_TWO = ("atan2", "fmod", "pow", "hypot", "copysign")
TO_INT = ("floor", "ceil", "trunc")
TO_BOOL = ("isnan", "isinf", "isfinite")
BUILTINS = ("abs", "all", "any", "bool", "chr", "float", "int", "len", "max", "min", "ord", "pow", "round", "sum")


def lower_call(scope: Expressions, node: ast.Call) -> Expression:
    """A call as a typed expression."""
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise scope.refuse(node, "calls take plain arguments here, without names or stars")
    function = node.func
    if isinstance(function, ast.Attribute):
        if scope.is_math(function.value):
            return _of_math(scope, node, function.attr)
        return _method(scope, node, function)
    name = function.id if isinstance(function, ast.Name) else ""
    lower = _LOWER.get(name)
    if lower is None or name in scope.types:
        allowed = ", ".join((*BUILTINS, "range", "enumerate", "zip", "math.*"))
        raise scope.refuse(node, f"`{ast.unparse(function)[:40]}` cannot be called here; what can: {allowed}")
    return lower(scope, node)


def _arguments(scope: Expressions, node: ast.Call, *counts: int) -> list[Expression]:
    if len(node.args) not in counts:
        raise scope.refuse(
            node, f"{ast.unparse(node.func)} takes {' or '.join(map(str, counts))} arguments here, got {len(node.args)}"
        )
    return [scope.lower(argument) for argument in node.args]


def _number(scope: Expressions, node: ast.AST, value: Expression, kind: str) -> Expression:
    result = converted(value, kind)
    if result is None:
        raise scope.refuse(node, f"wanted {ANNOTATION[kind]}, got {ANNOTATION[value[1]]}")
    return result


def _of_math(scope: Expressions, node: ast.Call, name: str) -> Expression:
    if name in OF_ONE and not (name == "log" and len(node.args) == 2):
        return ("call", "float", name, *(_number(scope, node, a, "float") for a in _arguments(scope, node, 1)))
    if name in OF_TWO:
        return ("call", "float", name, *(_number(scope, node, a, "float") for a in _arguments(scope, node, 2)))
    if name == "log":
        parts = [("call", "float", "log", _number(scope, node, a, "float")) for a in _arguments(scope, node, 2)]
        return ("binary", "float", "/", *parts)
    if name in (*TO_INT, *TO_BOOL):
        (value,) = _arguments(scope, node, 1)
        if name in TO_INT and value[1] in ("int", "bool"):
            return _number(scope, node, value, "int")
        return ("call", "int" if name in TO_INT else "bool", name, _number(scope, node, value, "float"))
    raise scope.refuse(node, f"math.{name} is not in the subset; what is: {', '.join((*OF_ONE, *OF_TWO, *TO_INT, *TO_BOOL))}")


def _method(scope: Expressions, node: ast.Call, function: ast.Attribute) -> Expression:
    base = scope.lower(function.value)
    if base[1] in ("text", "char") and function.attr in ("startswith", "endswith"):
        (part,) = _arguments(scope, node, 1)
        whole, part = _number(scope, node, base, "text"), _number(scope, node, part, "text")
        return ("call", "bool", function.attr, whole, part)
    raise scope.refuse(
        node, f"{ANNOTATION[base[1]]}.{function.attr} is not in the subset; texts have startswith and endswith, lists append"
    )


def _len(scope: Expressions, node: ast.Call) -> Expression:
    (value,) = _arguments(scope, node, 1)
    if value[1] not in SEQUENCES:
        raise scope.refuse(node, f"{ANNOTATION[value[1]]} has no len")
    return ("len", "int", value)


def _abs(scope: Expressions, node: ast.Call) -> Expression:
    (value,) = _arguments(scope, node, 1)
    kind = "float" if value[1] == "float" else "int"
    return ("call", kind, "abs", _number(scope, node, value, kind))


def _extreme(scope: Expressions, node: ast.Call) -> Expression:
    name = node.func.id  # type: ignore[attr-defined]
    values = [scope.lower(argument) for argument in node.args]
    if len(values) == 1 and values[0][1] in ("ints", "floats", "bools"):
        return ("call", ELEMENT[values[0][1]], f"{name}_of", values[0])
    if len(values) < 2:
        raise scope.refuse(node, f"{name} takes two numbers or more, or a list of numbers")
    kind = None
    for value in values:
        kind = join(kind, value[1])
    if kind not in NUMBERS:
        raise scope.refuse(node, f"{name} takes numbers here, got {', '.join(ANNOTATION[v[1]] for v in values)}")
    result = _number(scope, node, values[0], kind)
    for value in values[1:]:
        result = ("call", kind, name, result, _number(scope, node, value, kind))
    return result


def _of_list(scope: Expressions, node: ast.Call) -> Expression:
    name = node.func.id  # type: ignore[attr-defined]
    (value,) = _arguments(scope, node, 1)
    if value[1] not in ("ints", "floats", "bools"):
        raise scope.refuse(node, f"{name} takes a list of numbers, got {ANNOTATION[value[1]]}")
    kind = "bool" if name in ("any", "all") else "float" if value[1] == "floats" else "int"
    return ("call", kind, f"{name}_of", value)


def _convert(scope: Expressions, node: ast.Call) -> Expression:
    kind = node.func.id  # type: ignore[attr-defined]
    (value,) = _arguments(scope, node, 1)
    if kind == "bool":
        from tvm_rank.functions.expressions import truth

        return truth(value)
    if value[1] not in NUMBERS:
        raise scope.refuse(node, f"{kind}() of {ANNOTATION[value[1]]} is not in the subset; annotate the parameter as {kind}")
    if kind == "int" and value[1] == "float":
        return ("call", "int", "trunc", value)
    return _number(scope, node, value, kind)


def _ord(scope: Expressions, node: ast.Call) -> Expression:
    (value,) = _arguments(scope, node, 1)
    if value[1] != "char":
        raise scope.refuse(node, f"ord takes one character, such as text[0]; got {ANNOTATION[value[1]]}")
    return ("call", "int", "ord", value)


def _chr(scope: Expressions, node: ast.Call) -> Expression:
    (value,) = _arguments(scope, node, 1)
    return ("call", "char", "chr", _number(scope, node, value, "int"))


def _pow(scope: Expressions, node: ast.Call) -> Expression:
    return scope.binary(node, "**", *_arguments(scope, node, 2))


def _round(scope: Expressions, node: ast.Call) -> Expression:
    (value,) = _arguments(scope, node, 1)
    if value[1] in ("int", "bool"):
        return _number(scope, node, value, "int")
    return ("call", "int", "round", _number(scope, node, value, "float"))


_LOWER = {
    "len": _len, "abs": _abs, "min": _extreme, "max": _extreme, "sum": _of_list, "any": _of_list, "all": _of_list, "int": _convert,
    "float": _convert, "bool": _convert, "ord": _ord, "chr": _chr, "pow": _pow, "round": _round,
}  # fmt: skip
