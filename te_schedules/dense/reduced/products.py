"""sums += products of one word of x (2 bf16 or 4 int8) with the words of a register of weights, for each instruction set.

All forms of int8 give the same integers. bf16 is multiplied by AVX512-BF16 where the target has it, which takes denormal numbers for 0;
else it is widened to float32 in registers, which costs two operations a word.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import tvm
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import splat
from te_schedules.dense.reduced import instructions

_has_feature = tvm.get_global_func("target.target_has_feature")


@dataclass(frozen=True)
class Products:
    """A form: `feature` of LLVM and `lanes` that it needs (None: any), whether the weights of a word lie together, the name of the
    instruction that multiplies, the functions in LLVM that it calls, and that of them which rounds rows of x ("": none does)."""

    precision: str
    feature: str | None
    lanes: int | None
    interleaved: bool
    instruction: str
    imports: str = ""
    rounds: str = ""


PRODUCTS = {
    "vnni": Products("int8", "avx512vnni", 16, True, "vpdpbusd"),
    "plain": Products("int8", None, None, False, "multiplications of int32"),
    "pairs": Products("bf16", "avx512bf16", 16, True, "vdpbf16ps", instructions.PAIRS, "rank_round_bf16"),
    "widened": Products("bf16", None, None, True, "multiplications of float32"),
}


def products_for(precision: str, target: tvm.target.Target | None, lanes: int) -> str:
    """The best form for a target whose registers are `lanes` numbers of 32 bits wide."""

    def fits(form: Products) -> bool:
        has = form.feature is None or (target is not None and _has_feature(form.feature, target))
        return form.precision == precision and has and form.lanes in (None, lanes)

    return next(name for name, form in PRODUCTS.items() if fits(form))


def has_instruction(precision: str, target: tvm.target.Target) -> bool:
    """Whether a target multiplies a precision by an instruction made for it."""
    needed = [form.feature for form in PRODUCTS.values() if form.precision == precision and form.feature is not None]
    return any(_has_feature(feature, target) for feature in needed)


def imports(form: str):
    """The frame that a kernel opens around its body, for the functions that a form calls."""
    return T.attr(0, "pragma_import_llvm", PRODUCTS[form].imports) if PRODUCTS[form].imports else nullcontext()


def add_products(form: str, sums, x, load, lanes: int):
    """sums + products. sums: `lanes` int32 or float32 · x: one int32 word of x · load(first, count) -> `count` int8 of the word's
    weights from the `first` on, or int32 words of bf16 where count is `lanes`."""
    return _FORMS[form](sums, x, load, lanes)


def _vnni(sums, x, load, lanes: int):
    numbers = T.reinterpret(f"uint8x{4 * lanes}", T.broadcast(x, lanes))
    return T.call_llvm_intrin(f"int32x{lanes}", "llvm.x86.avx512.vpdpbusd.512", sums, numbers, load(0, 4 * lanes))


def _plain(sums, x, load, lanes: int):
    for k in range(4):
        number = T.bitwise_and(T.shift_right(x, tirx.const(8 * k, "int32")), tirx.const(255, "int32"))
        sums = sums + T.broadcast(number, lanes) * T.cast(load(k * lanes, lanes), f"int32x{lanes}")
    return sums


def _pairs(sums, x, load, lanes: int):
    return T.call_extern(f"float32x{lanes}", "rank_add_pairs", sums, T.broadcast(x, lanes), load(0, lanes))


def _widened(sums, x, load, lanes: int):
    weights = load(0, lanes)
    return sums + _low(x, 1, lanes) * _low(weights, lanes, lanes) + _high(x, 1, lanes) * _high(weights, lanes, lanes)


def _low(words, have: int, lanes: int):
    """float32 of the bf16 in the low halves of `have` words, in all lanes."""
    return _floats(T.shift_left(words, splat(16, have, "int32")), have, lanes)


def _high(words, have: int, lanes: int):
    return _floats(T.bitwise_and(words, splat(-65536, have, "int32")), have, lanes)


def _floats(bits, have: int, lanes: int):
    floats = T.reinterpret("float32" if have == 1 else f"float32x{have}", bits)
    return floats if have == lanes else T.broadcast(floats, lanes)


_FORMS = {"vnni": _vnni, "plain": _plain, "pairs": _pairs, "widened": _widened}
