"""Converters of ai.onnx.ml beside trees: linear models, scalers, encoders. Each is a few operators that TVM has.

Where ONNX Runtime fails on a row (an id that an encoder does not know), the compiled code goes on: see each converter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from tvm import relax

from tvm_rank.frontend.onnx_steps import emit
from tvm_rank.frontend.onnx_tree_scores import (
    completed,
    convert_classifier,
    convert_ensemble,
    convert_regressor,
    labels_of,
    rows_of,
    text,
    transform_of,
    transformed,
)
from tvm_rank.frontend.onnx_trees import numbers
from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, array_of, constant, is_constant, shape_of

MAX_KEYS = 4096  # of a label encoder whose keys are not close to each other: each is compared
MAX_TABLE = 1 << 20  # numbers between the first and the last key of one whose keys are


def _linear_regressor(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    x, features = rows_of(inputs[0])
    targets = int(attrs.get("targets", 1))
    scores = _linear(x, features, attrs, targets)
    transform = transform_of(attrs)
    return transformed(scores, transform if targets > 1 or transform == "PROBIT" else "NONE")


def _linear_classifier(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """(labels (N,), scores (N, classes)): the class of the largest score; of one score for two classes, whether it is above 0."""
    x, features = rows_of(inputs[0])
    labels, classes = labels_of(attrs, "classlabels_ints", "classlabels_strings")
    rows = len(numbers(attrs, "coefficients", np.float32)) // max(features, 1)
    if classes < 2 or rows not in (classes, 1) or (rows == 1 and classes != 2):
        raise NotConvertible(f"it has {classes} classes and coefficients for {rows}; wanted one row for each of two or more")
    scores, transform = _linear(x, features, attrs, rows), transform_of(attrs)
    if rows > 1:
        return relax.Tuple([emit(labels(emit(relax.op.argmax(scores, axis=1)))), transformed(scores, transform)])
    is_second = emit(relax.op.astype(emit(relax.op.greater(scores, relax.const(0.0, "float32"))), "int64"))
    return relax.Tuple([emit(labels(emit(relax.op.squeeze(is_second, axis=[1])))), completed(scores, transform)])


def _linear(x: Any, features: int, attrs: Attributes, rows: int) -> Any:
    weights, bias = numbers(attrs, "coefficients", np.float32), numbers(attrs, "intercepts", np.float32)
    if rows < 1 or len(weights) != rows * features or len(bias) not in (0, rows):
        raise NotConvertible(f"it has {len(weights)} coefficients and {len(bias)} intercepts for {rows} x {features} weights")
    product = emit(relax.op.matmul(x, constant(np.ascontiguousarray(weights.reshape(rows, features).T))))
    return emit(relax.op.add(product, constant(bias))) if len(bias) else product


def _scaler(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """(x - offset) * scale"""
    x, features = rows_of(inputs[0])
    offset, scale = (_for_each(attrs, name, features, np.float32) for name in ("offset", "scale"))
    return relax.op.multiply(emit(relax.op.subtract(x, constant(offset))), constant(scale))


def _normalizer(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """Rows by their largest number, the sum of their magnitudes, or their length; a row for which that is 0 stays."""
    x, _features = rows_of(inputs[0])
    norm = text(attrs, "norm", "MAX")
    if norm == "MAX":
        size = relax.op.max(x, axis=1, keepdims=True)
    elif norm == "L1":
        size = relax.op.sum(emit(relax.op.abs(x)), axis=1, keepdims=True)
    elif norm == "L2":
        size = relax.op.sqrt(emit(relax.op.sum(emit(relax.op.multiply(x, x)), axis=1, keepdims=True)))
    else:
        raise NotConvertible(f"its norm is {norm!r}; known are MAX, L1 and L2")
    size = emit(size)
    is_zero = emit(relax.op.equal(size, relax.const(0.0, "float32")))
    return relax.op.divide(x, emit(relax.op.where(is_zero, relax.const(1.0, "float32"), size)))


def _binarizer(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    x = inputs[0]
    dtype = str(x.ty.dtype)
    return relax.op.astype(emit(relax.op.greater(x, relax.const(attrs.get("threshold", 0.0), dtype))), dtype)


def _imputer(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """Other numbers in place of one, or of NaN."""
    x = inputs[0]
    dims = shape_of(x)
    if dims is None or len(dims) != 2:
        raise NotConvertible("its input must be (N, features)")
    kind, dtype = ("int64", np.int64) if str(x.ty.dtype) == "int64" else ("float", np.float32)
    given = constant(_for_each(attrs, f"imputed_value_{kind}s", int(dims[1]), dtype))
    replaced = attrs.get(f"replaced_value_{kind}", 0)
    is_replaced = relax.op.isnan(x) if np.isnan(replaced) else relax.op.equal(x, relax.const(replaced, str(x.ty.dtype)))
    return relax.op.where(emit(is_replaced), given, x)


def _array_feature_extractor(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """Columns of x."""
    x, index = inputs
    dims = shape_of(x)
    if dims is None or len(dims) < 2 or not is_constant(index):
        raise NotConvertible("it must take constant columns of (N, features)")
    places, width = array_of(index).reshape(-1), int(dims[-1])
    if not len(places) or places.min() < 0 or places.max() >= width:
        raise NotConvertible(f"it takes the columns {places.tolist()[:5]} of {width}")
    return relax.op.take(x, constant(places.astype(np.int64)), axis=len(dims) - 1, mode="clip")


def _feature_vectorizer(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """The inputs side by side, as float32."""
    parts = [value if str(value.ty.dtype) == "float32" else emit(relax.op.astype(value, "float32")) for value in inputs]
    return relax.op.concat(parts, axis=1)


def _one_hot_encoder(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """One number for each category along a new last axis; an unknown category gives zeros, where ONNX Runtime may fail."""
    x, keys = inputs[0], np.asarray(attrs.get("cats_int64s", ()), np.int64)
    if not len(keys):
        raise NotConvertible(f"its categories are texts; {TEXTS}")
    if str(x.ty.dtype) != "int64":
        x = emit(relax.op.astype(x, "int64"))
    dims = shape_of(x)
    if dims is None:
        raise NotConvertible("the shape of its input must be known")
    return relax.op.astype(
        emit(relax.op.equal(emit(relax.op.expand_dims(x, len(dims))), constant(_last(keys, len(dims) + 1)))), "float32"
    )


def _label_encoder(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """The value of each key, the default for what is no key. Of a key that occurs twice the first value counts."""
    x = inputs[0]
    dims = shape_of(x)
    keys, values = _list_of(attrs, "keys"), _list_of(attrs, "values")
    if dims is None or not len(keys) or len(keys) != len(values):
        raise NotConvertible(f"it has {len(keys)} keys and {len(values)} values")
    default = _default(attrs, values.dtype)
    keys, first = np.unique(keys, return_index=True)
    values = values[first]
    table = np.append(values, np.asarray(default, values.dtype))
    if keys.dtype.kind == "i" and int(keys[-1]) - int(keys[0]) < min(MAX_TABLE, 8 * len(keys) + 1024):
        return _from_table(x, keys, table)
    if len(keys) > MAX_KEYS:
        raise NotConvertible(f"it has {len(keys)} keys far from each other; {TEXTS}")
    wide = emit(relax.op.expand_dims(x, len(dims)))
    is_key = emit(relax.op.equal(wide, constant(_last(keys, len(dims) + 1))))
    if keys.dtype.kind == "f" and np.isnan(keys[-1]):
        is_last = emit(relax.op.isnan(wide))
        is_key = emit(
            relax.op.logical_or(is_key, emit(relax.op.logical_and(is_last, constant(_last(np.isnan(keys), len(dims) + 1)))))
        )
    number = emit(
        relax.op.sum(emit(relax.op.astype(is_key, "int64")) * constant(_last(np.arange(-len(keys), 0), len(dims) + 1)), axis=-1)
    )
    return relax.op.take(constant(table), emit(relax.op.add(number, relax.const(len(keys), "int64"))), axis=0, mode="clip")


def _from_table(x: Any, keys: np.ndarray, table: np.ndarray) -> Any:
    """The values by a table over all numbers from the first to the last key, and one more at each end."""
    low, high = int(keys[0]), int(keys[-1])
    dense = np.full(high - low + 3, table[-1], table.dtype)
    dense[keys - low + 1] = table[:-1]
    inside = emit(relax.op.minimum(emit(relax.op.maximum(x, relax.const(low - 1, "int64"))), relax.const(high + 1, "int64")))
    return relax.op.take(constant(dense), emit(relax.op.subtract(inside, relax.const(low - 1, "int64"))), axis=0, mode="clip")


TEXTS = "text is handled by the features: move it into the feature configuration"


def _list_of(attrs: Attributes, name: str) -> np.ndarray:
    """The keys or values of a label encoder, in whichever attribute they stand."""
    for suffix, dtype in (("int64s", np.int64), ("floats", np.float32)):
        if f"{name}_{suffix}" in attrs:
            return np.asarray(attrs[f"{name}_{suffix}"], dtype)
    tensor = attrs.get(f"{name}_tensor")
    if isinstance(tensor, TensorProto) and tensor.data_type in (TensorProto.INT64, TensorProto.FLOAT):
        return numpy_helper.to_array(tensor).reshape(-1)
    raise NotConvertible(f"its {name} are no int64 or float32 numbers; {TEXTS}")


def _default(attrs: Attributes, dtype: np.dtype) -> Any:
    tensor = attrs.get("default_tensor")
    if isinstance(tensor, TensorProto):
        return numpy_helper.to_array(tensor).reshape(-1)[0]
    return attrs.get("default_float", -0.0) if dtype.kind == "f" else attrs.get("default_int64", -1)


def _for_each(attrs: Attributes, name: str, features: int, dtype: type) -> np.ndarray:
    """One number for all columns, or one for each."""
    values = numbers(attrs, name, dtype)
    if len(values) not in (1, features):
        raise NotConvertible(f"its {name} has {len(values)} numbers for {features} columns")
    return values


def _last(values: np.ndarray, ndim: int) -> np.ndarray:
    """The values along the last of `ndim` axes."""
    return values.reshape([1] * (ndim - 1) + [len(values)])


def _zip_map(inputs: Inputs, _attrs: Attributes, _opset: int) -> Any:
    """The scores themselves, (N, classes): a list of maps has no place in an array."""
    return inputs[0]


CONVERTERS: dict[str, Callable[[Inputs, Attributes, int], Any]] = {
    "ArrayFeatureExtractor": _array_feature_extractor,
    "Binarizer": _binarizer,
    "FeatureVectorizer": _feature_vectorizer,
    "Imputer": _imputer,
    "LabelEncoder": _label_encoder,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "OneHotEncoder": _one_hot_encoder,
    "Scaler": _scaler,
    "TreeEnsemble": convert_ensemble,
    "TreeEnsembleClassifier": convert_classifier,
    "TreeEnsembleRegressor": convert_regressor,
    "ZipMap": _zip_map,
}
