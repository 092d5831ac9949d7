"""Files that are no model, or no valid one, are refused and never crash."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
import tvm
from frontend_models import RELU, one_problem, parsed, problems_of, weight
from onnx import TensorProto, helper, numpy_helper

from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_model import import_model


def test_a_file_is_read_and_named_by_its_path(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(parsed(RELU), path)
    assert import_model(path).source == str(path)
    assert import_model(str(path), name="scorer").source == "scorer"


def test_weights_in_an_external_file_are_loaded(tmp_path):
    path = tmp_path / "model.onnx"
    model = parsed("(float[N, 3] x) => (float[N, 3] y) { y = Add(x, w) }", {"w": weight(3)})
    inline = import_model(model).mod
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    tvm.ir.assert_structural_equal(import_model(path).mod, inline)
    (tmp_path / "weights.bin").unlink()
    assert re.match("its external data cannot be loaded: .*weights.bin.*; keep the data file next to", one_problem(path))


def test_external_weights_that_are_not_loaded_are_refused(tmp_path):
    path = tmp_path / "model.onnx"
    model = parsed("(float[N, 3] x) => (float[N, 3] y) { y = Add(x, w) }", {"w": weight(3)})
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    problem = one_problem(onnx.load(path, load_external_data=False))
    assert problem == "weights are in external files that are not loaded; give the path instead of a ModelProto"


def test_a_missing_file_a_folder_and_another_type_are_refused(tmp_path):
    assert one_problem(tmp_path / "none.onnx") == "no such file"
    assert one_problem(tmp_path) == "is a folder; give the .onnx file inside it"
    assert one_problem(3) == "expected a path or an onnx.ModelProto, got int"


@pytest.mark.parametrize("content", [b"not a model at all \xff\xff", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"PK\x03\x04" * 10])
def test_a_file_that_is_no_protobuf_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert one_problem(path) == "is not an ONNX file, or is truncated: the protobuf message cannot be parsed"


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    assert one_problem(path) == "holds no graph: the file is empty, or is not an ONNX model"


def test_a_file_cut_anywhere_is_refused_and_never_crashes(tmp_path):
    path = tmp_path / "model.onnx"
    data = parsed("(float[N, 3] x) => (float[N, 3] y) { y = Add(x, w) }", {"w": weight(3)}).SerializeToString()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            import_model(path)


def test_a_file_with_any_byte_changed_imports_or_is_refused_and_never_crashes(tmp_path):
    path = tmp_path / "model.onnx"
    data = parsed(
        "(float[N, 3] x) => (float[N, 3] y) { h = Add(x, w) y = Softmax<axis = 1>(h) }", {"w": weight(3)}
    ).SerializeToString()
    refused = 0
    for position in range(len(data)):
        for change in (0x01, 0x80):
            path.write_bytes(data[:position] + bytes([data[position] ^ change]) + data[position + 1 :])
            try:
                import_model(path)
            except ModelError:
                refused += 1
    assert refused > len(data) / 2


def test_a_graph_without_outputs_inputs_or_nodes_is_refused():
    model = parsed(RELU)
    del model.graph.output[:]
    assert problems_of(model) == ("the graph has no outputs; export the scores as graph outputs",)
    model = parsed(RELU)
    del model.graph.node[:]
    assert problems_of(model) == ("the graph has no nodes: there is nothing to compile",)
    model = parsed("() => (float[2] y) { y = Relu(w) }", {"w": weight(2)})
    assert problems_of(model) == ("the graph has no inputs: its result would be a constant",)


@pytest.mark.parametrize(
    ("opset", "text"),
    [
        (10, "uses opset 10; opsets 11 to 23 are accepted: export with opset_version=11 or later, or use onnx.version_converter"),
        (24, "uses opset 24; opsets 11 to 23 are accepted: export with opset_version=23"),
    ],
)
def test_opsets_out_of_range_are_refused(opset, text):
    assert one_problem(parsed(RELU, opset=opset)) == text


def test_a_model_without_opset_is_refused():
    model = parsed(RELU)
    del model.opset_import[:]
    assert one_problem(model) == "imports no version of the standard operators (opset_import is empty); export it again"


def test_an_inconsistent_graph_is_refused_with_the_finding_of_the_checker():
    model = parsed("(float[N, 3] x) => (float[N, 3] y) { y = Relu(missing) }")
    assert re.match("is not a valid ONNX model: .*missing.*; export it again", one_problem(model))


def test_shapes_that_contradict_each_other_are_refused():
    model = parsed("(float[N, 3] x) => (float[N, 5] y) { y = MatMul(x, w) }", {"w": weight(4, 5)})
    problem = one_problem(model)
    assert problem.startswith("has shapes or types that contradict each other: ")
    assert "MatMul" in problem


def test_sparse_and_text_initializers_are_refused():
    model = parsed(RELU)
    values = numpy_helper.from_array(weight(1), name="sparse")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1])), [3]))
    model.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"a"]))
    assert problems_of(model) == (
        "has sparse initializers, which are not supported; store them dense",
        "initializers of strings are not supported: words; handle text in the features",
    )


def test_a_constant_of_text_is_refused():
    model = parsed('(float[N, 3] x) => (float[N, 3] y) { k = Constant<value_string = "a">() y = Relu(x) }')
    assert one_problem(model) == "Constant the node of 'k' holds text or a sparse tensor; only dense numbers are supported"
