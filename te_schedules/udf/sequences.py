"""Values of a program as code, and what makes and reads sequences: texts, bytes, lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.udf import memory, numbers, texts
from te_schedules.udf.memory import State, Status

Expr = Any
Value = Any
ELEMENT = {"ints": "int", "floats": "float", "bools": "bool", "texts": "text"}
WIDTH = {"text": 4, "bytes": 1}


@dataclass(frozen=True)
class View:
    """Elements in memory: code points (int32) of a text, or bytes."""

    address: Expr
    count: Expr


def dtype(kind: str) -> str:
    """The dtype of a variable of this type that is one number."""
    return "float64" if kind == "float" else "int64"


class Slot:
    """A variable: one number, or two for a view."""

    def __init__(self, kind: str):
        self.kind = kind
        self.parts = [intrin.local(dtype(kind), 0) for _ in range(2 if kind in WIDTH else 1)]

    def read(self) -> Value:
        """Its value now."""
        values = [intrin.let(part[0]) for part in self.parts]
        return View(*values) if self.kind in WIDTH else values[0]

    def write(self, value: Value) -> None:
        """Emit the assignment of a value of its type."""
        values = (value.address, value.count) if isinstance(value, View) else (value,)
        for part, number in zip(self.parts, values, strict=True):
            intrin.assign(part, number)


class Sequences:
    """Emits expressions over sequences. `live` is a local that is 0 while the call goes on; `slots` are the variables by name."""

    def __init__(self, state: Expr, live: Any, slots: dict[str, Slot]):
        self.state, self.live, self.slots = state, live, slots

    def fail(self, condition: Expr, status: Status = Status.NO_VALUE) -> None:
        """Emit that the call ends without a value if the condition holds."""
        with T.If(condition), T.Then():
            memory.put(self.state, State.STATUS, T.int64(int(status)))
            intrin.assign(self.live, 4)

    def check(self) -> None:
        """Emit the end of the call if a procedure has set the status."""
        with T.If(memory.get(self.state, State.STATUS) != T.int64(0)), T.Then():
            intrin.assign(self.live, 4)

    def emit(self, expression: tuple) -> Value:
        """The value of an expression."""
        return getattr(self, f"_{expression[0]}")(*expression[1:])

    def check_steps(self, steps: Expr = None) -> None:
        """Emit the end of the call when its work is done; `steps` of it are taken off before."""
        left = memory.get(self.state, State.STEPS)
        if steps is not None:
            left = intrin.let(left - steps)
            memory.put(self.state, State.STEPS, left)
        self.fail(left < T.int64(0), Status.WORK)

    def count_of(self, kind: str, value: Value) -> Expr:
        """How many elements a sequence has now."""
        return value.count if kind in WIDTH else memory.length_of(value)

    def element(self, kind: str, value: Value, index: Expr) -> Value:
        """An element that is there, of a sequence."""
        if kind in WIDTH:
            return intrin.let(texts.load(value.address, index, WIDTH[kind]))
        at = intrin.let(memory.element_address(value, index * T.int64(2) if kind == "texts" else index))
        if kind == "texts":
            return View(intrin.let(intrin.load("int64", at)), intrin.let(intrin.load("int64", at + T.int64(8))))
        return intrin.let(intrin.load(dtype(ELEMENT[kind]), at))

    def place(self, count: Expr, index: Expr) -> tuple[Expr, Expr]:
        """(place, condition that it is there) of an index that counts from the end when it is negative; fails if it is not there."""
        at = intrin.let(T.Select(index < T.int64(0), index + count, index))
        good = intrin.let(T.cast(T.And(at >= T.int64(0), at < count), "int64"))
        self.fail(good == T.int64(0))
        return at, good != T.int64(0)

    def _index(self, kind: str, base: tuple, index: tuple) -> Value:
        value = self.emit(base)
        at, good = self.place(self.count_of(base[1], value), self.emit(index))
        result = Slot(kind)
        with T.If(good), T.Then():
            result.write(self.element(base[1], value, at))
        return result.read()

    def _len(self, kind: str, base: tuple) -> Value:
        del kind
        return self.count_of(base[1], self.emit(base))

    def _slice(self, kind: str, base: tuple, first: tuple | None, end: tuple | None) -> Value:
        value = self.emit(base)
        count = self.count_of(kind, value)

        def clamped(bound: tuple | None, default: Expr) -> Expr:
            if bound is None:
                return default
            at = self.emit(bound)
            from_end = intrin.let(T.Select(at < T.int64(0), T.max(at + count, T.int64(0)), at))
            return intrin.let(T.min(from_end, count))

        low, high = clamped(first, T.int64(0)), clamped(end, count)
        length = intrin.let(T.max(high - low, T.int64(0)))
        if kind in WIDTH:
            return View(intrin.let(value.address + low * T.int64(WIDTH[kind])), length)
        made = self.new_list(length)
        words = 2 if kind == "texts" else 1
        with T.serial(memory.length_of(made) * T.int64(words)) as k:
            given = memory.element_address(value, low * T.int64(words) + k)
            intrin.store("int64", memory.element_address(made, k), intrin.load("int64", given))
        return made

    def new_list(self, length: Expr, capacity: Expr | None = None) -> Expr:
        """A new list whose elements are not set; its length is 0 when there is too little memory."""
        self.check_steps(length)
        made = memory.new_list(self.state, length, capacity)
        self.check()
        return made

    def _contains(self, kind: str, whole: tuple, item: tuple) -> Value:
        del kind
        value, wanted = self.emit(whole), self.emit(item)
        if isinstance(wanted, View) and whole[1] == "text":
            texts.FIND.call(self.state, value.address, value.count, wanted.address, wanted.count)
            self.check()
            return intrin.let(T.cast(memory.get(self.state, State.RESULT) >= T.int64(0), "int64"))
        count, found, k = self.count_of(whole[1], value), intrin.local("int64", 0), intrin.local("int64", 0)
        self.check_steps(count)
        if whole[1] == "text":
            texts.HAS.call(self.state, value.address, count, wanted)
            return memory.get(self.state, State.RESULT)
        with T.While(T.And(k[0] < count, found[0] == T.int64(0))):
            one = self.element(whole[1], value, intrin.let(k[0]))
            if isinstance(wanted, View):
                texts.COMPARE.call(self.state, one.address, one.count, wanted.address, wanted.count, T.int64(4))
                intrin.assign(found, numbers.compare("==", memory.get(self.state, State.RESULT), T.int64(0)))
            else:
                intrin.assign(found, numbers.compare("==", one, intrin.let(wanted)))
            intrin.assign(k, k[0] + T.int64(1))
        self.check_steps()
        return intrin.let(found[0])

    def bits(self, kind: str, value: Value) -> Expr:
        """A number as the int64 that a list keeps."""
        return intrin.let(T.reinterpret("int64", intrin.let(value))) if kind == "float" else value

    def _list(self, kind: str, *items: tuple) -> Value:
        values = [self.emit(item) for item in items]
        made = self.new_list(T.int64(len(items)), T.int64(max(4, len(items))))
        with T.If(memory.length_of(made) == T.int64(len(items))), T.Then():
            for k, value in enumerate(values):
                intrin.store("int64", memory.element_address(made, T.int64(k)), self.bits(ELEMENT[kind], value))
        return made

    def _repeat(self, kind: str, item: tuple, count: tuple) -> Value:
        value = self.bits(ELEMENT[kind], self.emit(item))
        length = self.emit(count)
        made = self.new_list(intrin.let(T.max(length, T.int64(0))))
        first = memory.element_address(made, T.int64(0))
        with T.serial(memory.length_of(made)) as k:
            intrin.store("int64", first + k * T.int64(8), value)
        return made

    def _concat(self, kind: str, a: tuple, b: tuple) -> Value:
        del kind
        x, y = self.emit(a), self.emit(b)
        total = intrin.let(x.count + y.count)
        self.check_steps(total)
        address = memory.take(self.state, intrin.let(total * T.int64(4)))
        self.check()
        for part, start in ((x, T.int64(0)), (y, x.count)):
            with T.serial(T.if_then_else(address == T.int64(0), T.int64(0), part.count)) as k:
                intrin.store("int32", address + (start + k) * T.int64(4), intrin.load("int32", part.address + k * T.int64(4)))
        return View(address, intrin.let(T.Select(address == T.int64(0), T.int64(0), total)))
