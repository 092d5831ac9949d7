"""A program as a procedure: parameters, statements, result.

    rank_udf_<program>(state, parameter ...)      a text or bytes: address and length of its bytes; a list: its address

The caller prepares the state (`memory.begin_row`) and the lists. Afterwards STATUS says whether there is a value: RESULT has the bits of a
number, the address of a list, or with COUNT the UTF-8 bytes of a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.procedure import Procedure
from te_schedules.udf import memory, texts
from te_schedules.udf.expressions import Expressions
from te_schedules.udf.memory import State, Status
from te_schedules.udf.sequences import WIDTH, Slot, View, dtype

Expr = Any
RUNNING, CONTINUED, BROKEN, RETURNED, FAILED = range(5)  # values of `live`; `Expressions.fail` sets the last
SUPPORT = (memory.TAKE, memory.NEW_LIST, memory.APPEND, texts.DECODE, texts.ENCODE, texts.COMPARE, texts.FIND, texts.HAS)
"""What every procedure of a program calls."""


@dataclass(frozen=True)
class Signature:
    """(name, type) of parameters and of locals, and the type of the result."""

    parameters: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...]
    returns: str


def procedure(signature: Signature, body: tuple) -> Procedure:
    """The procedure of a program. Programs that are equal have one name."""
    words: dict[str, str] = {"state": "int64"}
    for k, (_, kind) in enumerate(signature.parameters):
        words |= {f"a{k}": dtype(kind)} | ({f"n{k}": "int64"} if kind in WIDTH else {})
    digest = hashlib.blake2b(repr((signature, body)).encode(), digest_size=8).hexdigest()
    return Procedure(f"rank_udf_{digest}", words, lambda **arguments: _Function(signature, arguments).emit(body))


class _Function:
    def __init__(self, signature: Signature, arguments: dict[str, Expr]):
        self.signature, self.state = signature, arguments["state"]
        self.live = intrin.local("int64", RUNNING)
        self.slots = {name: Slot(kind) for name, kind in (*signature.parameters, *signature.variables)}
        self.values = Expressions(self.state, self.live, self.slots)
        self._read(arguments)

    def _read(self, arguments: dict[str, Expr]) -> None:
        empty = self.state + T.int64(8 * memory.STATE_WORDS)
        for name, kind in self.signature.variables:
            if kind not in WIDTH and kind not in ("int", "float", "bool", "char"):
                self.slots[name].write(empty)
        for k, (name, kind) in enumerate(self.signature.parameters):
            if kind == "text":
                texts.DECODE.call(self.state, arguments[f"a{k}"], arguments[f"n{k}"])
                self.slots[name].write(View(memory.get(self.state, State.RESULT), memory.get(self.state, State.COUNT)))
            else:
                self.slots[name].write(View(arguments[f"a{k}"], arguments[f"n{k}"]) if kind == "bytes" else arguments[f"a{k}"])
        self.values.check()

    def emit(self, body: tuple) -> None:
        """Emit the function; without a return it has no value."""
        self._block(body)
        with T.If(self.live[0] < T.int64(RETURNED)), T.Then():
            memory.put(self.state, State.STATUS, T.int64(int(Status.NO_VALUE)))

    def _running(self) -> Expr:
        return self.live[0] == T.int64(RUNNING)

    def _block(self, body: tuple) -> None:
        """Statements, each if nothing before has ended the block."""
        guarded = False
        for statement in body:
            emit: Callable[..., None] = getattr(self, f"_{statement[0]}")
            if guarded:
                with T.If(self._running()), T.Then():
                    emit(*statement[1:])
            else:
                emit(*statement[1:])
            guarded = guarded or may_end(statement)

    def _assign(self, name: str, value: tuple) -> None:
        self.slots[name].write(self.values.emit(value))

    def _unpack(self, names: tuple[str, ...], values: tuple) -> None:
        for name, value in zip(names, [self.values.emit(value) for value in values], strict=True):
            self.slots[name].write(value)

    def _store(self, base: tuple, index: tuple, value: tuple) -> None:
        given = self.values.bits(value[1], self.values.emit(value))
        items = self.values.emit(base)
        at, good = self.values.place(memory.length_of(items), self.values.emit(index))
        with T.If(T.And(good, self._running())), T.Then():
            intrin.store("int64", memory.element_address(items, at), given)

    def _append(self, base: tuple, value: tuple) -> None:
        items = self.values.emit(base)
        given = self.values.bits(value[1], self.values.emit(value))
        memory.APPEND.call(self.state, items, given)
        self.values.check()

    def _if(self, test: tuple, yes: tuple, no: tuple) -> None:
        with T.If(self.values.emit(test) != T.int64(0)):
            with T.Then(), T.If(self._running()), T.Then():  # what a test fails at ends the call
                self._block(yes)
            with T.Else(), T.If(self._running()), T.Then():
                self._block(no)

    def _end(self, how: int) -> None:
        with T.If(self._running()), T.Then():
            intrin.assign(self.live, how)

    def _break(self) -> None:
        self._end(BROKEN)

    def _continue(self) -> None:
        self._end(CONTINUED)

    def _fail(self) -> None:
        self.values.fail(self._running())

    def _return(self, value: tuple | None) -> None:
        if value is None:
            self._fail()
            return
        result = self.values.emit(value)
        if isinstance(result, View):
            texts.ENCODE.call(self.state, result.address, result.count)
            self.values.check()
        else:
            memory.put(self.state, State.RESULT, self.values.bits(value[1], result))
        self._end(RETURNED)

    def _loop(self, body: tuple, go: Any, behind: Callable[[], None]) -> None:
        """One iteration: the body, then `behind` unless the loop has ended."""
        self.values.check_steps(T.int64(1))
        with T.If(self._running()), T.Then():
            self._block(body)
        with T.If(self.live[0] == T.int64(CONTINUED)), T.Then():
            intrin.assign(self.live, RUNNING)
        with T.If(self._running()):
            with T.Then():
                behind()
            with T.Else():
                intrin.assign(go, 0)

    def _after_loop(self) -> None:
        with T.If(self.live[0] == T.int64(BROKEN)), T.Then():
            intrin.assign(self.live, RUNNING)

    def _while(self, test: tuple, body: tuple) -> None:
        go = intrin.local("int64", 1)
        with T.While(go[0] != T.int64(0)), T.If(self.values.emit(test) != T.int64(0)):
            with T.Then():
                self._loop(body, go, lambda: None)
            with T.Else():
                intrin.assign(go, 0)
        self._after_loop()

    def _for(self, counter: str, iterations: tuple, body: tuple) -> None:
        if iterations[0] == "range":
            self._for_range(counter, iterations[1:], body)
        else:
            self._for_each(counter, iterations[1:], body)
        self._after_loop()

    def _for_range(self, counter: str, ends: tuple, body: tuple) -> None:
        start, stop, step = (self.values.emit(end) for end in ends)
        self.values.fail(step == T.int64(0))
        at, go = intrin.local("int64", start), intrin.local("int64", T.cast(self._running(), "int64"))

        def is_inside() -> Expr:
            if ends[2][0] == "const":
                return at[0] < stop if ends[2][2] > 0 else at[0] > stop
            return T.if_then_else(step > T.int64(0), at[0] < stop, at[0] > stop)

        with T.While(T.And(go[0] != T.int64(0), is_inside())):
            self.slots[counter].write(intrin.let(at[0]))
            self._loop(body, go, lambda: intrin.assign(at, at[0] + step))

    def _for_each(self, counter: str, pairs: tuple, body: tuple) -> None:
        sequences = [(name, value[1], self.values.emit(value)) for name, value in pairs]
        at, go = intrin.local("int64", 0), intrin.local("int64", T.cast(self._running(), "int64"))

        def is_inside() -> Expr:
            inside = T.bool(True)
            for _, kind, value in sequences:
                count = value.count if kind in WIDTH else intrin.load("int64", value + T.int64(8))
                inside = T.And(inside, at[0] < count)
            return inside

        with T.While(T.And(go[0] != T.int64(0), is_inside())):
            index = intrin.let(at[0])
            if counter in self.slots:
                self.slots[counter].write(index)
            for name, kind, value in sequences:
                self.slots[name].write(self.values.element(kind, value, index))
            self._loop(body, go, lambda: intrin.assign(at, at[0] + T.int64(1)))


def may_end(statement: tuple) -> bool:
    """False for an assignment that neither fails nor takes memory, so that what follows needs no test."""
    if statement[0] not in ("assign", "unpack"):
        return True
    return any(_may_fail(node) for node in _nodes(statement[-1]))


def _nodes(value: Any) -> Iterator[tuple]:
    """All expressions inside of one, or of a tuple of them."""
    if isinstance(value, tuple):
        if value and isinstance(value[0], str) and len(value) > 1:
            yield value
        for part in value:
            yield from _nodes(part)


def _may_fail(node: tuple) -> bool:
    what = node[0]
    if what == "binary":
        return node[2] in ("/", "//", "%", "**", "<<", ">>")
    if what in ("const", "convert"):
        return node[1] == "text"
    return what in ("index", "slice", "contains", "call", "list", "repeat", "concat") or (what == "compare" and node[3][1] in WIDTH)


__all__ = ["SUPPORT", "Signature", "may_end", "procedure"]
