"""Scalar building blocks of every kernel: raw memory, and 64-bit arithmetic that wraps.

Kernels are written with TVM's IR builder (`tvm.script.ir_builder.tirx`), as Python functions that emit statements into the
function being built. Two things cannot be said in plain TIR and live here, so that another target needs only this file:

*Addresses.* A column descriptor (`te_schedules/column.py`) holds addresses, so that one kernel can loop over columns. `load` and
`store` read and write a scalar at an int64 address, without alignment.

*Wrapping arithmetic.* TVM emits unsigned additions and products of 32 bits and more with LLVM's no-unsigned-wrap flag, so a hash
written with them is undefined behaviour (wrong for some lengths only). `Word` is an unsigned 64-bit number whose `+ - *` wrap.

Both are small functions that are imported into each kernel (`imports`) and inlined to plain instructions: in LLVM for CPUs, in CUDA C++
for GPUs (`te_schedules/gpu/prelude.cuh`). Which of them is meant says the target around (`with target:`).
"""

from __future__ import annotations

from collections.abc import Sequence

import tvm
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import prelude_llvm
from te_schedules.gpu import prelude


def on_gpu() -> bool:
    """Whether the code that is built is for a GPU."""
    target = tvm.target.Target.current(allow_none=True)
    return target is not None and target.kind.name == "cuda"


def local_scope() -> str:
    """The scope of local buffers. On CPU only a small constant "global" buffer (< 1,024 bytes) becomes a stack slot, and then a register;
    TVM takes every other scope from its workspace pool (lower_tvm_builtin.cc): a call, and memory traffic at each use."""
    return "local" if on_gpu() else "global"


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


def imports():
    """The frame that every kernel opens around its body, on a GPU inside of its threads: `with intrin.imports(): ...`."""
    return T.attr(0, "pragma_import_c", prelude.text()) if on_gpu() else T.attr(0, "pragma_import_llvm", prelude_llvm.TEXT)


def const(value: int, dtype: str):
    """An integer constant of any size that `dtype` holds (uint64 above 2**63 included)."""
    return tirx.const(value, dtype)


def load(dtype: str, address):
    """The scalar of `dtype` at `address` (int64); unaligned. The read is an effect: it is not moved across stores."""
    # in C++ a function's type says how its number becomes a wider one; LLVM's integers have no sign
    return T.call_extern(dtype, f"rank_load_{dtype if on_gpu() else _WIDTHS[dtype]}", address)


def store(dtype: str, address, value) -> None:
    """Emit a write of `value` at `address` (int64); unaligned."""
    T.evaluate(T.call_extern("void", f"rank_store_{_WIDTHS[dtype]}", address, T.cast(value, dtype)))


def copy(target, source, size) -> None:
    """Emit the copy of `size` bytes between two addresses (all int64) that do not overlap, as fast as long copies can be."""
    T.evaluate(T.call_extern("void", "rank_copy", target, source, size))


def prefetch(address) -> None:
    """Emit a prefetch of the cache line at `address` (int64) for reading; any address is harmless."""
    T.evaluate(T.call_extern("void", "rank_prefetch", address))


def rounded(value):
    """A float64 that is rounded here: TVM lets LLVM fuse a product and a sum into one operation, which rounds once less."""
    return T.bind(T.call_extern("float64", "rank_fence", value))


def libm(name: str, *arguments):
    """A function of the C library, of float64; see docs/gpu.md for which ones a GPU has with another last bit."""
    return T.call_extern("float64", f"rank_{name}" if on_gpu() and name in prelude.FLOAT64 else name, *arguments)


def let(value):
    """Evaluate an expression once and give the variable.

    TVM's analysis substitutes the values of `let` variables into each other wherever it meets a condition; through the nested
    conditions of a feature kernel that takes minutes. So the value is kept in a local buffer, which LLVM turns back into a register.
    """
    if hasattr(value, "asobject"):  # `a == b` and `a != b` are made into expressions late
        value = value.asobject()
    buffer = T.alloc_buffer((1,), str(value.ty.dtype), scope=local_scope())
    T.buffer_store(buffer, value, [0])
    return buffer[0]


def table(name: str, values: Sequence[int]):
    """A frame (`with intrin.table(...):`) inside which `table_at(name, index)` reads the constant uint64 array `values`.

    All uses of one name share one array, so a name stands for the same values everywhere.
    """
    if on_gpu():
        return T.attr(0, "pragma_import_c", prelude.table(name, values))
    words = ", ".join(f"i64 {value}" for value in values)
    kind = f"[{len(values)} x i64]"
    llvm = (
        f"@rank_table_{name} = linkonce_odr hidden local_unnamed_addr constant {kind} [{words}], align 64\n"
        f"define linkonce_odr i64 @rank_{name}_at(i64 %i) alwaysinline {{\n"
        f"  %p = getelementptr inbounds {kind}, ptr @rank_table_{name}, i64 0, i64 %i\n"
        f"  %r = load i64, ptr %p, align 8\n  ret i64 %r\n}}\n"
    )
    return T.attr(0, "pragma_import_llvm", llvm)


def table_at(name: str, index) -> Word:
    """Element `index` (int64, in range) of the table `name`."""
    return Word.let(T.call_extern("uint64", f"rank_{name}_at", index))


def store_last(buffer, index, value, group: int) -> None:
    """Emit a write of an int64 that others may write too. On a GPU, whose threads have no order, it stays as a loop over rows would leave it:
    the largest remainder by `group` wins, which is 2 ** 40, and of two equal ones the smaller number."""
    if not on_gpu():
        T.buffer_store(buffer, value, [index])
        return
    assert group == 2**40, "as rank_store_last has it"
    T.evaluate(T.call_extern("void", "rank_store_last", address_of(buffer, index), value))


def address_of(buffer, index=0):
    """The address (int64) of `buffer[index]`."""
    return T.reinterpret("int64", T.address_of(buffer[index]))


def pointer(address):
    """An address (int64) as the argument of a procedure that takes a pointer."""
    return T.call_extern("int64", "rank_pointer_to", address) if on_gpu() else T.reinterpret("handle", address)


def array(length: int, dtype: str):
    """A local array. Below 1,024 bytes it lies on the stack, else in TVM's workspace pool, at the cost of two calls."""
    return T.alloc_buffer((length,), dtype, scope=local_scope())


def keep(buffer) -> None:
    """Emit a use of a local array whose address is read: behind its last use TVM gives its memory to others, and sees no addresses."""
    T.evaluate(T.address_of(buffer[0]))


def address_of_row(buffer, row):
    """The address (int64) of row `row` of a 2-D buffer."""
    return T.reinterpret("int64", T.address_of(buffer[row, 0]))


def local(dtype: str, value):
    """A mutable local scalar: read it as `x[0]`, write it with `assign(x, ...)`."""
    buffer = T.alloc_buffer((1,), dtype, scope=local_scope())
    assign(buffer, value)
    return buffer


def assign(buffer, value) -> None:
    """Emit `buffer[0] = value`."""
    T.buffer_store(
        buffer, T.cast(value, buffer.dtype) if not isinstance(value, (int, float)) else tirx.const(value, buffer.dtype), [0]
    )


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
        if isinstance(value, int):
            return Word(value)
        if isinstance(value, tirx.IntImm):
            return Word(int(value))
        # TVM deduces from a cast of int64 to uint64, or back, that the number is not negative
        is_signed = str(value.ty.dtype) == "int64"
        return Word.let(T.call_extern("uint64", "rank_bits", value) if is_signed else T.cast(value, "uint64"))

    @property
    def signed(self):
        """The same 64 bits as an int64 expression (two's complement)."""
        return T.call_extern("int64", "rank_bits", self.expr)

    def equals(self, other):
        """Condition: the numbers are equal."""
        return T.bind((self ^ other).signed == T.int64(0))

    def _call(self, name: str, other) -> Word:
        # not call_pure_extern: TVM's simplifier substitutes pure lets into each other, which took 4 s for one FarmHash (now 0.05 s)
        return Word.let(T.call_extern("uint64", f"rank_{name}", self.expr, Word.of(other).expr))

    def __add__(self, other) -> Word:
        return self._call("add", other)

    def __sub__(self, other) -> Word:
        return self._call("sub", other)

    def __mul__(self, other) -> Word:
        return self._call("mul", other)

    def mulhi(self, other) -> Word:
        """The upper 64 bits of the 128-bit product."""
        return self._call("mulhi", other)

    def remainder(self, size, magic):
        """This number modulo `size` (int64 in [1, 2**63)), as int64.

        The remainder of a run-time 64-bit divisor costs 25 to 90 cycles as an instruction. With magic = floor((2**64 - 1) / size) (the
        bit pattern as int64), the upper half of number * magic is the quotient or one less: one conditional subtraction is left to do.
        """
        return T.bind(T.call_extern("int64", "rank_remainder", self.expr, size, magic))

    def rotr(self, bits: int) -> Word:
        """Rotate right by `bits`."""
        return self._call("rotr", bits)

    def clz(self) -> Word:
        """Leading zero bits (64 for 0)."""
        return Word.let(T.call_extern("uint64", "rank_clz", self.expr))

    def less(self, other):
        """Condition: this number is below `other`. (TVM's analysis of conditions fails on `<` of uint64 and a constant.)"""
        return T.bind(T.call_extern("bool", "rank_less", self.expr, Word.of(other).expr))

    def __invert__(self) -> Word:
        return self ^ (2**64 - 1)

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
