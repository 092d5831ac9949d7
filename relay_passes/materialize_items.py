"""Take what depends on the item alone out of a function, so that it is computed once for each item of a store and read from there.

    main(..., item_request, stacks ...)                 main(..., item_request, item_rows, stored_0 (S, J), stacks ...)
    i = rank.lookup(item_columns ...)                   c = rank.lookup(... crossed)
    c = rank.lookup(... crossed)                   ->   h = rank.dense(c, W[k:], b, p, item_request, stored_0, item_rows) {relu}
    h = rank.dense(concat(i, c), W, b, p, item_request) {relu}
                                                        item_values(item_columns, rows, stacks ...)
                                                            return (rank.dense(rank.lookup(...), W[:k], 0),)

`dense`: everything of the item side (`sides.py`), up to and including its part of dense layers that mix it with others.
`embeddings`: what features and lookups give, and no product.

The values that others read are outputs of a new function, `item_values`, which runs over the items of a store; `main` reads what it gave,
row `item_rows[n]` for item n. A concatenation of both kinds is grouped before, so that neighbours are stored side by side.
"""

from __future__ import annotations

import json

import numpy as np
import tvm
from tvm import relax, tirx

from relay_passes.graph import INDEX, dataflow, extents, op_name, same_extents, with_bindings
from relay_passes.linear import Opener, Rows, Term, weights_of
from relay_passes.sides import ITEM_COLUMNS, ITEM_ROWS, Side, infer
from te_schedules.column_group import op, op_sequences
from te_schedules.dense import pack
from te_schedules.dense.op import NAME, dense, layer_of
from te_schedules.dense.pack import unpack
from te_schedules.item_store.read_field import read_field

EMBEDDINGS, DENSE = "embeddings", "dense"
ITEM_VALUES = "item_values"
STORED = "rank.stored"  # function attribute: (extents behind the rows, dtype) of each stored value (JSON)
READ_FIELDS = "rank.read_fields"  # function attribute: the rows of item_columns that are still read (JSON)
_MOVES = ("concat", "reshape", "squeeze", "expand_dims", "astype", "less", "take")
EMBEDDING_OPS = frozenset((op.LOOKUP, op.FIRST_ID, *op_sequences.NAMES, *(f"relax.{name}" for name in _MOVES)))
ACTIVATIONS = {"relu": relax.op.nn.relu, "sigmoid": relax.op.sigmoid, "tanh": relax.op.tanh, "none": lambda x: x}


@tvm.transform.module_pass(opt_level=0, name="rank.MaterializeItems")
class MaterializeItems:
    """See the module's text. `level` is EMBEDDINGS or DENSE, `function` the one to rewrite."""

    def __init__(self, level: str, function: str = "main"):
        self.level, self.function = level, function

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten and `item_values` added; unchanged when nothing depends on the item alone."""
        block = dataflow(mod[self.function])
        if block is None:
            return mod
        return _Materializer(mod, self.function, self.level).run()


class _Materializer:
    """One function: its bindings, with what is added to them, and the values that are stored."""

    def __init__(self, mod: tvm.IRModule, name: str, level: str):
        self.mod, self.name, self.level = mod, name, level
        self.function = mod[name]
        self.sides = infer(self.function)
        self.rows = next(p for p in self.function.params if isinstance(p.ty, relax.ShapeType)).ty.values[1]
        self.values: dict[relax.Expr, relax.Expr] = {}
        self.bindings: list[relax.Binding] = []
        self.item_rows = relax.Var(ITEM_ROWS, relax.TensorType([self.rows], "int32"))
        self.items = tirx.Var("S", "int64")
        self.stored: dict[relax.Var, relax.Var] = {}  # value -> parameter
        self.beside: dict[tuple[relax.Expr, ...], relax.Var] = {}
        self.kept: set[relax.Var] = set()  # values of the item side that may be stored, or are made on the way to such

    def run(self) -> tvm.IRModule:
        """The new module."""
        for binding in self.function.body.blocks[0].bindings:
            self._add(binding)
        bindings = self._without(self._cut())
        if not self.stored:
            return self.mod
        mod = self.mod.clone()
        mod[ITEM_VALUES] = self._item_values(list(self.stored))
        main = self.function
        params = list(main.params)
        behind = next(k for k, param in enumerate(params) if param.name == INDEX) + 1
        params[behind:behind] = [self.item_rows, *self.stored.values()]
        body = relax.SeqExpr([relax.DataflowBlock(bindings)], main.body.body)
        mod[self.name] = relax.Function(params, body, main.ret_ty, main.is_pure, main.attrs)
        mod = with_bindings(mod, self.name, bindings)
        return self._described(relax.transform.DeadCodeElimination([self.name, ITEM_VALUES])(mod))

    def _described(self, mod: tvm.IRModule) -> tvm.IRModule:
        """The module with the attributes of the function."""
        fields: set[int] = set()
        for binding in mod[self.name].body.blocks[0].bindings:
            if op.is_feature(binding.value) and binding.value.args[0].name == ITEM_COLUMNS:
                fields |= {field for field in op.decode(binding.value).fields if field >= 0}
        shapes = [([int(extent) for extent in var.ty.shape.values[1:]], str(var.ty.dtype)) for var in self.stored]
        mod[self.name] = mod[self.name].with_attrs({STORED: json.dumps(shapes), READ_FIELDS: json.dumps(sorted(fields))})
        return mod

    # Additions: groups of neighbours in concatenations, and the item part of dense layers.

    def _add(self, binding: relax.Binding) -> None:
        """Append a binding, and what becomes of it."""
        var, value = binding.var, binding.value
        if self.sides[var] is not Side.ITEM:
            changed = self._grouped(value) if op_name(value) == "relax.concat" else self._split(value)
            value = value if changed is None else relax.BlockBuilder().normalize(changed)
        elif self._may_be_stored(value):
            self.kept.add(var)
        self._bind(var, value)

    def _bind(self, var: relax.Var, value: relax.Expr) -> relax.Var:
        self.values[var] = value
        self.bindings.append(relax.VarBinding(var, value))
        return var

    def _new(self, name: str, value: relax.Expr, side: Side) -> relax.Var:
        value = relax.BlockBuilder().normalize(value)
        var = relax.DataflowVar(name, value.ty)
        self.sides[var] = side
        if side is Side.ITEM:
            self.kept.add(var)
        return self._bind(var, value)

    def _may_be_stored(self, value: relax.Expr) -> bool:
        """Whether a value of the item side belongs to what is computed ahead."""
        if self.level == DENSE or not isinstance(value, relax.Call):
            return True
        return op.is_feature(value) or op_name(value) in EMBEDDING_OPS

    def _grouped(self, value: relax.Expr) -> relax.Expr | None:
        """A concatenation whose neighbours of one kind are concatenated first."""
        if not isinstance(value.args[0], relax.Tuple) or value.attrs.axis is None:
            return None
        parts, axis = list(value.args[0].fields), int(value.attrs.axis)
        if int(axis) not in (1, -1) or value.ty.ndim != 2 or len(parts) < 3:
            return None
        runs: list[list[relax.Expr]] = []
        for part in parts:
            if runs and self._is_kept(runs[-1][-1]) == self._is_kept(part):
                runs[-1].append(part)
            else:
                runs.append([part])
        if len(runs) == 1 or not any(self._is_kept(part) for part in parts):
            return None
        return relax.op.concat([self._side_by_side(tuple(run), self._is_kept(run[0])) for run in runs], axis=1)

    def _is_kept(self, value: relax.Expr) -> bool:
        return isinstance(value, relax.Var) and value in self.kept

    def _side_by_side(self, values: tuple[relax.Expr, ...], is_item: bool) -> relax.Expr:
        if len(values) == 1:
            return values[0]
        if values not in self.beside:
            side = Side.ITEM if is_item else Side.CROSSED
            self.beside[values] = self._new("items" if is_item else "others", relax.op.concat(list(values), axis=1), side)
        return self.beside[values]

    def _split(self, value: relax.Expr) -> relax.Expr | None:
        """A dense layer over both kinds with the part of the item side stored."""
        if (
            self.level != DENSE
            or op_name(value) != NAME
            or len(value.args) > 5
            or not isinstance(value.args[1], tvm.ir.GenericConst)
        ):
            return None
        if not same_extents(extents(value.args[0])[:1], [self.rows]):
            return None
        terms = Opener(self.values, lambda var: (var, Rows.ITEM) if var in self.kept else None).terms(value.args[0])
        own = [term for term in terms if term.rows == Rows.ITEM]
        if not own:
            return None
        layer, others = layer_of(value), [term for term in terms if term.rows != Rows.ITEM]
        weight = unpack(value.args[1].value.numpy(), layer.units)

        def product(chosen: list[Term], bias: relax.Expr, activation: str, *, is_item: bool, **more: relax.Expr) -> relax.Call:
            parts = weights_of(chosen, weight)
            packed = relax.const(pack(np.concatenate(list(parts.values())), layer.tiles))
            x = self._side_by_side(tuple(parts), is_item)
            return dense(x, packed, bias, units=layer.units, activation=activation, tiles=layer.tiles, **more)

        zeros = relax.const(np.zeros(layer.units, np.float32))
        part = self._new("item_part", product(own, zeros, "none", is_item=True), Side.ITEM)
        pairs = [*value.args[3:], self._parameter(part), self.item_rows]
        if not others:
            return self._sum(pairs, value.args[2], layer.activation)
        names = ("row_bias", "row_index", "item_bias", "item_index")
        return product(others, value.args[2], layer.activation, is_item=False, **dict(zip(names, pairs, strict=False)))

    def _sum(self, pairs: list[relax.Expr], bias: relax.Expr, activation: str) -> relax.Expr:
        """A layer of which nothing is left but the sum of its parts."""
        total: relax.Expr = bias
        for part, index in zip(pairs[::2], pairs[1::2], strict=True):
            if index is self.item_rows:
                rows = self._new("item_part_rows", read_field(part, index), Side.ITEM)
                self.kept.discard(rows)
            else:
                rows = self._new("part_rows", relax.op.take(part, index, axis=0, mode="clip"), Side.REQUEST)
            total = self._new("sum", relax.op.add(rows, total), Side.CROSSED)
        return ACTIVATIONS[activation](total)

    # The cut: values that others read.

    def _parameter(self, var: relax.Var) -> relax.Var:
        """The parameter of a stored value."""
        if var not in self.stored:
            kind = relax.TensorType([self.items, *var.ty.shape.values[1:]], var.ty.dtype)
            self.stored[var] = relax.Var(f"stored_{len(self.stored)}", kind)
        return self.stored[var]

    def _cut(self) -> set[relax.Var]:
        """The values that are kept and that something else reads; values of a form that no store has are not kept."""
        while True:
            live: set[relax.Var] = set(relax.analysis.free_vars(self.function.body.body))
            for binding in reversed(self.bindings):
                if binding.var in live and binding.var not in self.kept:
                    live |= set(relax.analysis.free_vars(binding.value))
            cut = live & self.kept
            wrong = {var for var in cut if not self._has_rows(var)}
            if not wrong:
                return cut
            self.kept -= wrong

    def _has_rows(self, var: relax.Var) -> bool:
        shape = extents(var)
        return bool(shape) and same_extents(shape[:1], [self.rows]) and all(isinstance(e, tirx.IntImm) for e in shape[1:])

    def _without(self, cut: set[relax.Var]) -> list[relax.Binding]:
        """The bindings of the function that reads `cut` from the store."""
        bindings: list[relax.Binding] = []
        for binding in self.bindings:
            if binding.var in cut:
                bindings.append(relax.VarBinding(binding.var, read_field(self._parameter(binding.var), self.item_rows)))
            else:
                bindings.append(binding)
        return bindings

    def _item_values(self, outputs: list[relax.Var]) -> relax.Function:
        """The function that computes what is stored."""
        needed: set[relax.Var] = set(outputs)
        bindings: list[relax.Binding] = []
        for binding in reversed(self.bindings):
            if binding.var in needed:
                needed |= set(relax.analysis.free_vars(binding.value))
                bindings.insert(0, binding)
        out = relax.Var("values", relax.TupleType([var.ty for var in outputs]))
        block = relax.DataflowBlock([*bindings, relax.VarBinding(out, relax.Tuple(outputs))])
        used = [param for param in self.function.params if param.name not in ("request_columns", INDEX)]
        attrs = dict(self.function.attrs) | {"global_symbol": ITEM_VALUES}
        function = relax.Function(used, relax.SeqExpr([block], out), out.ty, attrs=tvm.ir.make_node("ir.DictAttrs", **attrs))
        return relax.utils.copy_with_new_vars(function)


__all__ = ["DENSE", "EMBEDDINGS", "ITEM_VALUES", "READ_FIELDS", "STORED", "MaterializeItems"]
