"""The inputs and outputs of an ONNX graph: their types, and the one batch axis N that all of them share."""

from __future__ import annotations

from dataclasses import replace

import onnx

from tvm_rank.frontend.dense_model import ModelInput

BATCH = "N"

DTYPES = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT64: "int64"}

DYNAMIC_BATCH = (
    "export with a dynamic batch: torch.onnx.export(..., dynamic_axes={'%s': {0: 'N'}}), or with dynamo=True "
    "dynamic_shapes={'%s': {0: torch.export.Dim('N')}}; onnx.tools.update_model_dims changes a file that is free of fixed batches"
)


def read_signature(model: onnx.ModelProto) -> tuple[tuple[ModelInput, ...], tuple[str, ...], list[str]]:
    """Inputs, names of the outputs, and all problems with them (the inputs that have one are left out).

    An input that is also an initializer (IR version 3) is a weight, not an input.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs, problems = [], []
    for info in graph.input:
        if info.name in weights:
            continue
        found = _input_problems(info)
        problems += found
        if not found:
            shape = tuple(d.dim_value for d in info.type.tensor_type.shape.dim)[1:]
            inputs.append(ModelInput(name=info.name, dtype=DTYPES[info.type.tensor_type.elem_type], shape=shape))
    names = [info.name for info in graph.input if info.name not in weights]
    if not names:
        problems.append("the graph has no inputs: its result would be a constant")
    problems += [f"input '{name}' occurs twice" for name in sorted({n for n in names if names.count(n) > 1})]
    outputs = tuple(info.name for info in graph.output)
    return tuple(inputs), outputs, problems


def _input_problems(info: onnx.ValueInfoProto) -> list[str]:
    where = f"input '{info.name}'"
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return [f"{where} is a {(kind or 'value without a type').removesuffix('_type')}; only tensors are accepted"]
    tensor = info.type.tensor_type
    problems = []
    if tensor.elem_type not in DTYPES:
        problems.append(f"{where} has dtype {_dtype_name(tensor.elem_type)}; {_dtype_advice(tensor.elem_type)}")
    if not tensor.HasField("shape"):
        return [*problems, f"{where} has no shape; export it with the shape (N, ...)"]
    dims = list(tensor.shape.dim)
    if not dims:
        return [*problems, f"{where} is a scalar; every input needs the batch as its first axis: make it a constant of the model"]
    if dims[0].dim_value > 0:
        problems.append(f"{where} has the fixed batch {dims[0].dim_value}; {DYNAMIC_BATCH.replace('%s', info.name)}")
    for axis, dim in enumerate(dims[1:], start=1):
        if dim.dim_value <= 0:
            name = f"'{dim.dim_param}'" if dim.dim_param else "of unknown size"
            problems.append(f"{where} has a symbolic axis {axis}, {name}; only the batch may be symbolic: export with a fixed size")
    return problems


def _dtype_name(elem_type: int) -> str:
    return onnx.TensorProto.DataType.Name(elem_type).lower() if elem_type in onnx.TensorProto.DataType.values() else "unknown"


def _dtype_advice(elem_type: int) -> str:
    if elem_type == onnx.TensorProto.STRING:
        return "text is handled by the features: give the model the id (int64) or its embedding (float32)"
    if elem_type in (onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
        return "float inputs are float32: export with float32 inputs (a Cast inside the model may narrow or widen them)"
    return "ids are int64 and values float32: export with one of them (a Cast inside the model may change it)"


def share_batch(model: onnx.ModelProto) -> None:
    """Give the first axis of every input the name N, and drop what the file says about all other shapes.

    Exporters name the batch of each input as they like, or leave it unknown; the batch is one number all the same. Shapes of
    outputs and inner values speak of the old names, so that they would contradict the inputs; inference finds them again.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    real = [info for info in graph.input if info.name not in weights]
    del graph.input[:]
    graph.input.extend(real)
    for info in graph.input:
        batch = info.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_param = BATCH
    del graph.value_info[:]
    for info in graph.output:
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")


# An id that passes through these is still the same id.
_KEEPS_VALUES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def with_table_rows(inputs: tuple[ModelInput, ...], model: onnx.ModelProto) -> tuple[ModelInput, ...]:
    """The inputs, with `rows` set on the int64 ones that index a constant along its first axis (an embedding in the model)."""
    origin = {entry.name: entry.name for entry in inputs if entry.dtype == "int64"}
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    rows: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in _KEEPS_VALUES and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        if node.op_type == "Gather" and node.input[1] in origin and len(sizes.get(node.input[0], ())) > 0:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            name, size = origin[node.input[1]], sizes[node.input[0]][axis]
            rows[name] = min(size, rows.get(name, size))
    return tuple(replace(entry, rows=rows.get(entry.name)) for entry in inputs)
