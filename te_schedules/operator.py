"""Registration of Relax operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tvm
from tvm.ir import Op


def define(
    name: str, description: str, arguments: Sequence[tuple[str, str]], infer: Callable, legalize: Callable | None = None
) -> Op:
    """Register a pure Relax operator; a second time is harmless.

    arguments: (name, kind: Tensor or Tuple) · infer(call, block_builder) -> relax type · legalize(block_builder, call) -> the call of a
    kernel, None for operators that a pass lowers.
    """
    if name not in Op.list_op_names():
        tvm.ir._ffi_api.RegisterOp(name, description)
        op = Op.get(name)
        op.set_num_inputs(-1)
        for argument, kind in arguments:
            op.add_argument(argument, kind, "")
        tvm.ir.register_op_attr(name, "FInferType", infer)
        tvm.ir.register_op_attr(name, "FPurity", True)
        tvm.ir.register_op_attr(name, "TScriptPrinterName", name)
        if legalize is not None:
            tvm.ir.register_op_attr(name, "FLegalize", legalize)
    return Op.get(name)
