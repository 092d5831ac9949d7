"""The text of a module at each stage, and what kernels it has: for `tvm-rank inspect`."""

from __future__ import annotations

from typing import Any


def text_of(mod: Any) -> str:
    """The module as TVMScript."""
    return str(mod.script(show_meta=False))


def kernel_entries(mod: Any) -> list[dict[str, Any]]:
    """Name, operator and calls of each kernel of a module, in the order of its functions."""
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
            entries.append({"name": var.name_hint, "operator": str(operator or ""), "calls": calls.get(var.name_hint, 0)})
    return entries


def machine_code(executable: Any) -> dict[str, str]:
    """LLVM IR and assembly of the kernels, by stage name `llvm` and `asm`."""
    texts: dict[str, str] = {}
    pending = [executable.mod]
    while pending:
        module = pending.pop()
        if module.kind == "llvm":
            for stage, form in (("llvm", "ll"), ("asm", "s")):
                texts[stage] = texts.get(stage, "") + module.inspect_source(form)
        pending.extend(module.imports)
    return texts
