"""exp, sigmoid, tanh and erf of float32 as arithmetic, which LLVM turns into vector instructions where a call of the C library stays scalar.

NaN stays NaN. exp is within 2 units in the last place between LOWEST and HIGHEST, 0 below and inf above;
tanh and erf are within 1e-6 of theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import relax, te, tirx

LOWEST, HIGHEST = -87.33, 88.37  # where the exponent of a float ends
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
# exp(r) = 1 + r + r^2 p(r) on [-ln2/2, ln2/2]; Taylor coefficients 1/7! .. 1/2!
_EXP_TAIL = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2)
# erf after Abramowitz and Stegun 7.1.26, within 1.5e-7
_ERF_P, _ERF = 0.3275911, (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _f(value: float):
    return tirx.const(value, "float32")


def _polynomial(x, coefficients):
    total = _f(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + _f(coefficient)
    return total


def exponential(x):
    """exp(x) of a float32 expression, which is evaluated often: a load."""
    clamped = tirx.Select(x < _f(LOWEST), _f(LOWEST), tirx.Select(x > _f(HIGHEST), _f(HIGHEST), x))
    count = tirx.floor(clamped * _f(_LOG2E) + _f(0.5))
    r = clamped - count * _f(_LN2_HIGH) - count * _f(_LN2_LOW)
    scale = tirx.reinterpret("float32", (count.astype("int32") + tirx.const(127, "int32")) << tirx.const(23, "int32"))
    return (_polynomial(r, _EXP_TAIL) * r * r + r + _f(1.0)) * scale


def _exp(x):
    inside = tirx.Select(x > _f(HIGHEST), _f(float("inf")), exponential(x))
    return tirx.Select(x < _f(LOWEST), _f(0.0), inside)


def _sigmoid(x):
    return _f(1.0) / (_f(1.0) + exponential(_f(0.0) - x))


def _staged(name: str, *stages: Callable):
    """A computation of several stages, each over the array of the one before: what a stage reads often is a load."""

    def compute(data: te.Tensor) -> te.Tensor:
        found = data
        for number, stage in enumerate(stages):
            label = name if number + 1 == len(stages) else f"{name}_{number}"
            found = _stage(stage, found, data, label)
        return found

    return compute


def _stage(stage: Callable, source: te.Tensor, data: te.Tensor, name: str) -> te.Tensor:
    return te.compute(data.shape, lambda *at: stage(source(*at), data(*at)), name=name)


def _tanh_of(e, x):
    """(e - 1) / (e + 1) with e = exp(2 x); x itself near 0, where the difference has no digits left."""
    cubic = x - x * x * x * _f(1 / 3)
    return tirx.Select(tirx.abs(x) < _f(0.01), cubic, (e - _f(1.0)) / (e + _f(1.0)))


def _erf_of(e, x):
    """1 - p(t) exp(-x^2), t = 1 / (1 + p |x|), with the sign of x."""
    size = tirx.abs(x)
    t = _f(1.0) / (_f(1.0) + _f(_ERF_P) * size)
    value = _f(1.0) - _polynomial(t, _ERF) * t * e
    return tirx.Select(x < _f(0.0), _f(0.0) - value, value)


def _gelu_of(e, x):
    """x (1 + erf(x / sqrt(2))) / 2"""
    return _f(0.5) * x * (_f(1.0) + _erf_of(e, x * _f(2**-0.5)))


COMPUTES: dict[str, Callable[[te.Tensor], te.Tensor]] = {
    "exp": _staged("exp", lambda x, _: _exp(x)),
    "sigmoid": _staged("sigmoid", lambda x, _: _sigmoid(x)),
    "tanh": _staged("tanh", lambda x, _: exponential(tirx.Select(tirx.abs(x) > _f(10.0), x * _f(8.0), x + x)), _tanh_of),
    "nn.gelu": _staged("gelu", lambda x, _: exponential(_f(-0.5) * x * x), _gelu_of),
    "nn.silu": _staged("silu", lambda x, _: x * _sigmoid(x)),
    "erf": _staged("erf", lambda x, _: exponential(_f(0.0) - x * x), _erf_of),
}


def _legalization(name: str) -> Callable[[relax.BlockBuilder, relax.Call], relax.Expr | None]:
    def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr | None:
        if call.args[0].ty.dtype != "float32":
            return None
        return builder.call_te(COMPUTES[name], call.args[0], primfunc_name_hint=name.rpartition(".")[2])

    return legalize


LEGALIZATIONS = {f"relax.{name}": _legalization(name) for name in COMPUTES}
