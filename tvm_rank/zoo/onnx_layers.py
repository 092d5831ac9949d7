"""Layers of the zoo's models as ONNX nodes, with weights that are drawn as the layers are written."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tvm_rank.zoo.onnx_graph import GraphWriter


class LayerWriter(GraphWriter):
    """A GraphWriter that draws its weights from `rng`: the same for the same seed and the same layers in the same order."""

    def __init__(self, name: str, inputs: Mapping[str, Sequence[int]], rng: np.random.Generator, *, ids: Sequence[str] = ()):
        super().__init__(name, inputs, ids=ids)
        self._rng = rng

    def weight(self, name: str, *shape: int, scale: float = 1.0) -> str:
        """A normal float32 constant of this shape and standard deviation."""
        return self.constant(name, (self._rng.standard_normal(shape) * scale).astype(np.float32))

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(f"f32_{value!r}", np.array(value, np.float32))

    def layer(self, x: str, name: str, wide: int, narrow: int, activation: str | None = None, *, scale: float = 1.0) -> str:
        """x (..., wide) -> activation(x @ w + b) (..., narrow); values keep their size, times `scale`, through relu layers."""
        product = self.node("MatMul", x, self.weight(f"{name}_w", wide, narrow, scale=scale * float(np.sqrt(2.0 / wide))))
        biased = self.node("Add", product, self.weight(f"{name}_b", narrow, scale=0.1))
        return self.node(activation, biased) if activation else biased

    def mlp(self, x: str, name: str, widths: Sequence[int], activation: str = "Relu") -> str:
        """Layers from widths[0] to widths[-1], each with the activation."""
        for k, (wide, narrow) in enumerate(itertools.pairwise(widths)):
            x = self.layer(x, f"{name}{k}", wide, narrow, activation)
        return x

    def tower(self, x: str, name: str, widths: Sequence[int]) -> str:
        """`mlp`, then one number for each row: logits (N, 1)."""
        return self.layer(self.mlp(x, name, widths), f"{name}_out", widths[-1], 1, scale=2.0)

    def reshape(self, x: str, *shape: int) -> str:
        """x with another shape; -1 stands for what is left over."""
        return self.node("Reshape", x, self.integers(*shape))

    def columns(self, x: str, start: int, stop: int, *, axis: int = 1) -> str:
        """x[:, start:stop], or along another axis."""
        return self.node("Slice", x, self.integers(start), self.integers(stop), self.integers(axis))

    def sum(self, x: str, axis: int, *, keepdims: bool = False) -> str:
        """The sum along an axis."""
        return self.node("ReduceSum", x, self.integers(axis), keepdims=int(keepdims))

    def beside(self, *values: str, axis: int = 1) -> str:
        """The values side by side."""
        return self.node("Concat", *values, axis=axis) if len(values) > 1 else values[0]

    def total(self, *values: str) -> str:
        """The sum of the values, from the first to the last."""
        result = values[0]
        for value in values[1:]:
            result = self.node("Add", result, value)
        return result

    def normalized(self, x: str) -> str:
        """Rows of length 1, and of zeros where the length is below 1e-12: as PyTorch's `normalize` is exported."""
        length = self.node("ReduceL2", x, self.integers(-1), keepdims=1)
        return self.node("Div", x, self.node("Max", length, self.number(1e-12)))

    def pair_sums(self, x: str) -> str:
        """The factorization machine of fields (N, F, d): the sum of the dot products of all pairs, (N, 1)."""
        total, squares = self.sum(x, 1), self.sum(self.node("Mul", x, x), 1)
        pairs = self.node("Sub", self.node("Mul", total, total), squares)
        return self.node("Mul", self.sum(pairs, 1, keepdims=True), self.number(0.5))

    def batch_normalized(self, x: str, name: str, width: int) -> str:
        """Batch normalization of (N, width) with recorded means and variances."""
        variance = self.constant(f"{name}_variance", self._rng.uniform(0.05, 0.3, width).astype(np.float32))
        parameters = [self.weight(f"{name}_{part}", width, scale=0.2) for part in ("offset", "mean")]
        scale = self.constant(f"{name}_scale", self._rng.uniform(0.3, 0.6, width).astype(np.float32))
        return self.node("BatchNormalization", x, scale, *parameters, variance)

    def layer_normalized(self, x: str, name: str, width: int) -> str:
        """Layer normalization along the last axis."""
        scale = self.constant(f"{name}_scale", self._rng.uniform(0.5, 1.5, width).astype(np.float32))
        return self.node("LayerNormalization", x, scale, self.weight(f"{name}_offset", width, scale=0.1), axis=-1)

    def gelu(self, x: str) -> str:
        """x (1 + erf(x / sqrt(2))) / 2, as it was exported before there was an operator for it."""
        erf = self.node("Erf", self.node("Div", x, self.number(2**0.5)))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, self.number(1.0))), self.number(0.5))

    def dice(self, x: str, name: str, width: int) -> str:
        """Dice of (N, width): p x + (1 - p) a x with p = sigmoid(normalized x) and a slope for each column."""
        share = self.node("Sigmoid", self.batch_normalized(x, name, width))
        slope = self.weight(f"{name}_slope", width, scale=0.3)
        rest = self.node("Mul", self.node("Mul", self.node("Sub", self.number(1.0), share), slope), x)
        return self.node("Add", self.node("Mul", share, x), rest)
