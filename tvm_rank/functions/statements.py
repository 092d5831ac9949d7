"""Statements of a udf, from Python's syntax tree to a typed program.

The function is walked until the types of its variables no longer change; only the last walk refuses what has no type.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from tvm_rank.functions.expressions import BINARY, Expressions, Unknown
from tvm_rank.functions.function import Udf, annotation_text
from tvm_rank.functions.syntax import leaves, renamed
from tvm_rank.functions.types import (
    ANNOTATION,
    ELEMENT,
    EMPTY,
    LIST_OF,
    LISTS,
    OF_ANNOTATION,
    SEQUENCES,
    Expression,
    Type,
    converted,
    join,
)

Body = tuple
PLAIN: dict[type, list[tuple]] = {ast.Break: [("break",)], ast.Continue: [("continue",)], ast.Raise: [("fail",)], ast.Pass: []}


class Statements:
    """One walk. `types`, of the variables by name, is what the walk adds to."""

    def __init__(self, udf: Udf, types: dict[str, Type], options: Mapping[str, Any], returns: str, *, final: bool):
        self.udf, self.types, self.returns, self.final = udf, types, returns, final
        self.parameters = frozenset(parameter.name for parameter in udf.parameters)
        self.scope = Expressions(udf, types, options)
        self.scope.assigned = set(self.parameters)
        self.loops, self.temporaries = 0, 0

    def run(self) -> Body:
        """The statements of the function."""
        return self._block(self.udf.node.body)

    def _block(self, nodes: list[ast.stmt]) -> Body:
        """A block, comprehensions before the statement that has them."""
        result: list[tuple] = []
        for node in nodes:
            before: list[tuple] = []
            self.scope.prelude = lambda value, before=before: self._comprehension(value, before)
            try:
                lowered = self._statement(node)
            except Unknown:
                if self.final:
                    raise
                continue
            finally:
                self.scope.prelude = None
            result += [*before, *lowered]
            if isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
                break
        return tuple(result)

    def _refuse(self, node: ast.AST, reason: str) -> Exception:
        return self.udf.refuse(node, reason)

    def _statement(self, node: ast.stmt) -> list[tuple]:
        if type(node) in PLAIN:
            return PLAIN[type(node)]
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self._refuse(node, f"`{ast.unparse(node).splitlines()[0][:60]}` is not in the subset; docs/udf.md says what is")
        return method(node)

    # ---------------------------------------------------------------- assignments

    def _set(self, node: ast.AST, name: str, value: Expression) -> Expression:
        """Note that a variable has the type of a value; the value as the variable's type."""
        if name in self.parameters and join(self.types[name], value[1]) != self.types[name]:
            raise self._refuse(
                node, f"the parameter {name!r} is {ANNOTATION[self.types[name]]}, and this is {ANNOTATION[value[1]]}"
            )
        kind = join(self.types.get(name), value[1])
        if kind == "":
            raise self._refuse(node, f"{name!r} is {ANNOTATION[self.types[name]]} elsewhere, and {ANNOTATION[value[1]]} here")
        self.types[name] = kind
        self.scope.assigned.add(name)
        if kind == EMPTY:
            if self.final:
                raise self._refuse(node, f"nothing says what {name!r} holds; annotate it: `{name}: list[int] = []`")
            return value
        result = converted(value, str(kind))
        if result is None and self.final:
            raise self._refuse(node, f"{name!r} is {ANNOTATION[kind]}, and this list is {ANNOTATION[value[1]]}; make a new list")
        return result or value

    def _assign(self, node: ast.Assign) -> list[tuple]:
        if len(node.targets) > 1:
            raise self._refuse(node, "assign to one target at a time")
        target = node.targets[0]
        if isinstance(target, ast.Tuple):
            return self._unpack(node, target)
        return self._assign_to(node, target, self.scope.lower(node.value))

    def _assign_to(self, node: ast.AST, target: ast.expr, value: Expression) -> list[tuple]:
        if isinstance(target, ast.Name):
            return [("assign", target.id, self._set(node, target.id, value))]
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            base = self.scope.lower(target.value)
            index = self.scope.as_type(target.slice, "int", "an index")
            return [("store", base, index, self._element(node, base, value))]
        raise self._refuse(target, f"`{ast.unparse(target)[:40]}` cannot be assigned to; names and elements of lists can")

    def _element(self, node: ast.AST, base: Expression, value: Expression) -> Expression:
        """A value that a list takes; a list variable may turn into a list of a wider type."""
        if base[1] == EMPTY or (base[1] in LISTS and base[1] != "texts"):
            wider = join(base[1], LIST_OF.get(value[1], ""))
            if wider and wider != base[1] and base[0] == "var" and base[2] not in self.parameters:
                self.types[base[2]] = wider
                base = ("var", wider, base[2])
            result = converted(value, ELEMENT[base[1]]) if base[1] != EMPTY else None
            if result is not None:
                return result
        raise self._refuse(node, f"a {ANNOTATION[base[1]]} takes no {ANNOTATION[value[1]]}")

    def _unpack(self, node: ast.Assign, target: ast.Tuple) -> list[tuple]:
        values = node.value.elts if isinstance(node.value, ast.Tuple) else []
        if len(values) != len(target.elts) or not all(isinstance(name, ast.Name) for name in target.elts):
            raise self._refuse(node, "tuples are for `a, b = x, y`, with as many names as values")
        lowered = [self.scope.lower(value) for value in values]
        names = [name.id for name in target.elts if isinstance(name, ast.Name)]
        return [("unpack", tuple(names), tuple(self._set(node, n, v) for n, v in zip(names, lowered, strict=True)))]

    def _augassign(self, node: ast.AugAssign) -> list[tuple]:
        read = ast.copy_location(ast.parse(ast.unparse(node.target), mode="eval").body, node.target)
        if isinstance(node.target, ast.Subscript) and any(isinstance(part, ast.Call) for part in ast.walk(node.target)):
            raise self._refuse(node, "write the call of the index in a statement before")
        ast.copy_location(read, node)
        for part in ast.walk(read):
            ast.copy_location(part, node)
        current, value = self.scope.lower(read), self.scope.lower(node.value)
        return self._assign_to(node, node.target, self.scope.binary(node, BINARY.get(type(node.op), "@"), current, value))

    def _annassign(self, node: ast.AnnAssign) -> list[tuple]:
        kind = OF_ANNOTATION.get(annotation_text(node.annotation))
        if kind is None or not isinstance(node.target, ast.Name) or node.value is None:
            raise self._refuse(node, f"write `name: type = value` with one of {', '.join(OF_ANNOTATION)}")
        value = converted(self.scope.lower(node.value), kind)
        if value is None:
            raise self._refuse(node, f"the value is no {ANNOTATION[kind]}")
        return [("assign", node.target.id, self._set(node, node.target.id, value))]

    # ---------------------------------------------------------------- flow

    def _if(self, node: ast.If) -> list[tuple]:
        test = self.scope.test(node.test)
        before = set(self.scope.assigned)
        yes = self._block(node.body)
        after_yes, self.scope.assigned = self.scope.assigned, set(before)
        no = self._block(node.orelse)
        if leaves(node.body):
            return [("if", test, yes, no)]
        self.scope.assigned = after_yes if node.orelse and leaves(node.orelse) else after_yes & self.scope.assigned
        return [("if", test, yes, no)]

    def _while(self, node: ast.While) -> list[tuple]:
        if node.orelse:
            raise self._refuse(node, "a loop has no else here")
        test = self.scope.guarded(lambda: self.scope.test(node.test))
        return [("while", test, self._loop(node.body))]

    def _loop(self, nodes: list[ast.stmt]) -> Body:
        before = set(self.scope.assigned)
        self.loops += 1
        try:
            return self._block(nodes)
        finally:
            self.loops -= 1
            self.scope.assigned = before

    def _for(self, node: ast.For) -> list[tuple]:
        if node.orelse:
            raise self._refuse(node, "a loop has no else here")
        before = set(self.scope.assigned)
        counter, iterations = self._iterations(node.target, node.iter)
        body = self._loop(node.body)
        self.scope.assigned = before
        return [("for", counter, iterations, body)]

    def _iterations(self, target: ast.expr, source: ast.expr) -> tuple[str, tuple]:
        """(name of the counter, iterations) of `for target in source`."""
        function = source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else ""
        if function == "range":
            assert isinstance(source, ast.Call)
            return self._range(target, source)
        counter = f"#{self._temporary()}"
        if function == "enumerate" and isinstance(source, ast.Call) and len(source.args) == 1 and isinstance(target, ast.Tuple):
            if len(target.elts) != 2 or not isinstance(target.elts[0], ast.Name):
                raise self._refuse(target, "write `for index, value in enumerate(sequence)`")
            counter, target, source = target.elts[0].id, target.elts[1], source.args[0]
            self._set(target, counter, ("const", "int", 0))
        pairs = [(target, source)]
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "zip":
            if not isinstance(target, ast.Tuple) or len(target.elts) != len(source.args):
                raise self._refuse(target, "write as many names as zip has sequences")
            pairs = list(zip(target.elts, source.args, strict=True))
        return counter, ("each", *(self._each(name, sequence) for name, sequence in pairs))

    def _each(self, target: ast.expr, source: ast.expr) -> tuple[str, Expression]:
        sequence = self.scope.lower(source)
        if sequence[1] not in SEQUENCES or not isinstance(target, ast.Name):
            raise self._refuse(source, f"a loop goes over range, a list, a text, enumerate or zip; got {ANNOTATION[sequence[1]]}")
        element = ELEMENT[sequence[1]]
        value = self._set(target, target.id, ("var", element, target.id))
        if value[0] != "var" and self.final:
            raise self._refuse(
                target, f"{target.id!r} is {ANNOTATION[self.types[target.id]]} elsewhere; use another name in the loop"
            )
        return target.id, sequence

    def _range(self, target: ast.expr, source: ast.Call) -> tuple[str, tuple]:
        if not isinstance(target, ast.Name) or not 1 <= len(source.args) <= 3 or source.keywords:
            raise self._refuse(source, "write `for name in range(stop)`, range(start, stop) or range(start, stop, step)")
        ends = [self.scope.as_type(argument, "int", "an end of range") for argument in source.args]
        start, stop = (("const", "int", 0), ends[0]) if len(ends) == 1 else ends[:2]
        step = ends[2] if len(ends) == 3 else ("const", "int", 1)
        self._set(target, target.id, ("const", "int", 0))
        if self.types[target.id] != "int" and self.final:
            raise self._refuse(
                target, f"{target.id!r} is {ANNOTATION[self.types[target.id]]} elsewhere; use another name in the loop"
            )
        return target.id, ("range", start, stop, step)

    def _return(self, node: ast.Return) -> list[tuple]:
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            if not self.udf.optional:
                raise self._refuse(node, f"it returns None; annotate the result `{self.udf.returns} | None`")
            return [("return", None)]
        return [("return", self.scope.as_type(node.value, self.returns, "the result"))]

    def _assert(self, node: ast.Assert) -> list[tuple]:
        return [("if", self.scope.test(node.test), (), (("fail",),))]

    def _expr(self, node: ast.Expr) -> list[tuple]:
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return []  # a docstring
        if (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and value.func.attr == "append"
            and len(value.args) == 1
        ):
            base, item = self._list_of(value.func.value), self.scope.lower(value.args[0])
            taken = self._element(node, base, item)
            return [("append", self.scope.lower(value.func.value), taken)]
        raise self._refuse(node, f"`{ast.unparse(node)[:60]}` has no effect here")

    def _list_of(self, node: ast.expr) -> Expression:
        """A list that takes elements; the first one may say what it holds."""
        if isinstance(node, ast.Name) and self.types.get(node.id) == EMPTY:
            return ("var", EMPTY, node.id)
        return self.scope.lower(node)

    # ---------------------------------------------------------------- comprehensions

    def _temporary(self) -> int:
        self.temporaries += 1
        return self.temporaries

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, before: list[tuple]) -> Expression:
        """`[f(x) for x in xs if test]` as a loop that fills a list, before the statement."""
        if len(node.generators) != 1:
            raise self._refuse(node, "a comprehension has one `for` here")
        generator, element = renamed(node)
        result = f"#list{self._temporary()}"
        assigned = set(self.scope.assigned)
        counter, iterations = self._iterations(generator.target, generator.iter)
        prelude, self.scope.prelude = self.scope.prelude, None
        tests = [self.scope.test(test) for test in generator.ifs]
        item = self.scope.lower(element)
        self.scope.prelude, self.scope.assigned = prelude, assigned
        kind = LIST_OF.get(item[1])
        if kind is None:
            raise self._refuse(node, f"lists that a function makes hold numbers, not {ANNOTATION[item[1]]}")
        self.types[result] = kind
        body: Body = (("append", ("var", kind, result), item),)
        for test in reversed(tests):
            body = (("if", test, body, ()),)
        before += [("assign", result, ("list", kind)), ("for", counter, iterations, body)]
        return ("var", kind, result)
