"""The formulas of expr_feature and of `method=expression` normalizers: muParser's grammar, parsed to frozen trees.

    formula   = test [ "?" formula ":" formula ]
    test      = operand { operator operand }      rising precedence: || && | & (<= >= != == > <) (+ -) (* /) ^
    operand   = [ "+" | "-" | "!" ] operand | number | name | name "(" formula { "," formula } ")" | "(" formula ")"

All operators are left-associative but `^` (power), and a sign binds weaker than `^`: -x^2 is -(x^2), as in muParser. The names _pi
and _e are numbers. What a tree means is `evaluate`'s docstring, in evaluation.py.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tvm_rank.config.evaluation import evaluate
from tvm_rank.config.nodes import Binary, Call, Conditional, Node, Number, Unary, Variable

__all__ = [
    "ARITY",
    "MAX_DEPTH",
    "MAX_NODES",
    "VECTOR_ARITY",
    "Binary",
    "Call",
    "Conditional",
    "Node",
    "Number",
    "Unary",
    "Variable",
    "evaluate",
    "parse",
]

MAX_DEPTH = 100  # of the tree, so that whoever walks it by recursion needs no more stack; one level takes 4 frames here
MAX_NODES = 400  # operators, functions, numbers and names: each becomes code

CONSTANTS = {"_pi": math.pi, "_e": math.e}

_ONE = (
    "isnan sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh log2 log10 log ln exp sqrt sign abs rint floor ceil trunc "
    "round sigmoid"
)
ARITY: dict[str, int | None] = {
    **dict.fromkeys(_ONE.split(), 1),
    **dict.fromkeys(("roundp", "mod"), 2),
    **dict.fromkeys(("sphere_dist", "haversine"), 4),
    **dict.fromkeys(("min", "max", "sum", "avg"), None),
}
"""Functions and their argument count; None: one or more."""

_OF_ONE_VECTOR = (
    "len l2_norm squared_norm std_dev pop_std_dev variance pop_variance reduce_min reduce_max reduce_sum reduce_mean reduce_prod"
)
VECTOR_ARITY: dict[str, int] = {
    **dict.fromkeys(_OF_ONE_VECTOR.split(), 1),
    **dict.fromkeys(("dot", "euclid_dist", "corr"), 2),
}
"""Functions of all values of a row and their argument count."""

_REFUSED = {"rnd": "a random number would make two runs differ"}
_NEEDS_VECTORS = "it works on vectors, and a normalizer sees one number"

_PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "&": 4,
    **dict.fromkeys(("<=", ">=", "!=", "==", ">", "<"), 5),
    "+": 6, "-": 6, "*": 7, "/": 7, "^": 8,
}  # fmt: skip
_POWER = 8

_TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol>\|\||&&|<=|>=|!=|==|[-+*/^<>|&!?:(),])|(?P<end>$)|(?P<bad>.))",
    re.DOTALL,
)
_WANTED = "a number, a name, a sign or '('"


def parse(text: str, variables: Sequence[str] = ("x",), *, vectors: bool = False) -> Node:
    """The tree of a formula over `variables`; `vectors` allows the functions of VECTOR_ARITY.

    Raises ValueError with the column (from 1), what was found and what was wanted; also for unknown names, wrong argument counts,
    trees deeper than MAX_DEPTH or of more than MAX_NODES nodes. A chain like a+b+c counts one level per operator.
    """
    parser = _Parser(text, tuple(variables), vectors)
    node, _ = parser.formula(0)
    if parser.kind != "end":
        raise parser.error("an operator or the end")
    return node


@dataclass(frozen=True)
class _Tree:
    """A node and its depth."""

    node: Node
    depth: int

    def __iter__(self):
        return iter((self.node, self.depth))


class _Parser:
    """Reads one token ahead: `kind` (number, name, symbol, end, bad), `word` and `column` (from 1) describe it."""

    def __init__(self, text: str, variables: tuple[str, ...], vectors: bool):
        self._text, self._variables, self._at, self._nodes = text, variables, 0, 0
        self._arity: dict[str, int | None] = {**ARITY, **VECTOR_ARITY} if vectors else ARITY
        self._refused = _REFUSED if vectors else {**_REFUSED, **dict.fromkeys(VECTOR_ARITY, _NEEDS_VECTORS)}
        self.kind, self.word, self.column = "", "", 1
        self._advance()

    def _advance(self) -> str:
        word, match = self.word, _TOKEN.match(self._text, self._at)
        assert match is not None  # the last alternative matches any character
        assert match.lastgroup is not None
        self.kind, self.word, self._at = match.lastgroup, match[match.lastgroup], match.end()
        self.column = match.start(self.kind) + 1
        return word

    def error(self, wanted: str) -> ValueError:
        found = "the end" if self.kind == "end" else repr(self.word)
        return ValueError(f"column {self.column}: found {found}, wanted {wanted}")

    def _expect(self, symbol: str) -> None:
        if self.word != symbol:
            raise self.error(f"'{symbol}'")
        self._advance()

    def _tree(self, node: Node, *parts: _Tree) -> _Tree:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError(f"column {self.column}: the formula has more than {MAX_NODES} operators and values; split it")
        return _Tree(node, self._bounded(1 + max((part.depth for part in parts), default=0)))

    def _bounded(self, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ValueError(f"column {self.column}: the formula is nested deeper than {MAX_DEPTH} levels; split or shorten it")
        return depth

    def formula(self, level: int) -> _Tree:
        """A formula inside `level` others."""
        test = self._binary(self._bounded(level), 1)
        if self.word != "?":
            return test
        self._advance()
        yes = self.formula(level + 1)
        self._expect(":")
        no = self.formula(level + 1)
        return self._tree(Conditional(test.node, yes.node, no.node), test, yes, no)

    def _binary(self, level: int, lowest: int) -> _Tree:
        """Operands joined by operators of at least the precedence `lowest`."""
        left = self._operand(self._bounded(level))
        while _PRECEDENCE.get(self.word, 0) >= lowest:
            op = self._advance()
            right = self._binary(level + 1, _PRECEDENCE[op] + (op != "^"))
            left = self._tree(Binary(op, left.node, right.node), left, right)
        return left

    def _operand(self, level: int) -> _Tree:
        if self.word in ("+", "-", "!"):
            op = self._advance()
            inner = self._binary(level + 1, _POWER)
            return self._tree(Unary(op, inner.node), inner)
        if self.word == "(":
            self._advance()
            inside = self.formula(level + 1)
            self._expect(")")
            return inside
        if self.kind == "number":
            return self._number()
        if self.kind == "name":
            return self._name(level)
        raise self.error(_WANTED)

    def _number(self) -> _Tree:
        value = float(self.word)
        if math.isinf(value):
            raise self.error("a number that a double can hold")
        self._advance()
        return self._tree(Number(value))

    def _name(self, level: int) -> _Tree:
        if self.word in self._refused:
            raise ValueError(f"column {self.column}: function '{self.word}' cannot be used here: {self._refused[self.word]}")
        known = self.word in self._arity or self.word in CONSTANTS or self.word in self._variables
        if not known:
            raise self._unknown_name()
        column, name = self.column, self._advance()
        if name in self._arity:
            return self._call(name, column, level)
        return self._tree(Number(CONSTANTS[name]) if name in CONSTANTS else Variable(name))

    def _unknown_name(self) -> ValueError:
        near = difflib.get_close_matches(self.word, [*self._arity, *CONSTANTS, *self._variables], 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        names = " or ".join(repr(name) for name in self._variables)
        return self.error(f"the variable {names}, a constant (_pi, _e) or a function{hint}")

    def _call(self, name: str, column: int, level: int) -> _Tree:
        self._expect("(")
        arguments = [self.formula(level + 1)]
        while self.word == ",":
            self._advance()
            arguments.append(self.formula(level + 1))
        self._expect(")")
        wanted = self._arity[name]
        if wanted is not None and len(arguments) != wanted:
            plural = "s" if wanted != 1 else ""
            raise ValueError(f"column {column}: {name} takes {wanted} argument{plural}, got {len(arguments)}")
        return self._tree(Call(name, tuple(part.node for part in arguments)), *arguments)
