"""Memory between the kernels of one function as one more result of it, which the virtual machine plans with all other memory.

    y = call_tir(softmax, (x,), out: (N, 3))      ->      outs = call_tir(softmax, (x,), out: ((N, 3), (N,), (N,)))
        [ maxima (N,) and sums (N,) inside ]              y = outs[0]

Else TVM takes it from a pool of the calling thread, which may free what kernels of a captured graph go on to use. For functions that TVM's
rules have scheduled; those of the project have no such memory.
"""

from __future__ import annotations

import tvm
from tvm import relax, s_tir, tirx
from tvm.tirx.buffer import BufferType

from relay_passes.graph import dataflow, op_name, with_bindings
from te_schedules.column_group.kernel import OPERATOR

CALL = "relax.call_tir"


@tvm.transform.module_pass(opt_level=0, name="rank.LiftWorkspace")
class LiftWorkspace:
    """See the module's text. `function` is the one that calls."""

    def __init__(self, function: str = "main"):
        self.function = function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with such functions and their calls rewritten; unchanged when there are none."""
        functions = {var.name_hint: function for var, function in mod.functions_items() if isinstance(function, tirx.PrimFunc)}
        found = {name: function for name, function in functions.items() if _workspace(function)}
        block = dataflow(mod[self.function])
        if not found or block is None:
            return mod
        rest = {var: function for var, function in mod.functions_items() if var.name_hint not in found}
        builder = relax.BlockBuilder(tvm.IRModule(rest, attrs=mod.attrs, global_infos=mod.global_infos))
        lifted = {name: builder.add_func(_with_parameters(function), name) for name, function in found.items()}
        bindings: list[relax.Binding] = []
        for binding in block.bindings:
            name = binding.value.args[0].name_hint if op_name(binding.value) == CALL else None
            bindings += _called(builder, binding, lifted[name], found[name]) if name in found else [binding]
        return with_bindings(builder.get(), self.function, bindings)


def _workspace(function: tirx.PrimFunc) -> list[tirx.Buffer]:
    """The buffers of device memory that a function has inside."""
    is_block = isinstance(function.body, s_tir.SBlockRealize)
    if not is_block or OPERATOR in function.attrs or "calling_conv" in function.attrs:
        return []
    return [buffer for buffer in function.body.block.alloc_buffers if buffer.scope() == "global"]


def _with_parameters(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with these buffers as its last tensors."""
    inside, block = _workspace(function), function.body.block
    tensors, numbers = _tensors(function), [param for param in function.params if not _is_tensor(param)]
    others = [buffer for buffer in block.alloc_buffers if not any(buffer.same_as(one) for one in inside)]
    parts = (others, block.match_buffers, block.annotations)
    made = s_tir.SBlock(block.iter_vars, block.reads, block.writes, block.name_hint, block.body, block.init, *parts)
    body = s_tir.SBlockRealize(function.body.iter_values, function.body.predicate, made)
    return tirx.PrimFunc([*tensors, *inside, *numbers], body, function.ret_type, function.attrs)


def _tensors(function: tirx.PrimFunc) -> list[tirx.Var]:
    return [param for param in function.params if _is_tensor(param)]


def _is_tensor(param: tirx.Var) -> bool:
    return isinstance(param.ty, BufferType)


def _called(
    builder: relax.BlockBuilder, binding: relax.VarBinding, target: tvm.ir.GlobalVar, function: tirx.PrimFunc
) -> list[relax.Binding]:
    """The call with room for the buffers, and its results under the old name."""
    _, arguments, *numbers = binding.value.args
    (outputs,) = binding.value.ty_args
    is_tuple = isinstance(outputs, relax.TupleType)
    results = list(outputs.fields) if is_tuple else [outputs]
    extents = tvm.sym.Analyzer()  # of the function, as those of the call
    for buffer, kind in zip(_tensors(function), [*(field.ty for field in arguments.fields), *results], strict=True):
        for inside, outside in zip(buffer.shape, kind.shape.values, strict=True):
            if isinstance(inside, tirx.Var):
                extents.bind(inside, outside, allow_override=True)
    room = [relax.TensorType([extents.simplify(e) for e in buffer.shape], buffer.dtype) for buffer in _workspace(function)]
    call = builder.normalize(relax.call_tir(target, arguments, [*results, *room], *numbers))
    made = relax.DataflowVar(f"{target.name_hint}_out", call.ty)
    parts = [relax.TupleGetItem(made, k) for k in range(len(results))]
    value = builder.normalize(relax.Tuple(parts) if is_tuple else parts[0])
    return [relax.VarBinding(made, call), relax.VarBinding(binding.var, value)]
