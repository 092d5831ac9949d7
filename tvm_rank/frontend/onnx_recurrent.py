"""GRU, LSTM and RNN, step by step: the products with the inputs in one matrix product for all steps, the rest unrolled.

    xw = x W + b                    (N, L, gates H)
    h  = gates(xw[:, t], h R)       for t in steps, or backwards

As ONNX specifies them, with directions, initial states, `sequence_lens` (a step behind the end keeps the state and gives zeros) and both
layouts. Refused: clip, weights that are not constants, activations with other parameters than their defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from tvm_rank.frontend.onnx_steps import behind_transposition, emit, is_zeros, stacked, step, steps_along
from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, array_of, constant, is_constant

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": relax.op.sigmoid,
    "tanh": relax.op.tanh,
    "relu": relax.op.nn.relu,
    "softplus": relax.op.nn.softplus,
    "softsign": lambda x: relax.op.divide(x, relax.op.add(relax.op.abs(x), relax.const(1, "float32"))),
}
Activation = Callable[[Any], Any]
ZERO = relax.const(0, "float32")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cell:
    """One direction: transposed weights of float32, and what `of_gates` makes of a step.

    of_gates(xw (N, gates H), states (N, H) or None for zeros) -> the next states; the first one is the output
    """

    hidden: int
    w: np.ndarray  # (I, gates H)
    bias: np.ndarray  # (gates H,): what is added to the products with the inputs
    of_gates: Callable[[Any, list[Any]], list[Any]]


CellOf = Callable[[list[np.ndarray], np.ndarray, list[Activation], Attributes], _Cell]


def _part(x: Any, k: int, hidden: int) -> Any:
    """Columns k H to (k + 1) H."""
    return emit(relax.op.strided_slice(x, [1], [k * hidden], [(k + 1) * hidden]))


def _plus(left: Any, right: Any) -> Any:
    return left if right is None else emit(relax.op.add(left, right))


def _times(h: Any, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """h weight + bias; the bias alone, or None, for a state of zeros."""
    if h is None:
        return None if bias is None or not bias.any() else constant(bias)
    product = emit(relax.op.matmul(h, constant(np.ascontiguousarray(weight))))
    return product if bias is None or not bias.any() else emit(relax.op.add(product, constant(bias)))


def _gru(weights: list[np.ndarray], _peepholes: np.ndarray, activations: list[Activation], attrs: Attributes) -> _Cell:
    (w, r, bias), (f, g) = weights, activations
    hidden = r.shape[0]
    of_x, of_h, resets_last = bias[: 3 * hidden], bias[3 * hidden :], bool(attrs.get("linear_before_reset", 0))
    # what is added before the reset gate can be added to the products with the inputs at once
    early = of_h.copy()
    late = of_h[2 * hidden :].copy() if resets_last else None
    if resets_last:
        early[2 * hidden :] = 0

    def of_gates(xw: Any, states: list[Any]) -> list[Any]:
        (h,) = states
        hr = _times(h, r[:, : 2 * hidden])
        z, reset = (emit(f(_plus(_part(xw, k, hidden), None if hr is None else _part(hr, k, hidden)))) for k in range(2))
        if resets_last:
            inner = _times(h, r[:, 2 * hidden :], late)
            inner = None if inner is None else emit(relax.op.multiply(reset, inner))
        else:
            inner = _times(None if h is None else emit(relax.op.multiply(reset, h)), r[:, 2 * hidden :])
        n = emit(g(_plus(_part(xw, 2, hidden), inner)))
        if h is None:
            return [emit(relax.op.subtract(n, emit(relax.op.multiply(z, n))))]
        return [emit(relax.op.add(n, emit(relax.op.multiply(z, emit(relax.op.subtract(h, n))))))]

    return _Cell(hidden=hidden, w=w, bias=of_x + early, of_gates=of_gates)


def _lstm(weights: list[np.ndarray], peepholes: np.ndarray, activations: list[Activation], attrs: Attributes) -> _Cell:
    if attrs.get("input_forget", 0):
        raise NotConvertible("it couples the input and the forget gate; export it with input_forget = 0")
    (w, r, bias), (f, g, out) = weights, activations
    hidden = r.shape[0]

    def of_gates(xw: Any, states: list[Any]) -> list[Any]:
        h, c = states
        total = _plus(xw, _times(h, r))

        def gate(k: int, peephole: int, cell: Any) -> Any:
            x, p = _part(total, k, hidden), peepholes[peephole * hidden : (peephole + 1) * hidden]
            return emit(f(x if cell is None or not p.any() else _plus(x, emit(relax.op.multiply(cell, constant(p))))))

        i, forget, new = gate(0, 0, c), gate(2, 2, c), emit(g(_part(total, 3, hidden)))
        kept = None if c is None else emit(relax.op.multiply(forget, c))
        c = _plus(emit(relax.op.multiply(i, new)), kept)
        return [emit(relax.op.multiply(gate(1, 1, c), emit(out(c)))), c]

    return _Cell(hidden=hidden, w=w, bias=bias[: 4 * hidden] + bias[4 * hidden :], of_gates=of_gates)


def _rnn(weights: list[np.ndarray], _peepholes: np.ndarray, activations: list[Activation], _attrs: Attributes) -> _Cell:
    (w, r, bias), (f,) = weights, activations
    hidden = r.shape[0]

    def of_gates(xw: Any, states: list[Any]) -> list[Any]:
        return [emit(f(_plus(xw, _times(states[0], r))))]

    return _Cell(hidden=hidden, w=w, bias=bias[:hidden] + bias[hidden:], of_gates=of_gates)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    gates: int
    states: int
    activations: tuple[str, ...]
    cell: CellOf


_KINDS = {
    "GRU": _Kind(gates=3, states=1, activations=("Sigmoid", "Tanh"), cell=_gru),
    "LSTM": _Kind(gates=4, states=2, activations=("Sigmoid", "Tanh", "Tanh"), cell=_lstm),
    "RNN": _Kind(gates=1, states=1, activations=("Tanh",), cell=_rnn),
}


def convert_gru(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """(Y, Y_h)"""
    return _converted(_KINDS["GRU"], inputs, attrs)


def convert_lstm(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """(Y, Y_h, Y_c)"""
    return _converted(_KINDS["LSTM"], inputs, attrs)


def convert_rnn(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """(Y, Y_h)"""
    return _converted(_KINDS["RNN"], inputs, attrs)


def _converted(kind: _Kind, inputs: Inputs, attrs: Attributes) -> Any:
    x, w, r, b, lengths, *rest = [inputs[k] for k in range(8)]
    initial, peepholes = rest[: kind.states], rest[2]
    if attrs.get("clip", 0) or not is_constant(w) or not is_constant(r) or not (b is None or is_constant(b)):
        raise NotConvertible("its weights must be constants, and it must not clip")
    if peepholes is not None and not is_constant(peepholes):
        raise NotConvertible("its peepholes must be constants")
    weights = [array_of(w).transpose(0, 2, 1), array_of(r).transpose(0, 2, 1)]
    directions, hidden = weights[1].shape[:2]
    biases = np.zeros((directions, 2 * kind.gates * hidden), np.float32) if b is None else array_of(b)
    holes = np.zeros((directions, 3 * hidden), np.float32) if peepholes is None else array_of(peepholes)
    of_batch = bool(attrs.get("layout", 0))
    axis = 1 if of_batch else 0
    run = _Run(x=x, axis=axis, lengths=lengths)
    found = []
    for k, backwards in enumerate(_directions(attrs, directions)):
        cell = kind.cell([weights[0][k], weights[1][k], biases[k]], holes[k], _activations(kind, attrs, k), attrs)
        found.append(run(cell, [None if is_zeros(s) else step(s, 1 if of_batch else 0, k) for s in initial], backwards))
    everything = run.together([one[0] for one in found])
    outputs = [everything if of_batch else emit(relax.op.permute_dims(everything, [1, 2, 0, 3]))]
    for state in range(kind.states):
        outputs.append(stacked([one[1][state] for one in found], 1 if of_batch else 0))
    return relax.Tuple(outputs)


def _directions(attrs: Attributes, count: int) -> list[bool]:
    """Whether each direction runs backwards."""
    direction = attrs.get("direction", b"forward")
    direction = direction.decode() if isinstance(direction, bytes) else direction
    return [False, True] if count == 2 else [direction == "reverse"]


def _activations(kind: _Kind, attrs: Attributes, direction: int) -> list[Activation]:
    names = [n.decode() if isinstance(n, bytes) else n for n in attrs.get("activations", ())] or list(kind.activations) * 2
    count = len(kind.activations)
    chosen = [name.lower() for name in names[direction * count : (direction + 1) * count]]
    unknown = [name for name in chosen if name not in ACTIVATIONS]
    if unknown or attrs.get("activation_alpha") or attrs.get("activation_beta"):
        raise NotConvertible(f"its activations must be among {', '.join(ACTIVATIONS)}, without parameters")
    return [ACTIVATIONS[name] for name in chosen]


class _Run:
    """One walk over the steps for each direction, over the same input x (L, N, I), or (N, L, I) where axis is 1."""

    def __init__(self, *, x: Any, axis: int, lengths: Any):
        self.count = steps_along(x, axis)
        self.x = x if axis == 1 else _batch_first(x)
        self.valid = None
        if lengths is not None:
            places = constant(np.arange(self.count, dtype=np.int64)[None, :])
            ends = emit(relax.op.expand_dims(emit(relax.op.astype(lengths, "int64")), 1))
            self.valid = emit(relax.op.less(places, ends))

    def __call__(self, cell: _Cell, states: list[Any], backwards: bool) -> tuple[list[Any], list[Any]]:
        """(the output of each step, the last states), each (N, H)."""
        xw = emit(relax.op.matmul(self.x, constant(np.ascontiguousarray(cell.w))))
        xw = emit(relax.op.add(xw, constant(cell.bias.astype(np.float32))))
        outputs: list[Any] = [None] * self.count
        first = states
        for t in reversed(range(self.count)) if backwards else range(self.count):
            new = cell.of_gates(step(xw, 1, t), states)
            if self.valid is None:
                states, outputs[t] = new, new[0]
                continue
            valid = emit(relax.op.take(self.valid, constant(np.array([t], np.int64)), axis=1, mode="clip"))
            states = [emit(relax.op.where(valid, n, ZERO if s is None else s)) for n, s in zip(new, states, strict=True)]
            outputs[t] = states[0]
        return outputs, states if self.valid is None or all(s is None for s in first) else self._of_no_steps(states)

    def _of_no_steps(self, states: list[Any]) -> list[Any]:
        """Rows without any step end with zeros, as ONNX Runtime has it, and not with their first state."""
        has_steps = emit(relax.op.take(self.valid, constant(np.array([0], np.int64)), axis=1, mode="clip"))
        return [emit(relax.op.where(has_steps, state, ZERO)) for state in states]

    def together(self, outputs: list[list[Any]]) -> Any:
        """The outputs of all directions, (N, L, directions, H), zeros behind the end."""
        everything = stacked([stacked([one[t] for one in outputs], 1) for t in range(self.count)], 1)
        if self.valid is None:
            return everything
        valid = emit(relax.op.expand_dims(self.valid, [2, 3]))
        return emit(relax.op.where(valid, everything, ZERO))


def _batch_first(x: Any) -> Any:
    """x (L, N, I) as (N, L, I), which is what it was transposed from, if it was."""
    source, axis = behind_transposition(x, 0)
    return source if axis == 1 else emit(relax.op.permute_dims(x, [1, 0, 2]))
