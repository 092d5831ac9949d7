"""Procedures: machine code that kernels call, for what is too large to stand in the loop of every feature.

A procedure is a PrimFunc over scalars, addresses among them, whose result is what it writes to memory. It is compiled once for a
module, whoever calls it. Columns name the procedures that their code calls (`Kind.procedures`), and whoever builds a module adds
`prim_funcs` of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.gpu import prelude

NOT_PACKED = 2  # a calling convention other than TVM's default, so that arguments stay plain machine words
ARRAY = 2**30  # elements of a buffer of unknown length: only its indices count


@dataclass(frozen=True, eq=False)
class Procedure:
    """`emit(**arguments)` emits the body. `parameters` gives the dtype of each argument by its name, in order; "float64*" is the
    address (int64) of numbers, which `emit` gets as a buffer."""

    name: str
    parameters: Mapping[str, str]
    emit: Callable[..., None]

    def call(self, *arguments: Any) -> None:
        """Emit a call."""
        words = zip(arguments, self.parameters.values(), strict=True)
        typed = [intrin.pointer(a) if dtype.endswith("*") else T.cast(a, dtype) for a, dtype in words]
        T.evaluate(T.call_extern("void", self.name, *typed))

    def prim_func(self) -> tirx.PrimFunc:
        """The procedure itself."""
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name(self.name)
            T.func_attr({"global_symbol": self.name, "calling_conv": NOT_PACKED})
            words = {name: T.arg(name, _parameter(dtype)) for name, dtype in self.parameters.items()}
            with intrin.imports(), _mark(self.name):
                self.emit(**{name: _argument(word, self.parameters[name]) for name, word in words.items()})
        return builder.get()


def _mark(name: str) -> Any:
    """On a GPU, the note that the function is called by kernels and is none: TVM makes one of every function of a device."""
    return T.attr(0, "pragma_import_c", prelude.procedure(name)) if intrin.on_gpu() else contextlib.nullcontext()


def _parameter(dtype: str) -> Any:
    return T.handle(dtype[:-1]) if dtype.endswith("*") else getattr(T, dtype)()


def _argument(word: Any, dtype: str) -> Any:
    return T.decl_buffer((ARRAY,), dtype[:-1], data=word, align=8) if dtype.endswith("*") else word


def prim_funcs(procedures: Iterable[Procedure]) -> dict[str, tirx.PrimFunc]:
    """The functions of a module that calls these procedures, by name; each once."""
    return {procedure.name: procedure.prim_func() for procedure in {p.name: p for p in procedures}.values()}
