"""Copies of nodes and new names, for rewriting an ONNX graph in place."""

from __future__ import annotations

import onnx


def copy_of(node: onnx.NodeProto) -> onnx.NodeProto:
    """A node of its own: one that is taken from a graph dies with that graph's list of nodes."""
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied


def unused_name(name: str, used: set[str]) -> str:
    """`name`, or `name` with underscores behind it until it is new; the result is marked as used."""
    while name in used:
        name += "_"
    used.add(name)
    return name
