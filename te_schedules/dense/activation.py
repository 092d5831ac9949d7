"""Activations that the dense kernels apply in registers: name -> a function from a float32 vector expression to another.

The exponential is written out, because TVM lowers `exp` of a vector to one libm call per lane. NaN goes through every step: a
minimum or maximum is a comparison that is false for NaN and then keeps the number.

Intermediate values are held in local buffers, which become registers. A `let` would not do: TVM substitutes it, so a polynomial
takes minutes to compile, and it then simplifies (a + b) - b to a, which removes the rounding.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.script.ir_builder import tirx as T

_LOG2E, _LN2_HIGH, _LN2_LOW = (
    1.44269504088896341,
    0.693145751953125,
    1.42860682030941723e-6,
)  # high part: 15 bits, n * high is exact
_ROUND = 12582912.0  # 1.5 * 2**23: adding it rounds to an integer, which then stands in the low bits
_ROUND_BITS = 0x4B400000
# (exp(r) - 1 - r) / r**2 on [-ln2/2, ln2/2], Taylor coefficients 1/2! .. 1/7!; the remainder is below half an ulp there.
_EXP_TAIL = (1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040)


def splat(value: float, lanes: int, dtype: str = "float32"):
    """The constant in every lane."""
    const = tirx.const(value, dtype)
    return const if lanes == 1 else T.broadcast(const, lanes)


def hold(value, lanes: int):
    """Evaluate a float32 vector once; the result may be used many times."""
    register = T.alloc_buffer((lanes,), "float32", scope="global")  # "local" would be taken from the heap
    index = [T.ramp(0, 1, lanes) if lanes > 1 else 0]
    T.buffer_store(register, value, index)
    return register[index[0]]


def _vector(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def _clamp(x, low: float, high: float, lanes: int):
    x = hold(x, lanes)
    x = hold(T.Select(x < splat(low, lanes), splat(low, lanes), x), lanes)
    return hold(T.Select(x > splat(high, lanes), splat(high, lanes), x), lanes)


def _exp_parts(x, lanes: int):
    """(s, q) with exp(x) = s * (1 + q), s a power of two, |q| < 0.42; x must lie in [-87, 89], where 89 gives s = inf."""
    shifted = hold(x * splat(_LOG2E, lanes) + splat(_ROUND, lanes), lanes)
    count = hold(shifted - splat(_ROUND, lanes), lanes)
    r = hold(x - count * splat(_LN2_HIGH, lanes) - count * splat(_LN2_LOW, lanes), lanes)
    tail = splat(_EXP_TAIL[-1], lanes)
    for coefficient in reversed(_EXP_TAIL[:-1]):
        tail = hold(tail * r + splat(coefficient, lanes), lanes)
    q = hold(r * r * tail + r, lanes)
    bits = T.reinterpret(_vector("int32", lanes), shifted) - splat(_ROUND_BITS - 127, lanes, "int32")
    scale = hold(T.reinterpret(_vector("float32", lanes), T.shift_left(bits, splat(23, lanes, "int32"))), lanes)
    return scale, q


def exponential(x, lanes: int):
    """exp(x) where x is at most 0: 1e-38 far out, where it would be less."""
    scale, q = _exp_parts(_clamp(x, -87.0, 0.0, lanes), lanes)
    return scale * (splat(1.0, lanes) + q)


def _none(x, _lanes: int):
    return x


def _relu(x, lanes: int):
    return T.Select(x < splat(0.0, lanes), splat(0.0, lanes), x)


def _sigmoid(x, lanes: int):
    """1 / (1 + exp(-x)); exactly 0 and 1 far out."""
    scale, q = _exp_parts(_clamp(splat(0.0, lanes) - x, -87.0, 89.0, lanes), lanes)
    return splat(1.0, lanes) / (splat(1.0, lanes) + scale * (splat(1.0, lanes) + q))


def _tanh(x, lanes: int):
    """m / (m + 2) with m = exp(2 x) - 1, which keeps the relative error small near 0; exactly +-1 beyond 10."""
    scale, q = _exp_parts(_clamp(x + x, -20.0, 20.0, lanes), lanes)
    minus_one = hold(scale * q + (scale - splat(1.0, lanes)), lanes)
    return minus_one / (minus_one + splat(2.0, lanes))


ACTIVATIONS: dict[str, Callable] = {"none": _none, "relu": _relu, "sigmoid": _sigmoid, "tanh": _tanh}
CHEAP = frozenset({"none", "relu"})  # at most one instruction on a register: applied as it is written, not in a pass of its own
