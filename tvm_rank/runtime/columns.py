"""Request columns -> the descriptor table that kernels read (`te_schedules/column.py` draws it), without copying Arrow's buffers.

Accepted: pyarrow arrays (also chunked), NumPy arrays and Python lists of int32, int64, float32, float64, string, lists of those, and
maps from text or integers to numbers or text, where a feature reads a map. Everything else is refused with its name and what would be
accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.errors import InputError
from tvm_rank.runtime.legacy import legacy_column

WORDS = 24  # of a descriptor, as te_schedules.column has it (a test compares the two; the runtime does not import the compiler)
TEXT, NUMBER, WEIGHTED = "text", "number", "weighted"
MAP_TEXT, MAP_NUMBER, NESTED = "map_text", "map_number", "nested"
ADDRESSES = (3, 5, 6, 8, 9, 10, 12, 17, 19, 20, 21)  # words that lead to memory; word 2, the rows of a call, is not among them
ROLES = (TEXT, NUMBER, WEIGHTED, MAP_TEXT, MAP_NUMBER, NESTED)
MAPS = (MAP_TEXT, MAP_NUMBER, NESTED)  # roles that read texts `key:value` or maps, and nothing else
TEXT_FORM = 0
FORMS = {pa.string(): TEXT_FORM, pa.int32(): 1, pa.int64(): 2, pa.float32(): 3, pa.float64(): 4}
BYTES = {1: 4, 2: 8, 3: 4, 4: 8}
FLOATS = (3, 4)
_FORM_OF_SCALARS = {kind.id: form for kind, form in FORMS.items()}  # an id is a number; a type is compared by its text
ACCEPTED = "int32, int64, float32, float64, string, a list of one of them, or a map from string or integer to number or string"


@dataclass(frozen=True, kw_only=True)
class FieldUse:
    """A field that kernels read: `side` user, context or item; `role` is how its values are read.

    text (ids) · number · weighted (`key:weight`, or a map to numbers) · map_text, map_number (`key:value`, or a map, whose values are
    wanted as texts or as numbers) · nested (`key^key:value,...`, or a map to such texts). Floats have a text form only by Arrow's cast,
    so a field that is read as text and as number is two uses. `legacy`: the column is read as the older engine did (`legacy.py`), and
    `invalid_values` are missing.
    """

    side: str
    name: str
    role: str
    elements: bool = False  # read element by element, as a sequence: may be a list of lists
    legacy: bool = False
    invalid_values: tuple[str, ...] = ()

    @property
    def is_request(self) -> bool:
        """True for user and context fields."""
        return self.side != "item"


def as_array(column: Any, where: str) -> pa.Array:
    """The column as one Arrow array; `where` names it in messages. Raises InputError for what is no column, or damaged."""
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        try:
            column.validate()  # its buffers are as long as its rows need; offsets are checked by a kernel
        except pa.ArrowInvalid as error:
            raise InputError(f"{where}: the Arrow data is damaged ({error})") from error
        array = column
    else:
        array = _converted(column, where)
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    return array


def _converted(column: Any, where: str) -> pa.Array | pa.ChunkedArray:
    if isinstance(column, (str, bytes, Mapping, Set)):  # pyarrow would read their characters, keys or hash order as rows
        raise InputError(
            f"{where}: got {type(column).__name__}; give a list, a NumPy array or an Arrow array with a value for each row"
        )
    if isinstance(column, np.ndarray) and column.ndim > 2:
        raise InputError(f"{where}: has {column.ndim} dimensions; a column has one, or two for lists of one length")
    try:
        array = pa.array(list(column) if isinstance(column, np.ndarray) and column.ndim == 2 else column)
        return array.cast(pa.string()) if pa.types.is_null(array.type) else array  # None only: any type will do
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: cannot be read as a column ({error}); give values of one type: {ACCEPTED}") from error


def as_columns(table: Any, where: str) -> tuple[Mapping[str, Any], int | None]:
    """(columns by name, rows or None) of a pyarrow Table, RecordBatch or a mapping."""
    if type(table) is dict:  # what most calls give; to ask for a Mapping takes longer than all else here
        return table, None
    if isinstance(table, pa.Table):
        return dict(zip(table.column_names, table.columns, strict=True)), table.num_rows
    if isinstance(table, pa.RecordBatch):
        return dict(zip(table.schema.names, table.columns, strict=True)), table.num_rows
    if isinstance(table, Mapping):
        return table, None
    raise InputError(f"{where}: got {type(table).__name__}; give a pyarrow Table or RecordBatch, or a dict of columns")


def _address(buffer: pa.Buffer | None) -> int:
    return 0 if buffer is None else buffer.address


def _refuse(where: str, array: pa.Array) -> InputError:
    return InputError(f"{where}: unsupported type {array.type}; accepted are {ACCEPTED}")


def _with_text(array: pa.Array) -> pa.Array:
    """Floats as their text, by Arrow's cast; other arrays as they are."""
    if pa.types.is_floating(array.type):
        return array.cast(pa.string())
    if pa.types.is_list(array.type) and pa.types.is_floating(array.type.value_type):
        return array.cast(pa.list_(pa.string()))
    if _is_nested(array.type) and pa.types.is_floating(array.type.value_type.value_type):
        return array.cast(pa.list_(pa.list_(pa.string())))
    return array


def _is_nested(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and pa.types.is_list(kind.value_type)


def converted(array: pa.Array, use: FieldUse, where: str) -> pa.Array:
    """The column in the form that `descriptor` gives to kernels, so that it need not be converted again; for what is kept.

    Raises InputError for a type that the role cannot read.
    """
    if use.legacy:
        array = legacy_column(array, as_text=use.role != NUMBER, invalid=use.invalid_values)
    _check_type(array, use, where)
    kind = array.type
    if not pa.types.is_map(kind):
        return array if use.role == NUMBER else _with_text(array)
    keys = pa.string() if use.role == NESTED else kind.key_type
    items = pa.string() if use.role == MAP_TEXT and pa.types.is_floating(kind.item_type) else kind.item_type
    wanted = pa.map_(keys, items)
    return array if wanted == kind else array.cast(wanted)


def descriptor(array: pa.Array, use: FieldUse, where: str, keep: list) -> list[int]:
    """The words of one column. Arrays that must outlive the call are appended to `keep`. Raises InputError for a wrong type."""
    if use.legacy:
        array = legacy_column(array, as_text=use.role != NUMBER, invalid=use.invalid_values)
    kind = array.type
    form = _FORM_OF_SCALARS.get(kind.id)
    if form is not None and (form == TEXT_FORM or use.role == NUMBER):  # most columns: nothing to ask, nothing to convert
        return _scalar_words(array, form, keep)
    is_list, is_map = pa.types.is_list(kind), pa.types.is_map(kind)
    _check_type(array, use, where)
    if use.role != NUMBER:
        array = _with_text(array)
    keep.append(array)
    words = [0] * WORDS
    words[1], words[14] = 1, len(array)
    if array.null_count:
        words[3], words[4] = array.buffers()[0].address, array.offset
    elements = array.values if is_list else array.keys if is_map else array
    if is_map and use.role == NESTED and pa.types.is_integer(kind.key_type):  # keys are a part of texts there
        elements = elements.cast(pa.string())
        keep.append(elements)
    if _is_nested(kind):
        elements = _fill_nested(words, array)
    elif is_list or is_map:
        words[5] = _address(array.buffers()[1]) + 4 * array.offset
        if elements.null_count:
            words[6], words[7] = elements.buffers()[0].address, elements.offset
    _fill_elements(words, elements, FORMS[elements.type])
    if is_map:
        items = _with_text(array.items) if use.role == MAP_TEXT else array.items
        keep.append(items)
        _fill_weights(words, items)
    return words


def _scalar_words(array: pa.Array, form: int, keep: list) -> list[int]:
    """The words of a column of texts, or of numbers that are read as such."""
    keep.append(array)
    words = [0] * WORDS
    words[1], words[14] = 1, len(array)
    if array.null_count:
        words[3], words[4] = array.buffers()[0].address, array.offset
    _fill_elements(words, array, form)
    return words


def _fill_nested(words: list[int], array: pa.Array) -> pa.Array:
    """The words of a list of lists for sequences; gives the values."""
    inner = array.values
    words[19] = _address(array.buffers()[1]) + 4 * array.offset
    words[20], words[23] = _address(inner.buffers()[1]) + 4 * inner.offset, len(inner)
    if inner.null_count:
        words[21], words[22] = inner.buffers()[0].address, inner.offset
    values = inner.values
    if values.null_count:
        words[6], words[7] = values.buffers()[0].address, values.offset
    return values


def _check_type(array: pa.Array, use: FieldUse, where: str) -> None:
    """Raise InputError unless the role can read a column of this type."""
    kind = array.type
    is_map = pa.types.is_map(kind)
    element_type = kind.value_type if pa.types.is_list(kind) else kind.key_type if is_map else kind
    if use.elements and _is_nested(kind):
        element_type = element_type.value_type
    if use.elements and is_map:
        raise InputError(
            f"{where}: a map holds no sequence; give a text, a list, or a list of lists of {ACCEPTED.split(', a list')[0]}"
        )
    if element_type not in FORMS or (is_map and (pa.types.is_floating(element_type) or kind.item_type not in FORMS)):
        raise _refuse(where, array)
    if is_map and use.role in (TEXT, NUMBER):
        raise InputError(
            f"{where}: a map column fits only a feature that reads `key:value` (an id_feature with weighted: true, lookup_feature, "
            f"match_feature, kv_dot_product), and is read here as {use.role}"
        )
    if is_map and use.role == WEIGHTED and kind.item_type == pa.string():
        raise InputError(f"{where}: the map's values are {kind.item_type}; weights are int32, int64, float32 or float64")
    if is_map and use.role == NESTED and kind.item_type != pa.string():
        raise InputError(f"{where}: the map's values are {kind.item_type}; wanted texts such as 'item:value,item:value'")
    if use.role in MAPS and not is_map and element_type != pa.string():
        raise InputError(f"{where}: a column of {kind} holds no `key:value`; give a map, string or list<string>")


def _fill_elements(words: list[int], elements: pa.Array, form: int) -> None:
    buffers = elements.buffers()
    words[0], words[15] = form, len(elements)
    if form:
        words[9] = _address(buffers[1]) + elements.offset * BYTES[form]
    else:
        words[8], words[9] = _address(buffers[1]) + 4 * elements.offset, _address(buffers[2])
        words[16] = 0 if buffers[2] is None else buffers[2].size


def _fill_weights(words: list[int], weights: pa.Array) -> None:
    """The values of a map. Word 10 is never 0 here: that says that the column is a map."""
    buffers, form = weights.buffers(), FORMS[weights.type]
    words[11], words[15] = form, min(words[15], len(weights))
    if form:
        words[10] = _address(buffers[1]) + weights.offset * BYTES[form] or 1
    else:
        words[17], words[10] = _address(buffers[1]) + 4 * weights.offset, _address(buffers[2]) or 1
        words[18] = 0 if buffers[2] is None else buffers[2].size
    if weights.null_count:
        words[12], words[13] = buffers[0].address, weights.offset


class Table:
    """The descriptor table of one call: `words` (fields, WORDS) int64, what must stay alive while kernels run, and whether a column has
    offsets, which must be checked."""

    def __init__(self, uses: Sequence[FieldUse]):
        self.uses = uses
        self.words = np.zeros((max(1, len(uses)), WORDS), np.int64)
        self.keep: list[Any] = []
        self.has_offsets = False

    def fill(self, k: int, array: pa.Array, rows: int, where: str, index: np.ndarray | None = None) -> None:
        """Put a column into row k. It has `rows` rows, or one that serves all; `index` (int32) maps kernel rows to its rows."""
        words = descriptor(array, self.uses[k], where, self.keep)
        if len(array) == 1:
            words[1] = 0
        elif len(array) != rows:
            raise InputError(f"{where}: has {len(array)} rows, the other columns have {rows}; give {rows}, or one for all")
        elif index is not None:
            words[2] = index.ctypes.data
        self.words[k] = words
        self.has_offsets = self.has_offsets or bool(words[5] or words[8] or words[19])


def find_column(columns: Mapping[str, Any], name: str, where: str) -> Any:
    """The column of that name; InputError with the nearest names when it is missing."""
    try:
        return columns[name]
    except KeyError:
        import difflib

        near = difflib.get_close_matches(name, list(columns), n=3)
        hint = (
            f"did you mean {', '.join(map(repr, near))}?" if near else f"it has {', '.join(map(repr, list(columns)[:8])) or 'none'}"
        )
        raise InputError(f"{where}: column {name!r} is missing; {hint}") from None
