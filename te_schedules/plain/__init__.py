"""Operators of the dense model that TVM computes number by number, in forms that become vector instructions.

They stay TVM's operators: passes see `relax.nn.softmax` or `relax.concat`, and this table says what LegalizeOps makes of them. A form that
does not fit a call gives None, and the call has TVM's own.

- `elementwise`: exp, sigmoid, tanh, erf without a call of the C library for each number; they are fused as before.
- `softmax`, `layer_norm`, `concat`, `product` (batched matrix products), `sum`: kernels of their own, row by row.
"""

from __future__ import annotations

from collections.abc import Callable

import tvm
from tvm import relax

from te_schedules.plain import concat, elementwise, layer_norm, product, softmax, sum

Legalization = Callable[[relax.BlockBuilder, relax.Call], relax.Expr]


def _or_default(name: str, own: Callable[[relax.BlockBuilder, relax.Call], relax.Expr | None]) -> Legalization:
    default = tvm.ir.Op.get(name).get_attr("FLegalize")

    def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        found = own(builder, call)
        return default(builder, call) if found is None else found

    return legalize


LEGALIZATIONS: dict[str, Legalization] = {
    name: _or_default(name, own)
    for name, own in {
        **elementwise.LEGALIZATIONS,
        "relax.nn.softmax": softmax.legalize,
        "relax.concat": concat.legalize,
        "relax.nn.layer_norm": layer_norm.legalize,
        "relax.matmul": product.legalize,
        "relax.sum": sum.legalize,
    }.items()
}
