"""The plan of a Relax module: a walk over `main` that counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import tvm
from tvm import relax, tirx

from relay_passes.sides import ITEM_COLUMNS, REQUEST_COLUMNS, infer
from te_schedules.column_group import op
from te_schedules.pair.op import NAME as PAIR_LAYERS
from te_schedules.pair.op import layers_of
from te_schedules.pair.pool import NAME as PAIR_POOL
from te_schedules.trees.kernel import NAME as TREES
from tvm_rank.ops.table_rows import row_bytes
from tvm_rank.plan.steps import Amount, Step

Size = Callable[[Any], int]  # an extent as a number
REQUESTS, ITEMS = "R", "N"
# FLOPs for each element of the result, where it is not one; data movement has none
PER_ELEMENT = {"softmax": 5, "nn.layer_norm": 8, "nn.batch_norm": 4, "nn.gelu": 8, "sigmoid": 4, "tanh": 5, "exp": 1, "log": 1}
REDUCTIONS = frozenset(("sum", "mean", "max", "min", "prod", "std", "variance", "argmax", "argmin"))  # of their input's elements
MOVES = frozenset(
    ("concat", "take", "reshape", "expand_dims", "squeeze", "strided_slice", "broadcast_to", "permute_dims", "flatten", "split",
     "astype", "gather_elements", "gather_nd", "tile", "repeat", "full", "zeros", "ones", "shape_of", "memory.view")
)  # fmt: skip


def steps_of(mod: tvm.IRModule, function: str = "main") -> tuple[Step, ...]:
    """The steps of a function, one for each call. Views of a tuple, renamed variables and constants are no steps.

    Kernels say in their attribute `rank.flops` how many operations they need for each row of their result; others count none.
    """
    flops = {
        var.name_hint: int(other.attrs["rank.flops"])
        for var, other in mod.functions_items()
        if other.attrs and "rank.flops" in other.attrs
    }
    return _Trace(mod[function], flops).steps


class _Trace:
    def __init__(self, function: relax.Function, flops: Mapping[str, int]):
        self.flops = flops
        self.sides = infer(function)
        self.symbols = list(relax.analysis.defined_symbolic_vars(function))
        self.made: dict[relax.Var, frozenset[int]] = {}  # variable -> the steps that its value comes from
        found: list[Step] = []
        for block in function.body.blocks:
            for binding in block.bindings:
                reads = frozenset().union(*(self.made.get(var, frozenset()) for var in relax.analysis.free_vars(binding.value)))
                if isinstance(binding.value, relax.Call):
                    found.append(self._step(binding, reads))
                    reads = frozenset([len(found) - 1])
                self.made[binding.var] = reads
        self.steps = tuple(found)

    def _step(self, binding: Any, reads: frozenset[int]) -> Step:
        call = binding.value
        name, operator = binding.var.name, _operator(call)
        if operator == "call_tir":
            name = operator = call.args[0].name_hint
        elif op.is_feature(call):
            name = op.decode(call).name
        return Step(
            name=name,
            operator=operator,
            side=str(self.sides[binding.var]),
            rows=_amount(lambda size: _rows(binding.var.ty, size), self.symbols),
            flops=_amount(lambda size: self._flops(call, binding.var.ty, operator, size), self.symbols),
            bytes=_amount(lambda size: _bytes(call, binding.var.ty, size), self.symbols),
            inputs=tuple(sorted(reads)),
        )

    def _flops(self, call: relax.Call, result: Any, operator: str, size: Size) -> int:
        return self.flops[operator] * _rows(result, size) if operator in self.flops else _flops(call, result, operator, size)


def _amount(count: Callable[[Size], int], symbols: Sequence[tirx.Var]) -> Amount:
    """The coefficients of a count that is linear in R and N."""

    def at(requests: int, items: int) -> int:
        analyzer = tvm.sym.Analyzer()
        for var in symbols:  # TVM numbers symbols of one name (R_1)
            rows = {REQUESTS: requests, ITEMS: items}.get(var.name.partition("_")[0], 0)
            analyzer.bind(var, tirx.const(rows, var.ty.dtype))
        return count(lambda extent: int(analyzer.simplify(extent)))

    constant = at(0, 0)
    return Amount(constant=constant, requests=at(1, 0) - constant, items=at(0, 1) - constant)


def _operator(call: relax.Call) -> str:
    return str(call.op.name).removeprefix("relax.") if isinstance(call.op, tvm.ir.Op) else str(call.op)


def _tensors(kind: Any) -> list[relax.TensorType]:
    """The tensors of a type whose shape is known."""
    if isinstance(kind, relax.TupleType):
        return [tensor for field in kind.fields for tensor in _tensors(field)]
    return [kind] if isinstance(kind, relax.TensorType) and kind.shape is not None else []


def _elements(kind: Any, size: Size) -> int:
    return sum(prod(size(extent) for extent in tensor.shape.values) for tensor in _tensors(kind))


def _rows(kind: Any, size: Size) -> int:
    shapes = [tensor.shape.values for tensor in _tensors(kind) if len(tensor.shape.values)]
    return size(shapes[0][0]) if shapes else 0


def _arguments(call: relax.Call) -> list[relax.Expr]:
    return [inner for argument in call.args for inner in (argument.fields if isinstance(argument, relax.Tuple) else [argument])]


def _is_table(argument: relax.Expr) -> bool:
    """Embedding and descriptor tables: a call reads little of them."""
    return isinstance(argument, relax.Var) and (
        argument.name.startswith("stack_") or argument.name in (REQUEST_COLUMNS, ITEM_COLUMNS)
    )


def _flops(call: relax.Call, result: Any, operator: str, size: Size) -> int:
    if isinstance(call.args and call.args[0], relax.GlobalVar):  # a kernel, which may have the name of an operator
        return 0
    if operator == "matmul":
        return 2 * _elements(result, size) * size(call.args[0].ty.shape.values[-1])
    if operator == "rank.dense":
        return (2 * size(call.args[0].ty.shape.values[-1]) + 1) * _elements(result, size)
    if operator == PAIR_LAYERS:
        return layers_of(call).flops * _rows(result, size)
    if operator == PAIR_POOL:
        return 2 * size(call.args[1].ty.shape.values[1]) * _elements(result, size)
    if operator == TREES:  # a comparison for each level of each tree, as deep as its deepest leaf, and the sum
        trees = call.args[2].value.numpy()
        return int(trees[:, 1].sum() + len(trees)) * _rows(result, size)
    if operator.startswith("rank.") or operator in MOVES:
        return 0
    counted = call.args[0].ty if operator in REDUCTIONS else result
    return PER_ELEMENT.get(operator, 1) * _elements(counted, size)


def _bytes(call: relax.Call, result: Any, size: Size) -> int:
    """What is read and written, without descriptors; of a table a row, in the table's own precision, for each row of a lookup's result."""

    def total(kind: Any) -> int:
        return sum(
            prod(size(extent) for extent in t.shape.values) * ((tvm.DataType(str(t.dtype)).bits + 7) // 8) for t in _tensors(kind)
        )

    if op.is_call(call, op.LOOKUP):
        form = op.table_format(call)
        return total(result) + _rows(result, size) * row_bytes(form.precision, form.dim)
    return total(result) + sum(
        total(a.ty) for a in _arguments(call) if not (isinstance(a, relax.Var) and a.name.startswith("stack_"))
    )
