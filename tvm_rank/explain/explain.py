"""explain_item: every feature of one request and one item, step by step, by the compiled program and by the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.config.reader import did_you_mean
from tvm_rank.config.spec import CONST, FEATURE, Expression, Feature, FeatureConfig
from tvm_rank.errors import InputError, RowError
from tvm_rank.explain import variants as v
from tvm_rank.explain.trace import FeatureTrace, InputTrace, ValueTrace, rule_of, why_missing
from tvm_rank.ops.dag import references
from tvm_rank.output import FeatureOutput
from tvm_rank.runtime.columns import as_array, as_columns, find_column

FORMULA_TOLERANCE = 1e-6  # relative: NumPy and the C library round functions such as exp differently
Columns = Mapping[str, pa.Array]
Outputs = Mapping[str, FeatureOutput]


def explain_item(
    config: FeatureConfig, user: Any, items: Any, item: int, features: Sequence[str] = (), *, steps: bool = True
) -> list[FeatureTrace]:
    """What becomes of row `item` of `items` for the single row of `user`.

    user, items: tables as for `Engine.rank` (None for none); types are those that the engine takes · features: names, () for all ·
    steps: whether the compiled program is compared with the references at each step (texts, numbers before and after the normalizer),
    which takes several times as long to compile, or in the values of the features only.
    Raises InputError for an item or a name that is not there, and for columns that are missing or of a wrong type.
    """
    names = {feature.name for feature in config.features}
    for name in features:
        if name not in names:
            raise InputError(f"feature {name!r}: the configuration has none of this name{did_you_mean(name, names)}")
    config = v.chosen(config, features)
    columns = row_columns(config, user, items, item)
    explainer = _Explainer(config, columns, steps)
    return [explainer.trace(f) for f in config.features if not features or f.name in features]


def row_columns(config: FeatureConfig, user: Any, items: Any, item: int) -> dict[str, pa.Array]:
    """The columns that features read, of one row each."""
    sides = {True: _given(user, "user"), False: _given(items, "items")}
    fields = [field for feature in config.features for field in feature.fields if field.side not in (CONST, FEATURE)]
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(field.name for field in fields):
        places = sorted({field.is_request for field in fields if field.name == name})
        if len(places) == 2:  # of user and of items: one column, as in training rows
            places = [place for place in places if name in sides[place]] or places
        found = [_column(sides[is_request], name, 0 if is_request else item, is_request) for is_request in places]
        if any(not found[0].equals(other) for other in found):
            raise InputError(
                f"column {name!r} is read of user and of items, which differ; give one of them another name to explain it"
            )
        columns[name] = found[0]
    return columns


def _column(table: Mapping[str, Any], name: str, row: int, is_request: bool) -> pa.Array:
    where = "user" if is_request else "items"
    return _one_row(as_array(find_column(table, name, where), f"{where} column {name!r}"), row, where)


def _given(table: Any, where: str) -> Mapping[str, Any]:
    return {} if table is None else as_columns(table, where)[0]


def _one_row(array: pa.Array, row: int, where: str) -> pa.Array:
    at = 0 if len(array) == 1 else row
    if not 0 <= at < len(array):
        raise InputError(f"{where}: has {len(array)} rows, so that there is no row {row}; rows count from 0")
    return pa.concat_arrays([array.slice(at, 1)])  # a copy, so that a slice's other rows do not matter


class _Explainer:
    """The outputs of all features at all steps. What the row refuses is found feature by feature."""

    def __init__(self, config: FeatureConfig, columns: Columns, with_steps: bool):
        self.config, self.columns, self.with_steps = config, columns, with_steps
        self.errors: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.reference = self._references()
        self.compiled = self._compiled()

    def _references(self) -> dict[str, FeatureOutput]:
        steps = (v.TEXTS, v.HASHED, v.NUMBERS, v.BARE, v.OTHER)
        whole = v.expanded(self.config, steps=steps, with_stubs=True)
        try:
            return references(whole, self.columns, 1)
        except InputError:
            outputs: dict[str, FeatureOutput] = {}
            for feature in whole.features:
                try:
                    outputs |= references(v.chosen(whole, [feature.name]), self.columns, 1)
                except InputError as error:
                    self.errors[feature.name] = str(error)
            return outputs

    def _compiled(self) -> dict[str, FeatureOutput]:
        """What the compiled program gives, of the features that the references do not refuse."""
        from tvm_rank.features import program_of

        steps = (v.TEXTS, v.HASHED, v.NUMBERS, v.BARE) if self.with_steps else ()
        whole = v.expanded(self.config, steps=steps, with_stubs=False)
        good = [feature.name for feature in whole.features if not feature.stub and feature.name not in self.errors]
        try:
            return program_of(v.chosen(whole, good), threads=1)(self.columns) if good else {}
        except RowError as error:  # which the reference does not refuse
            self.refused[error.feature] = f"values: the compiled program refuses the row ({error.reason}), the reference does not"
            return {}

    def trace(self, feature: Feature) -> FeatureTrace:
        """What is known of one feature."""
        inputs = tuple(self._input(field) for field in feature.fields)
        known: dict[str, Any] = {
            "name": feature.name,
            "type": feature.stem,
            "rule": rule_of(feature, self.config.hash_function),
            "inputs": inputs,
        }
        if feature.name in self.errors:
            texts = [ValueTrace(text=_text(text)) for text in _first(self._step(feature, v.TEXTS))]
            return FeatureTrace(**known, values=tuple(texts), error=self.errors[feature.name])
        output = self.reference[feature.name]
        values = self._values(feature, output)
        is_missing = not values or all(value.is_default for value in values)
        lengths = None if output.key_lengths is None else tuple(output.key_lengths.tolist())
        differences, unconfirmed = self._compare(feature)
        return FeatureTrace(
            **known,
            values=tuple(values),
            missing=why_missing(feature, inputs) if is_missing else "",
            key_lengths=lengths,
            differences=differences,
            unconfirmed=unconfirmed,
        )

    def _input(self, field: Any) -> InputTrace:
        if field.side == CONST:
            return InputTrace(side=CONST, name=field.name, type="string", value=field.name)
        if field.side == FEATURE:
            output = self.reference.get(field.name)
            value = None if output is None else _plain(_flat(output))
            return InputTrace(side=FEATURE, name=field.name, type="feature", value=value)
        column = self.columns[field.name]
        return InputTrace(side=field.side, name=field.name, type=str(column.type), value=_raw(column))

    def _values(self, feature: Feature, output: FeatureOutput) -> list[ValueTrace]:
        """One entry for each value that a model reads, in order."""
        texts, numbers, bare = (self._step(feature, step) for step in (v.TEXTS, v.NUMBERS, v.BARE))
        if feature.yields_texts:
            texts = _flat(output)
        dense = None if output.dense is None else output.dense.reshape(-1)
        ids = None if dense is not None or feature.yields_texts else output.values
        count = len(_first(dense, ids, texts))
        final = dense if dense is not None else numbers
        defaults = self._defaults(feature, count)
        values = []
        for k in range(count):
            before = _at(bare, k) if bare is not None else _at(final, k)
            values.append(
                ValueTrace(
                    text=None if _at(texts, k) is None else _text(_at(texts, k)),
                    number=None if before is None or defaults[k] else float(before),
                    normalized=None if bare is None or _at(final, k) is None else float(_at(final, k)),
                    id=None if _at(ids, k) is None else int(_at(ids, k)),
                    weight=None if output.weights is None else float(output.weights[k]),
                    is_default=defaults[k],
                )
            )
        return values

    def _step(self, feature: Feature, step: str) -> Any:
        output = self.reference.get(v.variant_name(feature, step))
        return None if output is None else _flat(output)

    def _defaults(self, feature: Feature, count: int) -> list[bool]:
        """Which values change with the default."""
        stopped = self._step(feature, v.TEXTS if not feature.numbers else v.NUMBERS)
        if stopped is None:
            stopped = _flat(self.reference[feature.name])
        other = self._step(feature, v.OTHER)
        if other is None or len(other) != len(stopped) or len(stopped) != count:
            return [other is not None and len(stopped) == count and len(other) != len(stopped)] * count
        return [not _equal(np.asarray(a), np.asarray(b), exact=True) for a, b in zip(stopped, other, strict=True)]

    def _compare(self, feature: Feature) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(steps at which program and reference differ, steps that the program does not show)."""
        wrong, unseen = [self.refused[feature.name]] if feature.name in self.refused else [], []
        steps = {"values": feature.name, "texts": v.variant_name(feature, v.HASHED), "numbers": v.variant_name(feature, v.NUMBERS),
                 "numbers before the normalizer": v.variant_name(feature, v.BARE)}  # fmt: skip
        for step, name in steps.items():
            if name not in self.reference or (name == feature.name and feature.stub):
                continue
            if name not in self.compiled:
                unseen += [step] if self.with_steps else []
                continue
            exact = not isinstance(getattr(feature, "normalizer", None), Expression)
            if difference := _difference(self.compiled[name], self.reference[name], exact=exact):
                wrong.append(f"{step}: {difference}")
        return tuple(wrong), tuple(unseen)


def _difference(got: FeatureOutput, wanted: FeatureOutput, *, exact: bool) -> str:
    """The first part in which two outputs differ, in words; "" when there is none."""
    for part in ("values", "lengths", "key_lengths", "weights", "dense"):
        a, b = getattr(got, part), getattr(wanted, part)
        if (a is None) != (b is None) or (a is not None and not _equal(a, b, exact=exact)):
            return f"the compiled program has {part} {_plain(a)}, the reference {_plain(b)}"
    return ""


def _equal(a: np.ndarray, b: np.ndarray, *, exact: bool) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype != np.float32 or b.dtype != np.float32:
        return bool(np.array_equal(a, b))
    same = (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))
    return bool(np.all(same if exact else same | np.isclose(a, b, rtol=FORMULA_TOLERANCE, atol=0)))


def _flat(output: FeatureOutput) -> Any:
    """The ids, numbers or texts (bytes) of an output, side by side."""
    if output.texts is not None:
        return np.array(output.texts.flatten().cast(pa.binary()).to_pylist(), object)
    return output.values if output.dense is None else output.dense.reshape(-1)


def _first(*arrays: Any) -> Any:
    return next((array for array in arrays if array is not None), ())


def _at(array: Any, k: int) -> Any:
    return None if array is None or k >= len(array) else array[k]


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _plain(array: Any) -> Any:
    if array is None:
        return None
    return [_text(value) if isinstance(value, bytes) else value for value in np.asarray(array).tolist()]


def _raw(column: pa.Array) -> Any:
    """The value of a one-row column; bytes that are no text are shown as they are."""
    try:
        return column[0].as_py()
    except UnicodeDecodeError:
        return _text(column.cast(pa.binary())[0].as_py()) if column.type == pa.string() else repr(column[0])
