"""Read an ONNX file, or take a ModelProto, and refuse what is not a model: nothing here knows about TVM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_operators import ML_DOMAIN, STANDARD_DOMAINS, walk

# Tested against ONNX Runtime from 11 to 23. Below 11, TVM's importer has no converter for Slice and Clip as they were then.
MIN_OPSET = 11
MAX_OPSET = 23
# Operators that mean the same from version 7 to MIN_OPSET: converters of classical models put these around their nodes, and declare the
# lowest version that has them, or none.
UNCHANGED_OPERATORS = frozenset(
    {"Abs", "Add", "Cast", "Concat", "Div", "Exp", "Flatten", "Identity", "Log", "MatMul", "Mul", "Neg", "Reshape", "Sigmoid"}
    | {"Softmax", "Sqrt", "Sub", "Tanh", "Transpose"}
)

PROTOBUF_LIMIT = 2**31 - 1  # bytes; a larger message cannot be serialized, so the checker cannot see it


def read_model(model: onnx.ModelProto | str | os.PathLike[str], name: str | None = None) -> tuple[onnx.ModelProto, str]:
    """The model as a private copy, with external data loaded, and the text that names it in messages.

    Raises ModelError when the file is missing, is not ONNX, lacks its external data, or has no graph.
    """
    if isinstance(model, onnx.ModelProto):
        source = name or model.graph.name or "ONNX model"
        proto = onnx.ModelProto()
        proto.CopyFrom(model)
    elif isinstance(model, (str, os.PathLike)):
        path = Path(model)
        source = name or str(path)
        proto = _load(path, source)
    else:
        raise ModelError(name or "model", [f"expected a path or an onnx.ModelProto, got {type(model).__name__}"])
    _declare_opset(proto)
    _check_graph(proto, source)
    return proto, source


def _declare_opset(proto: onnx.ModelProto) -> None:
    """Let a classical model (ai.onnx.ml) that declares a lower version than MIN_OPSET, or none, have that one if it means the same."""
    if not any(node.domain == ML_DOMAIN for node in proto.graph.node) or (opset_of(proto) or 0) >= MIN_OPSET:
        return
    if all(node.op_type in UNCHANGED_OPERATORS for node in proto.graph.node if node.domain in STANDARD_DOMAINS):
        others = [entry for entry in proto.opset_import if entry.domain not in STANDARD_DOMAINS]
        kept = [onnx.helper.make_opsetid(entry.domain, entry.version) for entry in others]
        del proto.opset_import[:]
        proto.opset_import.extend([*kept, onnx.helper.make_opsetid("", MIN_OPSET)])


def _load(path: Path, source: str) -> onnx.ModelProto:
    if not path.exists():
        raise ModelError(source, ["no such file"])
    if path.is_dir():
        raise ModelError(source, ["is a folder; give the .onnx file inside it"])
    try:
        proto = onnx.load_model(path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise ModelError(source, ["is not an ONNX file, or is truncated: the protobuf message cannot be parsed"]) from error
    except OSError as error:
        raise ModelError(source, [f"cannot be read: {error}"]) from error
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # onnx raises OSError, ValueError or its checker's error, by what is wrong with the file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        advice = "keep the data file next to the .onnx file, under the name it was saved with"
        raise ModelError(source, [f"its external data cannot be loaded: {reason}; {advice}"]) from error
    return proto


def _check_graph(proto: onnx.ModelProto, source: str) -> None:
    problems = []
    if not proto.HasField("graph"):
        raise ModelError(source, ["holds no graph: the file is empty, or is not an ONNX model"])
    if any(isinstance(text, bytes) for text in _names(proto.graph)):  # what protobuf gives for bytes that are no UTF-8
        raise ModelError(source, ["is damaged: it holds names that are not UTF-8"])
    graph = proto.graph
    if not graph.output:
        problems.append("the graph has no outputs; export the scores as graph outputs")
    if not graph.node and graph.output:
        problems.append("the graph has no nodes: there is nothing to compile")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer):
        problems.append("weights are in external files that are not loaded; give the path instead of a ModelProto")
    if graph.sparse_initializer:
        problems.append("has sparse initializers, which are not supported; store them dense")
    strings = [t.name for t in graph.initializer if t.data_type == onnx.TensorProto.STRING]
    if strings:
        problems.append(f"initializers of strings are not supported: {', '.join(strings)}; handle text in the features")
    problems += _opset_problems(proto)
    if problems:
        raise ModelError(source, problems)


def _names(graph: onnx.GraphProto) -> Iterator[str | bytes]:
    yield from (entry.name for entry in (*graph.input, *graph.output, *graph.initializer))
    yield from (dim.dim_param for info in graph.input for dim in info.type.tensor_type.shape.dim)
    for node in walk(graph):
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output, *(a.name for a in node.attribute))


def _opset_problems(proto: onnx.ModelProto) -> list[str]:
    version = opset_of(proto)
    if version is None:
        return ["imports no version of the standard operators (opset_import is empty); export it again"]
    if version < MIN_OPSET:
        advice = f"export with opset_version={MIN_OPSET} or later, or use onnx.version_converter"
        return [f"uses opset {version}; opsets {MIN_OPSET} to {MAX_OPSET} are accepted: {advice}"]
    if version > MAX_OPSET:
        return [f"uses opset {version}; opsets {MIN_OPSET} to {MAX_OPSET} are accepted: export with opset_version={MAX_OPSET}"]
    return []


def opset_of(proto: onnx.ModelProto) -> int | None:
    """The version of the standard operators that the model imports, or None."""
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions) if versions else None


def checker_finding(proto: onnx.ModelProto) -> str | None:
    """What ONNX's checker says against the model, or None. A model too large to serialize is not checked."""
    if proto.ByteSize() > PROTOBUF_LIMIT:
        return None
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # the checker raises ValidationError, and ValueError for text that is not UTF-8
        return f"is not a valid ONNX model: {_one_line(error)}; export it again"
    return None


def shape_finding(proto: onnx.ModelProto) -> str | None:
    """What ONNX's shape inference says against the types of the nodes, or None. A model too large to serialize is not checked."""
    if proto.ByteSize() > PROTOBUF_LIMIT:
        return None
    try:
        onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except Exception as error:  # InferenceError, and others from the C++ side
        return f"has shapes or types that contradict each other: {_one_line(error)}; export it again"
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).split(" ==> Context:")[0]
