"""Add the function that ranks without the virtual machine: one call of compiled code, which calls the kernels itself.

    rank_direct(words)              the same as `rank_batches` (`add_entries.py`), from the address of one vector of int64 words
    rank_constants()                the constants of its kernels, a tuple

The words are, for each parameter of `rank_batches`, the address and the extents of a tensor or the values of a shape; then the addresses of
its results, which the caller made; then those of the constants. Nothing of them is checked here: the virtual machine's function is, and
whoever calls this one has called that one before, with tensors of the same shapes (`tvm_rank/runtime/direct.py`).

The virtual machine takes 0.1 to 0.2 us for an instruction, of which a request has hundreds: for each tensor it asks for memory, makes a
shape, makes a tensor, and gives all of it back. Here tensors are structs on the stack, and their memory is one piece, whose parts are
dealt when this is compiled. It stands behind `CallTIRRewrite`, where a function is memory, calls of kernels, and names of parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from relay_passes.tensor_memory import Memory, NotKnown, dealt, evaluated
from te_schedules import intrin, thread_memory

ENTRY, DIRECT, CONSTANTS = "rank_batches", "rank_direct", "rank_constants"
LINE = 64
KEPT = "int64"  # tensors whose memory is never dealt again: descriptors hold addresses in each other


@dataclass(frozen=True, eq=False)
class _Tensor:
    memory: Memory
    shape: tuple[Any, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class _Call:
    kernel: str
    tensors: tuple[_Tensor, ...]


@tvm.transform.module_pass(opt_level=0, name="rank.AddDirectEntry")
class AddDirectEntry:
    """See the module's text. A module with a form that only the virtual machine does stays as it is."""

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with both functions added."""
        if ENTRY not in [var.name_hint for var in mod.get_global_vars()]:
            return mod
        trace = _Trace(mod)
        try:
            trace.run()
            direct = trace.prim_func()
        except NotKnown:
            return mod
        mod = tvm.IRModule(dict(mod.functions_items()), attrs=mod.attrs, global_infos=mod.global_infos)
        mod[DIRECT] = direct
        builder = relax.BlockBuilder(mod)
        with builder.function(CONSTANTS, [], attrs={"global_symbol": CONSTANTS, "relax.force_pure": True}):
            builder.emit_func_output(builder.emit(relax.Tuple(trace.constants)))
        return builder.get()


@dataclass(eq=False)
class _Trace:
    """The calls of kernels, in order, of the entry and of what it calls."""

    mod: tvm.IRModule
    calls: list[_Call] = field(default_factory=list)
    made: list[Memory] = field(default_factory=list)
    constants: list[tvm.ir.GenericConst] = field(default_factory=list)
    words: dict[tirx.Var, int] = field(default_factory=dict)  # symbolic dimension -> its place in the words
    size: int = 0  # words so far

    def run(self) -> None:
        """Follow the entry. Raises NotKnown."""
        function = self.mod[ENTRY]
        values = {param: self._param(param.ty) for param in function.params}
        results = self._follow(function, values, {dim: dim for dim in self.words})
        for result in results if isinstance(results, tuple) else (results,):
            if not isinstance(result, _Tensor) or result.memory.word is not None:
                raise NotKnown
            result.memory.word = self._word()
            self.made.remove(result.memory)
        for memory in self._constants.values():
            memory.word = self._word()

    def __post_init__(self) -> None:
        self._constants: dict[int, Memory] = {}

    def _word(self) -> int:
        self.size += 1
        return self.size - 1

    def _param(self, kind: relax.Type) -> Any:
        """The value of a parameter of the entry."""
        if isinstance(kind, relax.ShapeType):
            return _Shape(tuple(self._extent(extent) for extent in kind.values))
        address = self._word()
        return _Tensor(Memory(word=address), tuple(self._extent(extent) for extent in kind.shape.values), str(kind.dtype))

    def _extent(self, extent: Any) -> Any:
        place = self._word()
        if isinstance(extent, tirx.Var):
            self.words.setdefault(extent, place)
            return extent
        return int(extent)

    def _follow(self, function: relax.Function, values: dict[relax.Var, Any], dims: dict[tirx.Var, Any]) -> Any:
        """The results of a function. dims: what its symbolic dimensions are in the entry's."""
        frame = _Frame(self, values, dims)
        for block in function.body.blocks:
            for binding in block.bindings:
                value = frame.value(binding.value)
                if isinstance(binding, relax.MatchCast):
                    _bind_dims(binding.ty, value, frame.dims)
                values[binding.var] = value
        return frame.value(function.body.body)

    def constant(self, value: tvm.ir.GenericConst) -> _Tensor:
        """A constant as a tensor; one that is used in several places is one."""
        key = value.value.data_ptr()
        if key not in self._constants:
            self._constants[key] = Memory()
            self.constants.append(value)
        return _Tensor(self._constants[key], tuple(value.value.shape), str(value.value.dtype))

    def allocate(self, shape: Sequence[Any], dtype: str) -> _Tensor:
        """A tensor that kernels write."""
        size: Any = np.dtype(dtype).itemsize
        for extent in shape:
            size = size * extent
        memory = Memory(size=size, is_kept=dtype == KEPT, first=len(self.calls))
        self.made.append(memory)
        return _Tensor(memory, tuple(shape), dtype)

    def call(self, kernel: str, tensors: Sequence[Any]) -> None:
        """A call of a kernel."""
        if not all(isinstance(tensor, _Tensor) for tensor in tensors):
            raise NotKnown
        for tensor in tensors:
            tensor.memory.last = len(self.calls)
        self.calls.append(_Call(kernel, tuple(tensors)))

    def prim_func(self) -> tirx.PrimFunc:
        """`rank_direct`."""
        places = dealt(self.made, self.words)
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name(DIRECT)
            T.func_attr({"global_symbol": DIRECT, "tirx.noalias": True, "tirx.is_host_func": True})
            words = T.arg("words", T.int64())
            with intrin.imports(), T.attr("default", "device_type", T.int32(1)), T.attr("default", "device_id", T.int32(0)):
                _Body(self, places, words).emit()
        return builder.get()


@dataclass(frozen=True)
class _Shape:
    values: tuple[Any, ...]


@dataclass(eq=False)
class _Frame:
    """The values of the variables of one function, and its symbolic dimensions in those of the entry."""

    trace: _Trace
    values: dict[relax.Var, Any]
    dims: dict[tirx.Var, Any]

    def value(self, expr: relax.Expr) -> Any:
        """What an expression is. Raises NotKnown."""
        if isinstance(expr, relax.Var):
            return self.values[expr]
        if isinstance(expr, relax.Tuple):
            return tuple(self.value(part) for part in expr.fields)
        if isinstance(expr, relax.TupleGetItem):
            return self.value(expr.tuple_value)[expr.index]
        if isinstance(expr, relax.ShapeExpr):
            return _Shape(tuple(self._extent(extent) for extent in expr.values))
        if isinstance(expr, tvm.ir.GenericConst):
            return self.trace.constant(expr)
        if isinstance(expr, relax.Call):
            return self._call(expr)
        raise NotKnown

    def _extent(self, extent: Any) -> Any:
        return evaluated(extent, self.dims)

    def _call(self, call: relax.Call) -> Any:
        if isinstance(call.op, tvm.ir.GlobalVar):
            callee, arguments = self.trace.mod[call.op], [self.value(argument) for argument in call.args]
            if isinstance(callee, tirx.PrimFunc):
                return self.trace.call(call.op.name_hint, arguments)
            dims: dict[tirx.Var, Any] = {}
            for param, argument in zip(callee.params, arguments, strict=True):
                _bind_dims(param.ty, argument, dims)
            return self.trace._follow(callee, dict(zip(callee.params, arguments, strict=True)), dims)
        name = getattr(call.op, "name", "")
        if name == "relax.builtin.alloc_tensor":
            return self.trace.allocate(self.value(call.args[0]).values, str(call.args[1].value))
        if name == "relax.reshape":
            tensor = self.value(call.args[0])
            return _Tensor(tensor.memory, self.value(call.args[1]).values, tensor.dtype)
        raise NotKnown


def _bind_dims(kind: relax.Type, value: Any, dims: dict[tirx.Var, Any]) -> None:
    """Set the symbolic dimensions of a type to what the value has there."""
    if isinstance(kind, relax.TupleType):
        for part, of in zip(kind.fields, value, strict=True):
            _bind_dims(part, of, dims)
        return
    extents = kind.values if isinstance(kind, relax.ShapeType) else kind.shape.values
    of_value = value.values if isinstance(value, _Shape) else value.shape
    for extent, got in zip(extents, of_value, strict=True):
        if isinstance(extent, tirx.Var):
            dims.setdefault(extent, got)


class _Body:
    """The statements of `rank_direct`."""

    def __init__(self, trace: _Trace, places: Sequence[Sequence[Memory]], words: Any):
        self.trace, self.places, self.words = trace, places, words
        self.at: dict[Memory, Any] = {}

    def emit(self) -> None:
        """Deal memory, call all kernels, give it back."""
        self.dims = {var: self._word(place) for var, place in self.trace.words.items()}
        ends, end = [], tirx.const(0, "int64")
        for place in self.places:
            ends.append(end)
            size = self._extent(place[0].size)
            for other in place[1:]:
                size = T.max(size, self._extent(other.size))
            end = intrin.let(end + (size + T.int64(LINE - 1)) // T.int64(LINE) * T.int64(LINE))
        memory = intrin.let(thread_memory.take(T.max(end, T.int64(LINE))))
        for place, begin in zip(self.places, ends, strict=True):
            address = intrin.let(memory + begin)
            for part in place:
                self.at[part] = address
        for call in self.trace.calls:
            T.evaluate(T.call_cpacked(call.kernel, *map(self._array, call.tensors)))
        thread_memory.give(memory)

    def _word(self, place: int) -> Any:
        return intrin.let(intrin.load("int64", self.words + T.int64(8 * place)))

    def _extent(self, extent: Any) -> Any:
        found = evaluated(extent, self.dims)
        return T.int64(found) if isinstance(found, int) else found

    def _array(self, tensor: _Tensor) -> Any:
        """A struct DLTensor."""
        memory = tensor.memory
        if memory not in self.at:
            assert memory.word is not None
            self.at[memory] = self._word(memory.word)
        shape = T.tvm_stack_make_shape(*map(self._extent, tensor.shape))
        address = T.reinterpret("handle", self.at[memory])
        return T.tvm_stack_make_array(
            address, shape, T.int32(0), T.int32(len(tensor.shape)), tirx.const(0, tensor.dtype), T.int64(0)
        )
