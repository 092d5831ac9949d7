"""ONNX -> Relax: the whole way from a file to a `DenseModel`, as a list of steps."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import warnings
from typing import Any

import onnx
import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.relax.transform import (
    CanonicalizeBindings,
    ConvertToDataflow,
    DeadCodeElimination,
    EliminateCommonSubexpr,
    FoldConstant,
    Normalize,
    RemoveRedundantReshape,
)

from tvm_rank.errors import ModelError
from tvm_rank.frontend import onnx_bags
from tvm_rank.frontend.dense_model import DenseModel, ModelInput
from tvm_rank.frontend.onnx_converters import Importer, converter_names
from tvm_rank.frontend.onnx_file import PROTOBUF_LIMIT, checker_finding, opset_of, read_model, shape_finding
from tvm_rank.frontend.onnx_lookups import take_lookups
from tvm_rank.frontend.onnx_operators import unsupported_operators
from tvm_rank.frontend.onnx_prepare import constants_to_initializers, inline_constant_branches, inline_functions, safe_names
from tvm_rank.frontend.onnx_signature import read_signature, share_batch, with_table_rows
from tvm_rank.frontend.onnx_values import NotConvertible

__all__ = ["DenseModel", "ModelInput", "import_model"]


def import_model(
    model: onnx.ModelProto | str | os.PathLike[str], *, name: str | None = None, keep_lookups: bool = False
) -> DenseModel:
    """The dense model of an ONNX file, with all graph inputs and outputs (N, ...) over one symbolic batch N.

    `name` replaces the path, or the name of the graph, in messages. Lookups in tables of the model become inputs (`ModelInput.lookup`),
    unless `keep_lookups`. The model that is passed in is not changed. Accepted are
    opsets 11 to 23, float32 and int64 inputs with a dynamic first axis and fixed other axes. An operator that needs no
    decision is imported as ONNX specifies it, but: Squeeze without axes never drops the batch, and an index of Gather that is
    out of range wraps around where ONNX Runtime would fail.

    Raises ModelError with all findings of the first step that has any: the file, the inputs and operators, the conversion,
    the outputs.
    """
    proto, source = read_model(model, name)
    if finding := checker_finding(proto):
        raise ModelError(source, unsupported_operators(proto, converter_names()) or [finding])
    proto = inline_functions(proto, source)
    problems = constants_to_initializers(proto)
    inline_constant_branches(proto)
    bags = onnx_bags.Bags() if keep_lookups else onnx_bags.take_bags(proto)
    inputs, outputs, found = read_signature(proto)
    problems += found + unsupported_operators(proto, converter_names())
    if problems:
        raise ModelError(source, problems)
    share_batch(proto)
    inputs, given = bags.entered(with_table_rows(inputs, proto))
    tables = bags.tables
    if not keep_lookups:
        inputs, more = take_lookups(proto, inputs)
        tables = {**tables, **more}
    if finding := shape_finding(proto):
        raise ModelError(source, [finding])
    mod = _clean(_convert(proto, safe_names(proto), source))
    _check_outputs(mod, proto, outputs, source)
    return DenseModel(source=source, inputs=inputs, outputs=outputs, mod=mod, given=given, tables=tables)


def _convert(proto: onnx.ModelProto, nodes: dict[str, str], source: str) -> tvm.IRModule:
    """Run TVM's importer. `nodes` tells how the file calls each node, for the message when one fails."""
    importer = Importer()
    importer.infer_types = functools.cache(lambda: _types_of(proto))
    cause: Exception | None = None
    try:
        # The importer prints the inputs of a node that fails, and warns about what is checked here already.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mod = importer.from_onnx(proto.graph, opset_of(proto))
    except Exception as error:  # whatever the converters raise: ValueError, AttributeError, TVM's errors
        importer.close()
        cause = error
        importer.refused.append((importer.current_node, error))
    if importer.refused:
        problems = [_refusal(nodes.get(node or "", "the graph"), error) for node, error in importer.refused]
        raise ModelError(source, problems) from (cause or importer.refused[0][1])
    return mod


def _types_of(proto: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The types that ONNX infers: value -> type. None are known of a model too large to serialize."""
    if proto.ByteSize() > PROTOBUF_LIMIT:
        return {}
    graph = onnx.shape_inference.infer_shapes(proto).graph
    return {entry.name: entry.type for entry in (*graph.value_info, *graph.output)}


def _refusal(node: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if "cannot handle ShapeExpr inputs" in reason:
        reason = "it computes with a shape that depends on the batch, beyond what the importer folds"
    advice = "" if isinstance(error, NotConvertible) else "; write this layer in another way, or export with another opset"
    return f"{node} cannot be imported: {reason}{advice}"


def _clean(mod: tvm.IRModule) -> tvm.IRModule:
    """main returns a tuple, computes nothing from constants alone, nothing twice, and nothing that no output needs."""
    main = mod["main"]
    result, ty = main.body.body, main.ret_ty
    if not isinstance(ty, relax.TupleType):
        result, ty = relax.Tuple([result]), relax.TupleType([ty])
    attrs = tvm.ir.make_node("ir.DictAttrs", global_symbol="main")  # without the importer's own marks
    main = relax.Function(main.params, relax.SeqExpr(main.body.blocks, result), ret_ty=ty, attrs=attrs)
    others = {var: func for var, func in mod.functions_items() if var.name_hint != "main"}
    mod = tvm.IRModule({**others, "main": main})
    passes = [
        Normalize(),
        CanonicalizeBindings(),
        FoldConstant(),
        RemoveRedundantReshape(),
        EliminateCommonSubexpr(),
        ConvertToDataflow(min_size=1),
        CanonicalizeBindings(),
        DeadCodeElimination(["main"]),
    ]
    return tvm.ir.transform.Sequential(passes)(mod)


def _check_outputs(mod: tvm.IRModule, proto: onnx.ModelProto, outputs: tuple[str, ...], source: str) -> None:
    main = mod["main"]
    batch = main.params[0].ty.shape[0]
    problems = []
    for name, info, ty in zip(outputs, proto.graph.output, main.ret_ty.fields, strict=True):
        where = f"output '{name}'"
        dims = list(ty.shape.values) if isinstance(ty, relax.TensorType) and isinstance(ty.shape, relax.ShapeExpr) else None
        if dims is None:
            problems.append(f"{where} has a shape that is known at run time only; wanted (N, ...) with N the batch")
            continue
        if not dims or not tvm_ffi.structural_equal(dims[0], batch):
            problems.append(
                f"{where} has shape {_shape_text(dims)}; wanted (N, ...), one row per item: export without reducing the batch"
            )
        elif not all(isinstance(dim, tirx.IntImm) for dim in dims[1:]):
            problems.append(f"{where} has shape {_shape_text(dims)}; only the first axis may depend on the batch")
        elem_type = info.type.tensor_type.elem_type  # may be left out
        wanted = str(onnx.helper.tensor_dtype_to_np_dtype(elem_type)) if elem_type else str(ty.dtype)
        if str(ty.dtype) != wanted:
            problems.append(f"{where} was imported as {ty.dtype} where the file says {wanted}: this is a fault of the importer")
    if problems:
        raise ModelError(source, problems)


def _shape_text(dims: list[Any]) -> str:
    texts = [str(int(dim)) if isinstance(dim, tirx.IntImm) else str(dim) for dim in dims]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
