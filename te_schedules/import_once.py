"""Each text of LLVM that a kernel imports once, at its begin: code imports what it calls wherever it is emitted, and TVM parses every one.

if a:                                  import F
    import F: x = f(..)       ->       if a:
if b:                                      x = f(..)
    import F: y = f(..)                if b:
                                           y = f(..)
"""

from __future__ import annotations

import tvm
from tvm import tirx

IMPORT = "pragma_import_llvm"


@tirx.transform.prim_func_pass(opt_level=0, name="rank.ImportOnce")
def import_once(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    """The function; its blocks must have been lowered."""
    found: dict[str, tirx.AttrStmt] = {}
    body = _without(func.body, found)
    for stmt in found.values():
        body = tirx.AttrStmt(stmt.node, stmt.attr_key, stmt.value, body)
    return func.with_body(body) if found else func


def _without(stmt: tirx.Stmt, found: dict[str, tirx.AttrStmt]) -> tirx.Stmt:
    """The statement without its imports, which are put into `found`."""
    if isinstance(stmt, tirx.SeqStmt):
        parts = [_without(part, found) for part in stmt.seq]
        is_same = all(new.same_as(old) for new, old in zip(parts, stmt.seq, strict=True))
        return stmt if is_same else tirx.SeqStmt(parts)
    if isinstance(stmt, tirx.IfThenElse):
        then = _without(stmt.then_case, found)
        other = None if stmt.else_case is None else _without(stmt.else_case, found)
        is_same = then.same_as(stmt.then_case) and (other is None or other.same_as(stmt.else_case))
        return stmt if is_same else tirx.IfThenElse(stmt.condition, then, other)
    if not isinstance(stmt, (tirx.AttrStmt, tirx.For, tirx.While)):
        return stmt
    body = _without(stmt.body, found)
    if isinstance(stmt, tirx.AttrStmt) and stmt.attr_key == IMPORT:
        found.setdefault(str(stmt.value.value), stmt)
        return body
    if body.same_as(stmt.body):
        return stmt
    if isinstance(stmt, tirx.While):
        return tirx.While(stmt.condition, body)
    if isinstance(stmt, tirx.AttrStmt):
        return tirx.AttrStmt(stmt.node, stmt.attr_key, stmt.value, body)
    return tirx.For(stmt.loop_var, stmt.min, stmt.extent, stmt.kind, body, stmt.thread_binding, stmt.annotations)
