"""@udf: a Python function as an operator. It stays callable; the call is the definition of what the compiled operator gives."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tvm_rank.errors import UdfError

SCALARS = ("int", "float", "bool", "str", "bytes")
LISTS = ("list[int]", "list[float]", "list[str]")


@dataclass(frozen=True)
class Parameter:
    """A parameter and its annotation, one of SCALARS or LISTS."""

    name: str
    kind: str


@dataclass(frozen=True, eq=False)
class Udf:
    """A function whose source was read.

    parameters: the inputs, in order · options: keyword-only parameters and their defaults, which a feature's own keys replace · returns:
    an annotation · optional: it may return None · file, line: where it stands.
    """

    name: str
    function: Callable[..., Any] = field(repr=False)
    parameters: tuple[Parameter, ...]
    options: Mapping[str, Any]
    returns: str
    optional: bool
    node: ast.FunctionDef = field(repr=False)
    file: str
    line: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def refuse(self, node: ast.AST | None, reason: str) -> UdfError:
        """The error for a place in the source."""
        line = self.line + getattr(node, "lineno", 1) - 1
        return UdfError(f"{self.file}:{line}: in the udf {self.name!r}: {reason}")


def udf(function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
    """Make an operator of a small pure function; `name` is its `operator_name`, the function's own unless given.

        @tvm_rank.udf
        def overlap(query: list[str], title: str, *, weight: float = 1.0) -> float:
            ...

    Parameters are annotated int, float, bool, str, bytes (a text's UTF-8 bytes), list[int], list[float] or list[str]; keyword-only ones
    are options, which a feature sets by keys of their names. The result is one of these, or None for "no value". docs/udf.md says what
    a body may have. Raises UdfError with file and line for what it may not.
    """
    if function is None:
        return functools.partial(udf, name=name)
    return read_udf(function, name or function.__name__)


def read_udf(function: Callable[..., Any], name: str) -> Udf:
    """The Udf of a function; its body is checked when it is compiled with the options of a feature."""
    file = inspect.getsourcefile(function) or "?"
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError) as error:
        raise UdfError(
            f"{file}: the source of the udf {name!r} cannot be read ({error}); define it with `def` in a file"
        ) from error
    node = tree.body[0] if tree.body else None
    if not isinstance(node, ast.FunctionDef):
        raise UdfError(f"{file}:{first}: the udf {name!r} is no function that `def` defines")
    return _Header(function, name, node, file, first).read()


class _Header:
    def __init__(self, function: Callable[..., Any], name: str, node: ast.FunctionDef, file: str, line: int):
        self.function, self.name, self.node, self.file, self.line = function, name, node, file, line

    def read(self) -> Udf:
        arguments = self.node.args
        if arguments.vararg or arguments.kwarg:
            raise self._error(self.node, "*args and **kwargs have no fixed inputs; name each parameter")
        if arguments.defaults:
            raise self._error(arguments.defaults[0], "an input has no default; put a `*,` before parameters that are options")
        parameters = [Parameter(a.arg, self._kind(a, a.annotation, a.arg)) for a in (*arguments.posonlyargs, *arguments.args)]
        if not parameters:
            raise self._error(self.node, "it has no parameter; an operator reads at least one input")
        options = {}
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            kind = self._kind(argument, argument.annotation, argument.arg)
            value = inspect.signature(self.function).parameters[argument.arg].default
            if default is None or type(value) not in (int, float, bool, str) or kind not in SCALARS:
                raise self._error(argument, f"the option {argument.arg!r} needs a default that is a number, a bool or a text")
            options[argument.arg] = float(value) if kind == "float" else value
        returns, optional = self._returns()
        return Udf(self.name, self.function, tuple(parameters), options, returns, optional, self.node, self.file, self.line)

    def _error(self, node: ast.AST, reason: str) -> UdfError:
        return UdfError(f"{self.file}:{self.line + getattr(node, 'lineno', 1) - 1}: in the udf {self.name!r}: {reason}")

    def _kind(self, node: ast.AST, annotation: ast.expr | None, name: str) -> str:
        if annotation is None:
            raise self._error(node, f"{name!r} has no annotation; write one of {', '.join((*SCALARS, *LISTS))}")
        text = annotation_text(annotation)
        if text not in (*SCALARS, *LISTS):
            raise self._error(node, f"{name!r} is annotated {text}; write one of {', '.join((*SCALARS, *LISTS))}")
        return text

    def _returns(self) -> tuple[str, bool]:
        annotation = self.node.returns
        optional = False
        if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr) and ast.unparse(annotation.right) == "None":
            annotation, optional = annotation.left, True
        kind = self._kind(self.node, annotation, "the result")
        if kind == "bytes":
            raise self._error(self.node, "the result is annotated bytes; give a str, a number, or a list of them")
        return kind, optional


def annotation_text(annotation: ast.expr) -> str:
    """`list[int]` of an annotation, also of one that is a text or from typing."""
    text = (
        annotation.value if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str) else ast.unparse(annotation)
    )
    return text.replace(" ", "").replace("typing.", "").replace("List[", "list[")
