"""A formula over up to LANES values at once: a loop takes VECTOR of them through all operations, which are vector instructions.

The tree is that of `formula.py`, but a variable has a number, ("variable", v), and there is ("reduced", r), a number that a function
of vectors has left. The values of a node lie in an array of VECTOR doubles, which LLVM turns into registers; arrays are used again when a
node has been consumed, so there are as many as the tree is deep, not as it has nodes. The NumPy definition is
`tvm_rank.config.evaluation.evaluate`.

An operation on one array and itself copies it first: TVM takes `x == x` for true and `x - x` for 0, which NaN and infinity are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.feature import formula, lanes_math
from te_schedules.procedure import Procedure

LANES = 64  # an array of doubles is half of the largest that TVM leaves on the stack
LANES_OF_GPU = 8  # a thread has one row: these are numbers of a vector, or a tile of `expr_even.py`
VECTOR = 16  # lanes at once: two of the widest vectors of any CPU target, so that one need not wait for the other

Expr = Any


def width() -> int:
    """How many values a formula takes at once: the lanes of its arrays."""
    return LANES_OF_GPU if intrin.on_gpu() else LANES


def _f(value: float):
    return tirx.const(value, "float64")


def _one_if(condition):
    return T.Select(condition, _f(1.0), _f(0.0))


def _is_false(x):
    """Condition: x counts as false; NaN does not."""
    return x == _f(0.0)


_BINARY: dict[str, Callable] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "<": lambda a, b: _one_if(a < b),
    ">": lambda a, b: _one_if(a > b),
    "<=": lambda a, b: _one_if(a <= b),
    ">=": lambda a, b: _one_if(a >= b),
    "==": lambda a, b: _one_if(a == b),
    "!=": lambda a, b: T.Select(a == b, _f(0.0), _f(1.0)),
    "&&": lambda a, b: T.Select(_is_false(a), _f(0.0), T.Select(_is_false(b), _f(0.0), _f(1.0))),
    "||": lambda a, b: T.Select(_is_false(a), T.Select(_is_false(b), _f(0.0), _f(1.0)), _f(1.0)),
}
_UNARY: dict[str, Callable] = {
    "-": lambda a: -a,
    "!": lambda a: _one_if(_is_false(a)),
    "abs": T.fabs,
    "sqrt": T.sqrt,
    "floor": T.floor,
    "ceil": T.ceil,
    "trunc": T.trunc,
    "sign": lambda a: T.Select(a > _f(0.0), _f(1.0), T.Select(a < _f(0.0), _f(-1.0), _f(0.0))),
}
_FOLDS: dict[str, Callable] = {
    "min": lambda best, value: T.Select(value < best, value, best),
    "max": lambda best, value: T.Select(value > best, value, best),
    "sum": lambda a, b: a + b,
    "avg": lambda a, b: a + b,
}
"""Operations that are vector instructions; all others are called value by value, as `formula.py` has them."""


@dataclass(eq=False)
class _Value:
    """The values of a node: an array of the caller's from `first` on, an array of this formula's (`slot`, which may be used again), or one
    number for all."""

    buffer: Any
    first: int | None = None
    slot: bool = False

    def is_same(self, other: _Value) -> bool:
        """True when TVM would see one expression in both."""
        return self.buffer is other.buffer and self.first == other.first


def _fence(x: Expr) -> Expr:
    """A vector that is rounded here: no operation behind is fused with the one that made it."""
    return tirx.call_llvm_pure_intrin("float64", "llvm.arithmetic.fence", x)


class Lanes:
    """The walk over a tree that emits its code. All memory is in buffers: variables and reduced (v * width() + lane), numbers.

    One loop takes VECTOR lanes through all operations, so that values stay in registers. On a GPU, whose compiler has no fence, each operation
    is a loop, and its values lie in memory.
    """

    def __init__(self, variables: Any, numbers: Any, reduced: Any, count: Expr):
        self._variables, self._numbers, self._reduced, self._count = variables, numbers, reduced, count
        self._blocks = intrin.let((count + T.int64(VECTOR - 1)) // T.int64(VECTOR))
        self._free: list[Any] = []
        self._in_registers = not intrin.on_gpu()
        self._base: Expr = T.int64(0)  # the first lane of the block, in registers
        self._known: dict[int, Any] = {}

    def emit(self, tree: tuple, out: Any) -> None:
        """Emit the evaluation of the first `count` lanes to the buffer `out`."""
        for k in sorted(_numbers_of(tree)):
            self._known[k] = intrin.local("float64", self._numbers[k])
        if not self._in_registers:
            self._loop(out, lambda x: x, [self._emit(tree)])
            return
        with T.serial(self._blocks) as block:
            self._base = intrin.let(block * T.int64(VECTOR))
            value = self._emit(tree)
            with T.vectorized(T.int64(VECTOR)) as k:
                T.buffer_store(out, self._at(value, k), [self._base + k])

    def _at(self, value: _Value, lane: Expr) -> Expr:
        """The value of a lane, of the block if values are in registers."""
        if value.first is None:
            return value.buffer[0]
        return value.buffer[lane] if value.slot else value.buffer[T.int64(value.first) + self._base + lane]

    def _emit(self, tree: tuple) -> _Value:
        kind, *rest = tree
        if kind == "number":
            return _Value(self._known[rest[0]])
        if kind == "variable":
            return _Value(self._variables, rest[0] * width())
        if kind == "reduced":
            return _Value(self._reduced, rest[0] * width())
        if kind == "unary":
            return self._emit(rest[1]) if rest[0] == "+" else self._apply(_UNARY[rest[0]], rest[1:])
        if kind == "conditional":
            return self._apply(lambda test, yes, no: T.Select(_is_false(test), no, yes), rest)
        operation, *operands = rest
        if kind == "binary":
            if operation in _BINARY:
                return self._apply(_BINARY[operation], operands)
            return self._each(formula.BINARY[operation], operands)
        return self._call(operation, operands)

    def _call(self, function: str, operands: list[tuple]) -> _Value:
        if function in _UNARY:
            return self._apply(_UNARY[function], operands)
        if function in lanes_math.FUNCTIONS:
            return self._steps(lanes_math.FUNCTIONS[function], operands[0])
        if function not in _FOLDS:
            return self._each(formula.FUNCTIONS[function], operands)
        value = self._emit(operands[0])
        for operand in operands[1:]:
            value = self._write(_FOLDS[function], [value, self._emit(operand)])
        if function != "avg":
            return value
        return self._write(lambda total: total / _f(float(len(operands))), [value])

    def _apply(self, operation: Callable, operands: Sequence[tuple]) -> _Value:
        return self._write(operation, [self._emit(operand) for operand in operands])

    def _write(self, operation: Callable, values: list[_Value]) -> _Value:
        """A vector operation."""
        values = self._distinct(values)
        out = self._take()
        self._loop(out, operation, values)
        return self._done(out, values)

    def _loop(self, out: Any, operation: Callable, values: Sequence[_Value]) -> None:
        if self._in_registers:
            with T.vectorized(T.int64(VECTOR)) as k:
                T.buffer_store(out, _fence(operation(*(self._at(value, k) for value in values))), [k])
            return
        with T.serial(self._count) as lane:
            T.buffer_store(out, operation(*(self._at(value, lane) for value in values)), [lane])

    def _steps(self, function: Callable, operand: tuple) -> _Value:
        """A function of `lanes_math`: its steps are kept until the last of them is done."""
        first = self._emit(operand)
        if first.first is None:
            first = self._write(lambda x: x, [first])
        made: list[_Value] = []

        def write(operation: Callable, *values: _Value) -> _Value:
            out = self._take()
            self._loop(out, operation, values)
            made.append(_Value(out, 0, slot=True))
            return made[-1]

        last = function(write, first)
        for value in (first, *made):
            if value is not last:
                self._release(value)
        return last

    def _each(self, operation: Callable, operands: Sequence[tuple]) -> _Value:
        """An operation value by value."""
        values = [self._emit(operand) for operand in operands]
        out = self._take()
        with T.serial(T.min(self._count - self._base, T.int64(VECTOR)) if self._in_registers else self._count) as lane:
            T.buffer_store(out, operation(*(intrin.let(self._at(value, lane)) for value in values)), [lane])
        return self._done(out, values)

    def _distinct(self, values: list[_Value]) -> list[_Value]:
        """The values, of which none is the same as an earlier one."""
        found: list[_Value] = []
        for value in values:
            found.append(self._write(lambda x: x, [value]) if any(map(value.is_same, found)) else value)
        return found

    def _take(self) -> Any:
        return self._free.pop() if self._free else intrin.array(VECTOR if self._in_registers else width(), "float64")

    def _done(self, out: Any, values: list[_Value]) -> _Value:
        for value in values:
            self._release(value)
        return _Value(out, 0, slot=True)

    def _release(self, value: _Value) -> None:
        if value.slot:
            self._free.append(value.buffer)


def _numbers_of(tree: tuple) -> set[int]:
    """Which of the column's numbers a tree has."""
    if tree[0] == "number":
        return {tree[1]}
    return set().union(*(_numbers_of(part) for part in tree[1:] if isinstance(part, tuple)))


# ---------------------------------------------------------------- trees as procedures

PARAMETERS = dict.fromkeys(("variables", "numbers", "reduced"), "float64*") | {"count": "int64", "out": "float64*"}


def identity(tree: tuple) -> int:
    """A number that stands for a tree, and for no other."""
    return int.from_bytes(hashlib.blake2b(repr(tree).encode(), digest_size=7).digest(), "little")


def _one(tree: tuple) -> Procedure:
    def emit(variables, numbers, reduced, count, out) -> None:
        Lanes(variables, numbers, reduced, count).emit(tree, out)

    return Procedure(f"rank_formula_{identity(tree):x}", PARAMETERS, emit)


def _choice(trees: Sequence[tuple]) -> Procedure:
    """The procedure that calls that of the tree whose `identity` it is given."""

    def emit(formula, variables, numbers, reduced, count, out) -> None:
        for tree in trees:
            with T.If(formula == T.int64(identity(tree))), T.Then():
                _one(tree).call(variables, numbers, reduced, count, out)

    return Procedure(FORMULA.name, FORMULA.parameters, emit)


FORMULA = Procedure("rank_formula", {"formula": "int64"} | dict.fromkeys(PARAMETERS, "int64"), lambda **_arguments: None)
"""Evaluate a formula of the module: variables, arrays of `width()` doubles side by side · numbers, of the column · reduced, such
arrays of what functions of vectors have left · count, of lanes · out, an array of as many doubles."""


def procedures(trees: Iterable[tuple]) -> list[Procedure]:
    """All formulas of a module, and FORMULA, which chooses one."""
    distinct = list(dict.fromkeys(trees))
    assert len({identity(tree) for tree in distinct}) == len(distinct)
    return [*map(_one, distinct), _choice(distinct)] if distinct else []
