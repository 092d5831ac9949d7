"""Python's syntax trees: names of a comprehension, ends of a block."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]):
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.names.get(node.id, node.id), node.ctx), node)


def renamed(node: ast.ListComp | ast.GeneratorExp) -> tuple[ast.comprehension, ast.expr]:
    """The loop and the element of a comprehension, with names of its own: its variables live in it alone."""
    generator = node.generators[0]
    own = {part.id for part in ast.walk(generator.target) if isinstance(part, ast.Name)}
    rename = _Rename({name: f"{name}#{node.lineno}:{node.col_offset}" for name in own})
    inner = [rename.visit(copy.deepcopy(part)) for part in (generator.target, node.elt, *generator.ifs)]
    return ast.comprehension(inner[0], generator.iter, inner[2:], 0), inner[1]


def leaves(nodes: list[ast.stmt]) -> bool:
    """True when nothing behind the block is reached from its end."""
    return bool(nodes) and isinstance(nodes[-1], (ast.Return, ast.Raise, ast.Break, ast.Continue))
