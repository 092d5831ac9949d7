"""Scalar building blocks of every kernel: raw memory, and 64-bit arithmetic that wraps.

Kernels are written with TVM's IR builder (`tvm.script.ir_builder.tirx`), as Python functions that emit statements into the
function being built. Two things cannot be said in plain TIR and live here, so that another target needs only this file:

*Addresses.* A column descriptor (`te_schedules/column.py`) holds addresses, so that one kernel can loop over columns. `load` and
`store` read and write a scalar at an int64 address, without alignment.

*Wrapping arithmetic.* TVM emits unsigned additions and products of 32 bits and more with LLVM's no-unsigned-wrap flag, so a hash
written with them is undefined behaviour (wrong for some lengths only). `Word` is an unsigned 64-bit number whose `+ - *` wrap.

Both are small LLVM functions that are imported into each kernel (`imports`) and inlined to plain instructions.
"""

from __future__ import annotations

from tvm import tirx
from tvm.script.ir_builder import tirx as T

_WIDTHS = {
    "uint8": "i8",
    "int8": "i8",
    "int32": "i32",
    "uint32": "i32",
    "int64": "i64",
    "uint64": "i64",
    "float32": "float",
    "float64": "double",
}


def _binary(name: str, body: str) -> str:
    return f"define linkonce_odr i64 @rank_{name}(i64 %a, i64 %b) alwaysinline {{\n{body}\n  ret i64 %r\n}}\n"


def _memory(llvm: str) -> str:
    return (
        f"define linkonce_odr {llvm} @rank_load_{llvm}(i64 %a) alwaysinline {{\n"
        f"  %p = inttoptr i64 %a to ptr\n  %r = load {llvm}, ptr %p, align 1\n  ret {llvm} %r\n}}\n"
        f"define linkonce_odr void @rank_store_{llvm}(i64 %a, {llvm} %v) alwaysinline {{\n"
        f"  %p = inttoptr i64 %a to ptr\n  store {llvm} %v, ptr %p, align 1\n  ret void\n}}\n"
    )


_LLVM = "".join(
    [
        *(_memory(width) for width in ("i8", "i32", "i64", "float", "double")),
        _binary("add", "  %r = add i64 %a, %b"),
        _binary("sub", "  %r = sub i64 %a, %b"),
        _binary("mul", "  %r = mul i64 %a, %b"),
        _binary("mulhi", "  %x = zext i64 %a to i128\n  %y = zext i64 %b to i128\n  %m = mul i128 %x, %y\n"
                "  %h = lshr i128 %m, 64\n  %r = trunc i128 %h to i64"),
        "declare i64 @llvm.fshr.i64(i64, i64, i64)\n",
        _binary("rotr", "  %r = call i64 @llvm.fshr.i64(i64 %a, i64 %a, i64 %b)"),
        "declare i64 @llvm.ctlz.i64(i64, i1)\n",
        "define linkonce_odr i64 @rank_clz(i64 %a) alwaysinline {\n"
        "  %r = call i64 @llvm.ctlz.i64(i64 %a, i1 false)\n  ret i64 %r\n}\n",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)\n",
        "define linkonce_odr void @rank_prefetch(i64 %a) alwaysinline {\n"
        "  %p = inttoptr i64 %a to ptr\n  call void @llvm.prefetch.p0(ptr %p, i32 0, i32 3, i32 1)\n  ret void\n}\n",
    ]
)  # fmt: skip


def imports():
    """The frame that every kernel opens around its body: `with intrin.imports(): ...`."""
    return T.attr(0, "pragma_import_llvm", _LLVM)


def const(value: int, dtype: str):
    """An integer constant of any size that `dtype` holds (uint64 above 2**63 included)."""
    return tirx.const(value, dtype)


def load(dtype: str, address):
    """The scalar of `dtype` at `address` (int64); unaligned. The read is an effect: it is not moved across stores."""
    return T.call_extern(dtype, f"rank_load_{_WIDTHS[dtype]}", address)


def store(dtype: str, address, value) -> None:
    """Emit a write of `value` at `address` (int64); unaligned."""
    T.evaluate(T.call_extern("void", f"rank_store_{_WIDTHS[dtype]}", address, T.cast(value, dtype)))


def prefetch(address) -> None:
    """Emit a prefetch of the cache line at `address` (int64) for reading; any address is harmless."""
    T.evaluate(T.call_extern("void", "rank_prefetch", address))


def address_of(buffer, index=0):
    """The address (int64) of `buffer[index]`."""
    return T.reinterpret("int64", T.address_of(buffer[index]))


def local(dtype: str, value):
    """A mutable local scalar: read it as `x[0]`, write it with `assign(x, ...)`."""
    buffer = T.alloc_buffer((1,), dtype, scope="local")
    assign(buffer, value)
    return buffer


def assign(buffer, value) -> None:
    """Emit `buffer[0] = value`."""
    T.buffer_store(buffer, T.cast(value, buffer.dtype) if not isinstance(value, (int, float)) else tirx.const(value, buffer.dtype), [0])


class Word:
    """An unsigned 64-bit number modulo 2**64. Each operation emits one `let`, so expressions are shared, never copied."""

    def __init__(self, expr):
        if isinstance(expr, int):
            expr = tirx.const(expr % 2**64, "uint64")
        self.expr = expr

    @staticmethod
    def let(expr) -> Word:
        """Evaluate a uint64 expression once."""
        return Word(T.bind(expr))

    @staticmethod
    def of(value) -> Word:
        """A Word from a Word, a Python int, or an integer expression (converted to uint64)."""
        if isinstance(value, Word):
            return value
        return Word(value) if isinstance(value, int) else Word.let(T.cast(value, "uint64"))

    def _call(self, name: str, other) -> Word:
        return Word.let(T.call_pure_extern("uint64", f"rank_{name}", self.expr, Word.of(other).expr))

    def __add__(self, other) -> Word:
        return self._call("add", other)

    def __sub__(self, other) -> Word:
        return self._call("sub", other)

    def __mul__(self, other) -> Word:
        return self._call("mul", other)

    def mulhi(self, other) -> Word:
        """The upper 64 bits of the 128-bit product."""
        return self._call("mulhi", other)

    def rotr(self, bits: int) -> Word:
        """Rotate right by `bits`."""
        return self._call("rotr", bits)

    def clz(self) -> Word:
        """Leading zero bits (64 for 0)."""
        return Word.let(T.call_pure_extern("uint64", "rank_clz", self.expr))

    def __xor__(self, other) -> Word:
        return Word.let(T.bitwise_xor(self.expr, Word.of(other).expr))

    def __and__(self, other) -> Word:
        return Word.let(T.bitwise_and(self.expr, Word.of(other).expr))

    def __or__(self, other) -> Word:
        return Word.let(T.bitwise_or(self.expr, Word.of(other).expr))

    def __rshift__(self, bits) -> Word:
        return Word.let(T.shift_right(self.expr, Word.of(bits).expr))

    def __lshift__(self, bits) -> Word:
        return Word.let(T.shift_left(self.expr, Word.of(bits).expr))
