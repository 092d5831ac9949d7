"""The text of a module at each stage, and what kernels it has: for `tvm-rank inspect`."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

LAYER, INSTRUCTION, MATRIX_FLAG = (
    "rank.layer",
    "rank.instruction",
    "rank.matrix_flag",
)  # attributes of dense kernels (te_schedules/dense/layer.py)
KEY = "rank.key"  # attribute of feature kernels (relay_passes/lower_columns.py)


def text_of(mod: Any) -> str:
    """The module as TVMScript."""
    return str(mod.script(show_meta=False))


def kernel_entries(mod: Any) -> list[dict[str, Any]]:
    """Name, operator and calls of each kernel of a module, in the order of its functions; of a dense one also its constants, below fp32 the
    instruction that multiplies and what the CPU's matrix unit needs, of one of features the name that a schedule has for it."""
    from tvm import relax, tirx

    calls: dict[str, int] = {}

    def count(expr: Any) -> None:
        if isinstance(expr, relax.Call) and expr.args and isinstance(expr.args[0], relax.GlobalVar):
            calls[expr.args[0].name_hint] = calls.get(expr.args[0].name_hint, 0) + 1

    relax.analysis.post_order_visit(mod["main"], count)
    entries = []
    for var, function in mod.functions_items():
        if isinstance(function, tirx.PrimFunc):
            operator = function.attrs.get("rank.op") if function.attrs else None
            entry = {"name": var.name_hint, "operator": str(operator or ""), "calls": calls.get(var.name_hint, 0)}
            if function.attrs and LAYER in function.attrs:
                entry["layer"] = json.loads(str(function.attrs[LAYER]))
            if function.attrs and INSTRUCTION in function.attrs:
                entry["instruction"] = str(function.attrs[INSTRUCTION])
            if function.attrs and MATRIX_FLAG in function.attrs:
                entry["matrix_flag"] = str(function.attrs[MATRIX_FLAG])
            if function.attrs and KEY in function.attrs:
                entry["key"] = str(function.attrs[KEY])
            entries.append(entry)
    return entries


def cuda_source(executable: Any) -> str | None:
    """CUDA C++ of the kernels; None when they are not for a GPU."""
    pending = [executable.mod]
    while pending:
        module = pending.pop()
        if module.kind == "cuda":
            return str(module.inspect_source("cuda"))
        pending.extend(module.imports)
    return None


def llvm_ir(executable: Any) -> str:
    """LLVM IR of the kernels, after LLVM's optimization."""
    pending = [executable.mod]
    while pending:
        module = pending.pop()
        if module.kind == "llvm":
            return str(module.inspect_source("ll"))
        pending.extend(module.imports)
    return ""


def assembly(llvm: str) -> str:
    """Assembly from the LLVM IR of an artifact, which names its target; made on demand, since it takes as long as code generation."""
    import tvm

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.ll"
        path.write_text(llvm, encoding="utf-8")
        return str(tvm.runtime.load_module(str(path)).inspect_source("s"))
