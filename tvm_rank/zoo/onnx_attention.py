"""Attention as exporters write it: heads by reshape and transpose, scores by batched products, softmax."""

from __future__ import annotations

from tvm_rank.zoo.onnx_layers import LayerWriter


def self_attention(writer: LayerWriter, x: str, name: str, *, positions: int, width: int, heads: int, bias: str = "") -> str:
    """x (N, positions, width) -> the same shape; every position attends to all. bias: added to the scores (N or 1, 1, 1, positions)."""
    inner = width // heads

    def of_heads(part: str, perm: list[int]) -> str:
        projected = writer.node("MatMul", x, writer.weight(f"{name}_{part}", width, width, scale=width**-0.5))
        return writer.node("Transpose", writer.reshape(projected, -1, positions, heads, inner), perm=perm)

    query, key, value = of_heads("query", [0, 2, 1, 3]), of_heads("key", [0, 2, 3, 1]), of_heads("value", [0, 2, 1, 3])
    scores = writer.node("Mul", writer.node("MatMul", query, key), writer.number(inner**-0.5))
    if bias:
        scores = writer.node("Add", scores, bias)
    mixed = writer.node("MatMul", writer.node("Softmax", scores, axis=-1), value)
    return writer.reshape(writer.node("Transpose", mixed, perm=[0, 2, 1, 3]), -1, positions, width)
