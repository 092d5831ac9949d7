"""Expressions of a program as code. Values are bound: int64 (int, bool, char), float64 (float), `View` (text, bytes), int64 (lists)."""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.udf import memory, numbers, texts
from te_schedules.udf.memory import State
from te_schedules.udf.sequences import ELEMENT, WIDTH, Sequences, Slot, View, dtype

Expr = Any
Value = Any


class Expressions(Sequences):
    """Emits expressions."""

    def _const(self, kind: str, value: Any) -> Value:
        if kind == "float":
            return numbers.f(float.fromhex(value))
        if kind == "char":
            return T.int64(ord(value))
        if kind != "text":
            return intrin.const(int(value), "int64")
        address = memory.take(self.state, T.int64(4 * len(value)))
        with T.If(address != T.int64(0)), T.Then():
            for k, character in enumerate(value):
                intrin.store("int32", address + T.int64(4 * k), T.int32(ord(character)))
        self.check()
        return View(address, intrin.let(T.Select(address != T.int64(0), T.int64(len(value)), T.int64(0))))

    def _var(self, kind: str, name: str) -> Value:
        del kind
        return self.slots[name].read()

    def _convert(self, kind: str, value: tuple) -> Value:
        given = self.emit(value)
        if kind == "float":
            return intrin.let(T.cast(given, "float64"))
        if kind != "text":
            return given
        address = memory.take(self.state, T.int64(4))
        with T.If(address != T.int64(0)), T.Then():
            intrin.store("int32", address, given)
        self.check()
        return View(address, intrin.let(T.Select(address != T.int64(0), T.int64(1), T.int64(0))))

    def _binary(self, kind: str, op: str, a: tuple, b: tuple) -> Value:
        table = numbers.FLOAT if kind == "float" else numbers.INTEGER
        return table[op](self._own(a), self._own(b), self.fail)

    def _own(self, value: tuple) -> Value:
        """A number in a buffer of its own: TVM takes `x - x` for 0, which infinity is not."""
        return intrin.let(self.emit(value))

    def _unary(self, kind: str, op: str, value: tuple) -> Value:
        given = self._own(value)
        if op == "not":
            return intrin.let(T.int64(1) - given)
        if op == "~":
            return intrin.let(T.bitwise_xor(given, T.int64(-1)))
        return intrin.let(-given) if kind == "float" else numbers.INTEGER["-"](T.int64(0), given, self.fail)

    def _compare(self, kind: str, op: str, a: tuple, b: tuple) -> Value:
        del kind
        if a[1] not in WIDTH:
            return numbers.compare(op, self._own(a), self._own(b))
        x, y = self.emit(a), self.emit(b)
        texts.COMPARE.call(self.state, x.address, x.count, y.address, y.count, T.int64(WIDTH[a[1]]))
        self.check_steps()
        return numbers.compare(op, memory.get(self.state, State.RESULT), T.int64(0))

    def _logic(self, kind: str, op: str, a: tuple, b: tuple) -> Value:
        del kind
        result = intrin.local("int64", self.emit(a))
        with T.If(result[0] == T.int64(1 if op == "and" else 0)), T.Then():
            intrin.assign(result, self.emit(b))
        return intrin.let(result[0])

    def _choose(self, kind: str, test: tuple, yes: tuple, no: tuple) -> Value:
        result = Slot(kind)
        with T.If(self.emit(test) != T.int64(0)):
            with T.Then():
                result.write(self.emit(yes))
            with T.Else():
                result.write(self.emit(no))
        return result.read()

    def _formula(self, kind: str, form: str, op: str, *operands: tuple) -> Value:
        from te_schedules.feature import formula  # which imports the kinds of features, and so this file

        del kind
        values = [self._own(operand) for operand in operands]
        if form == "conditional":
            test, yes, no = values
            return intrin.let(T.if_then_else(formula.UNARY["!"](test) == numbers.f(0.0), yes, no))
        table: dict[str, Any] = {"binary": formula.BINARY, "unary": formula.UNARY, "call": formula.FUNCTIONS}
        return intrin.let(table[form][op](*values))

    # ---------------------------------------------------------------- calls

    def _call(self, kind: str, function: str, *arguments: tuple) -> Value:
        if function.endswith("_of"):
            return self._over_list(kind, function.removesuffix("_of"), arguments[0])
        if function in ("startswith", "endswith"):
            return self._begins(function, *(self.emit(argument) for argument in arguments))
        values = [self._own(argument) for argument in arguments]
        if function in numbers.ROUNDINGS and kind == "int":
            return numbers.whole(values[0], numbers.ROUNDINGS[function], self.fail)
        if function == "abs":
            negative = numbers.INTEGER["-"](T.int64(0), values[0], self.fail) if kind == "int" else None
            return (
                numbers.libm("fabs", values[0])
                if kind == "float"
                else intrin.let(T.Select(values[0] < T.int64(0), negative, values[0]))
            )
        if function in ("min", "max"):
            best, value = values
            return intrin.let(T.if_then_else(value < best if function == "min" else value > best, value, best))
        if function in ("isnan", "isinf", "isfinite"):
            return self._is(function, values[0])
        if function == "ord":
            return values[0]
        if function == "chr":
            inside = T.And(values[0] >= T.int64(0), values[0] < T.int64(0x110000))
            surrogate = T.And(values[0] >= T.int64(0xD800), values[0] < T.int64(0xE000))
            good = intrin.let(T.cast(T.And(inside, T.Not(surrogate)), "int64"))
            self.fail(good == T.int64(0))
            return intrin.let(T.Select(good != T.int64(0), values[0], T.int64(0)))
        return numbers.of_math(function, values, self.fail)

    @staticmethod
    def _is(function: str, x: Expr) -> Expr:
        infinite = numbers.libm("fabs", x) == numbers.f(float("inf"))
        conditions = {"isnan": T.isnan(x), "isinf": infinite, "isfinite": T.Not(T.Or(T.isnan(x), infinite))}
        return intrin.let(T.cast(conditions[function], "int64"))

    def _begins(self, function: str, whole: View, part: View) -> Value:
        fits = part.count <= whole.count
        start = whole.address if function == "startswith" else whole.address + (whole.count - part.count) * T.int64(4)
        length = intrin.let(T.if_then_else(fits, part.count, whole.count))
        texts.COMPARE.call(self.state, T.if_then_else(fits, start, whole.address), length, part.address, part.count, T.int64(4))
        self.check_steps()
        return intrin.let(T.cast(memory.get(self.state, State.RESULT) == T.int64(0), "int64"))

    def _over_list(self, kind: str, function: str, argument: tuple) -> Value:
        items, element = self.emit(argument), ELEMENT[argument[1]]
        length = memory.length_of(items)
        self.check_steps(length)
        if function in ("min", "max"):
            self.fail(length == T.int64(0))
        start = {"all": 1}.get(function, 0)
        result = intrin.local(dtype(kind), start)
        with T.serial(length) as k:
            value = intrin.let(intrin.load(dtype(element), memory.element_address(items, k)))
            if function == "sum":
                add = numbers.FLOAT["+"] if kind == "float" else numbers.INTEGER["+"]
                intrin.assign(result, add(intrin.let(result[0]), value, self.fail))
            elif function in ("min", "max"):
                better = value < result[0] if function == "min" else value > result[0]
                intrin.assign(result, T.if_then_else(T.Or(k == T.int64(0), better), value, result[0]))
            else:
                zero = numbers.f(0.0) if element == "float" else T.int64(0)
                is_true = numbers.compare("!=", value, zero)
                combine = T.bitwise_and if function == "all" else T.bitwise_or
                intrin.assign(result, combine(result[0], is_true))
        return intrin.let(result[0])
