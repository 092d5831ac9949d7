"""Expressions of a udf, from Python's syntax tree to a typed program."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

from tvm_rank.functions import calls
from tvm_rank.functions.function import Udf
from tvm_rank.functions.types import (
    ANNOTATION,
    ELEMENT,
    EMPTY,
    LIST_OF,
    LISTS,
    NUMBERS,
    SEQUENCES,
    Expression,
    Type,
    constant,
    converted,
    join,
)

INT64 = range(-(2**63), 2**63)
BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.BitAnd: "&",
    ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
ONLY_INTEGERS = ("&", "|", "^", "<<", ">>")
COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_OPERATOR = COMPARE | {ast.Is: "is", ast.IsNot: "is not"}
CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf, "nan": math.nan}
MAX_POWER = 64


class Unknown(Exception):
    """A type is not known yet: another walk over the function will find it."""


class Expressions:
    """Types and lowers expressions. `types` are those of the variables, `options` the values of options, both by name."""

    def __init__(self, udf: Udf, types: dict[str, Type], options: Mapping[str, Any]):
        self.udf, self.types, self.options = udf, types, options
        self.assigned: set[str] = set()  # variables that surely have a value here
        self.prelude: Callable[[ast.ListComp | ast.GeneratorExp], Expression] | None = (
            None  # lowers a comprehension before the statement
        )

    def refuse(self, node: ast.AST, reason: str) -> Exception:
        """The error for a node."""
        return self.udf.refuse(node, reason)

    def lower(self, node: ast.expr) -> Expression:
        """The typed expression. Raises UdfError for what is not in the subset, Unknown when a variable's type is not known yet."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self.refuse(node, f"`{ast.unparse(node)[:60]}` is not in the subset; docs/udf.md says what is")
        return method(node)

    def as_type(self, node: ast.expr, kind: str, what: str) -> Expression:
        """The expression as that type."""
        value = self.lower(node)
        result = converted(value, kind)
        if result is None:
            raise self.refuse(node, f"{what} must be {ANNOTATION[kind]}, got {ANNOTATION[value[1]]}")
        return result

    def test(self, node: ast.expr) -> Expression:
        """The expression as a condition, by Python's truth of numbers, texts and lists."""
        return truth(self.lower(node))

    def guarded(self, lower: Callable[[], Expression]) -> Expression:
        """Lower what is not always evaluated: nothing may be computed before the statement for it."""
        prelude, self.prelude = self.prelude, None
        try:
            return lower()
        finally:
            self.prelude = prelude

    def _constant(self, node: ast.Constant) -> Expression:
        value = node.value
        if isinstance(value, (bool, float, str)):
            return constant(value)
        if isinstance(value, int):
            if value not in INT64:
                raise self.refuse(node, f"{value} is no 64-bit integer")
            return constant(value)
        raise self.refuse(node, f"the constant {value!r:.40} is no number, bool or text")

    def _name(self, node: ast.Name) -> Expression:
        name = node.id
        if name in self.types:
            if name not in self.assigned:
                raise self.refuse(node, f"{name!r} may be read before it has a value; give it one first")
            if self.types[name] in (None, EMPTY):
                raise Unknown(name)
            return ("var", self.types[name], name)
        if name in self.options:
            return constant(self.options[name])
        value = self._outer(name)
        if isinstance(value, (bool, int, float, str)) and not (isinstance(value, int) and value not in INT64):
            return constant(value)
        raise self.refuse(node, f"{name!r} is no parameter, local or module-level number or text")

    def _outer(self, name: str) -> Any:
        function = self.udf.function
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        return cells[name].cell_contents if name in cells else function.__globals__.get(name)

    def _attribute(self, node: ast.Attribute) -> Expression:
        if self.is_math(node.value) and node.attr in CONSTANTS:
            return constant(CONSTANTS[node.attr])
        raise self.refuse(node, f"`{ast.unparse(node)[:60]}` is not in the subset; of modules, only math is")

    def is_math(self, node: ast.expr) -> bool:
        """True for the module math."""
        return isinstance(node, ast.Name) and node.id not in self.types and self._outer(node.id) is math

    def _unaryop(self, node: ast.UnaryOp) -> Expression:
        if isinstance(node.op, ast.Not):
            return ("unary", "bool", "not", self.test(node.operand))
        value = self.lower(node.operand)
        if value[1] not in NUMBERS or (isinstance(node.op, ast.Invert) and value[1] == "float"):
            raise self.refuse(node, f"{ANNOTATION[value[1]]} has no such sign")
        if value[1] == "bool":
            value = converted(value, "int") or value
        if isinstance(node.op, ast.UAdd):
            return value
        if value[0] == "const" and isinstance(node.op, ast.USub):
            return constant(-float.fromhex(value[2]) if value[1] == "float" else -value[2])
        return ("unary", value[1], "-" if isinstance(node.op, ast.USub) else "~", value)

    def _binop(self, node: ast.BinOp) -> Expression:
        return self.binary(node, BINARY.get(type(node.op), "@"), self.lower(node.left), self.lower(node.right))

    def binary(self, node: ast.AST, op: str, a: Expression, b: Expression) -> Expression:
        """`a op b`."""
        if op == "*" and (a[1] in LISTS or b[1] in LISTS):
            return self._repeat(node, a, b)
        if op == "+" and {a[1], b[1]} <= {"char", "text"}:
            return ("concat", "text", *(converted(part, "text") for part in (a, b)))
        kind = join(a[1], b[1])
        if kind not in NUMBERS or (op in ONLY_INTEGERS and kind == "float") or op == "@":
            raise self.refuse(node, f"{ANNOTATION[a[1]]} {op} {ANNOTATION[b[1]]} is not in the subset")
        kind = "float" if op == "/" or kind == "float" else "int"
        if op == "**" and kind == "int":
            return self._power(node, a, b)
        return ("binary", kind, op, converted(a, kind), converted(b, kind))

    def _power(self, node: ast.AST, a: Expression, b: Expression) -> Expression:
        if b[0] != "const" or not 0 <= b[2] <= MAX_POWER:
            raise self.refuse(
                node, f"the power of an integer must be a constant from 0 to {MAX_POWER}; make the base a float for others"
            )
        base: Expression = converted(a, "int") or a
        result: Expression = ("const", "int", 1)
        for _ in range(b[2]):
            result = base if result == ("const", "int", 1) else ("binary", "int", "*", result, base)
        return result

    def _repeat(self, node: ast.AST, a: Expression, b: Expression) -> Expression:
        items, count = (a, b) if a[1] in LISTS else (b, a)
        if items[0] != "list" or len(items) != 3 or items[1] == "texts" or join(count[1], "int") != "int":
            raise self.refuse(node, "a list is repeated as `[value] * count`, with one number")
        return ("repeat", items[1], items[2], converted(count, "int"))

    def _boolop(self, node: ast.BoolOp) -> Expression:
        op = "and" if isinstance(node.op, ast.And) else "or"
        result = self.lower(node.values[0])
        for value in node.values[1:]:
            right = self.guarded(lambda value=value: self.lower(value))  # type: ignore[misc]
            if result[1] == right[1] == "bool":
                result = ("logic", "bool", op, result, right)
            else:
                raise self.refuse(value, f"`{op}` takes conditions; write a comparison, or `a if test else b` for a value")
        return result

    def _compare(self, node: ast.Compare) -> Expression:
        operands = [node.left, *node.comparators]
        result: Expression | None = None
        for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
            if result is not None and not isinstance(left, (ast.Name, ast.Constant)):
                raise self.refuse(left, "the middle of a chain of comparisons is a name or a constant; split the chain")
            one = self._one_comparison(node, left, op, right)
            result = one if result is None else ("logic", "bool", "and", result, one)
        assert result is not None
        return result

    def _one_comparison(self, node: ast.AST, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Expression:
        a, b = self.lower(left), self.lower(right)
        if isinstance(op, (ast.In, ast.NotIn)):
            return self._contains(node, a, b, isinstance(op, ast.NotIn))
        kind = join(a[1], b[1])
        if type(op) not in COMPARE or kind not in (*NUMBERS, "char", "text", "bytes"):
            raise self.refuse(
                node, f"{ANNOTATION[a[1]]} and {ANNOTATION[b[1]]} cannot be compared with `{_OPERATOR.get(type(op), '?')}`"
            )
        if kind == "bool":
            kind = "int"
        return ("compare", "bool", COMPARE[type(op)], converted(a, kind), converted(b, kind))

    def _contains(self, node: ast.AST, item: Expression, whole: Expression, negated: bool) -> Expression:
        element = ELEMENT.get(str(whole[1]), "")
        if whole[1] == "char":
            whole = converted(whole, "text") or whole
            element = "char"
        wanted = converted(item, element) if element else None
        if wanted is None and whole[1] == "text" and item[1] == "text":
            wanted = item
        if wanted is None:
            raise self.refuse(
                node,
                f"`in` looks for a number in a list, or for text in a text; got {ANNOTATION[item[1]]} in {ANNOTATION[whole[1]]}",
            )
        found = ("contains", "bool", whole, wanted)
        return ("unary", "bool", "not", found) if negated else found

    def _ifexp(self, node: ast.IfExp) -> Expression:
        test = self.test(node.test)
        yes, no = self.guarded(lambda: self.lower(node.body)), self.guarded(lambda: self.lower(node.orelse))
        kind = join(yes[1], no[1])
        parts = [converted(part, kind) if kind else None for part in (yes, no)]
        if None in parts:
            raise self.refuse(node, f"both sides must have one type; got {ANNOTATION[yes[1]]} and {ANNOTATION[no[1]]}")
        return ("choose", kind, test, *parts)

    def _subscript(self, node: ast.Subscript) -> Expression:
        base = self.lower(node.value)
        if base[1] not in SEQUENCES:
            raise self.refuse(node, f"{ANNOTATION[base[1]]} has no elements")
        if not isinstance(node.slice, ast.Slice):
            return ("index", ELEMENT[base[1]], base, self.as_type(node.slice, "int", "an index"))
        if node.slice.step is not None:
            raise self.refuse(node, "a slice has no step here; use a loop over range")
        ends = [
            None if end is None else self.as_type(end, "int", "the end of a slice") for end in (node.slice.lower, node.slice.upper)
        ]
        return ("slice", base[1], base, *ends)

    def _list(self, node: ast.List) -> Expression:
        items = [self.lower(item) for item in node.elts]
        if not items:
            return ("list", EMPTY)
        kind: Type = None
        for item in items:
            kind = join(kind, item[1])
        if kind not in LIST_OF:
            hint = (
                "use one list, and the index row * width + column" if kind in LISTS else "lists that a function makes hold numbers"
            )
            raise self.refuse(node, f"a list of {ANNOTATION.get(kind, 'mixed types')} is not in the subset; {hint}")
        return ("list", LIST_OF[kind], *(converted(item, kind) for item in items))

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> Expression:
        if self.prelude is None:
            raise self.refuse(
                node, "a comprehension stands alone, not in a condition or another one; give it a name in a statement before"
            )
        return self.prelude(node)

    _generatorexp = _listcomp

    def _call(self, node: ast.Call) -> Expression:
        return calls.lower_call(self, node)


def truth(value: Expression) -> Expression:
    """Python's truth of a value."""
    kind = value[1]
    if kind == "bool":
        return value
    if kind == "char":
        return ("const", "bool", True)
    if kind in SEQUENCES:
        return ("compare", "bool", "!=", ("len", "int", value), ("const", "int", 0))
    zero = ("const", "float", (0.0).hex()) if kind == "float" else ("const", "int", 0)
    return ("compare", "bool", "!=", value, zero)
