"""The tree of a formula: frozen, hashable nodes that compare by value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A double."""

    value: float


@dataclass(frozen=True)
class Variable:
    """A name that the caller gives a value."""

    name: str


@dataclass(frozen=True)
class Unary:
    """`op` is one of + - !"""

    op: str
    operand: Node


@dataclass(frozen=True)
class Binary:
    """`op` is one of || && | & <= >= != == > < + - * / ^"""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Conditional:
    """`test ? yes : no`"""

    test: Node
    yes: Node
    no: Node


@dataclass(frozen=True)
class Call:
    """`function(arguments)`; the functions are the keys of `expression.ARITY`."""

    function: str
    arguments: tuple[Node, ...]


Node = Number | Variable | Unary | Binary | Conditional | Call
