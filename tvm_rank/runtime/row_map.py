"""item_request: the user row of each item, as kernels read it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tvm_rank.errors import InputError

ALIGNMENT = 64
MOST_SIZES = 256  # of requests whose rows are kept


class Rows(NamedTuple):
    """The rows of a request: R, N, the row map (N,) int32 and its address; `shape` and `tensor` are R and N, and the row map, as the
    functions of a virtual machine take them."""

    requests: int
    items: int
    row_map: np.ndarray
    address: int
    shape: Any
    tensor: Any


class RowMap:
    """Makes `item_request`; keeps the zeros of requests with one user row, since making an array costs more than many a kernel."""

    def __init__(self) -> None:
        self._zeros = _aligned(0)
        self._of_one: dict[int, Rows] = {}

    def rows(self, given: Any, requests: int, count: int) -> Rows:
        """The rows of a request, with the row map of `index`. Raises InputError."""
        if given is not None or requests != 1:
            return _rows(requests, count, self.index(given, requests, count))
        found = self._of_one.get(count)
        if found is None:
            if len(self._of_one) >= MOST_SIZES:
                self._of_one = {}
            self._of_one[count] = found = _rows(1, count, self.index(None, 1, count))
        return found

    def index(self, given: Any, requests: int, count: int) -> np.ndarray:
        """(count,) int32 inside [0, requests), from what the caller gave; not to be written. Raises InputError."""
        if given is not None or requests != 1:
            return _checked(given, requests, count)
        zeros = self._zeros
        if len(zeros) < count:
            zeros = _aligned(2 * count)
            zeros[:] = 0
            self._zeros = zeros
        return zeros[:count]


def _rows(requests: int, count: int, index: np.ndarray) -> Rows:
    import tvm_ffi

    return Rows(requests, count, index, index.ctypes.data, tvm_ffi.Shape((requests, count)), tvm_ffi.from_dlpack(index))


def _checked(given: Any, requests: int, count: int) -> np.ndarray:
    """item_request as (N,) int32 inside [0, requests)."""
    if requests == 0:
        raise InputError("user: has no rows; give one row per request")
    index = _aligned(count)
    if given is None:
        raise InputError(f"item_request: not given, and user has {requests} rows; give the user row of each of the {count} items")
    try:
        values = np.asarray(given)
    except ValueError as error:
        raise InputError(f"item_request: wanted {count} integers, one per item ({error})") from error
    if values.shape != (count,) or values.dtype.kind not in "iu":
        raise InputError(f"item_request: wanted {count} integers, one per item; got {values.dtype} {values.shape}")
    if count and (values.min() < 0 or values.max() >= requests):
        raise InputError(f"item_request: leads to user rows {values.min()} to {values.max()}; user has {requests} rows")
    index[:] = values
    return index


def _aligned(count: int) -> np.ndarray:
    """Room for int32 that begins at a multiple of ALIGNMENT, as generated code may expect of tensors."""
    room = np.empty(4 * count + ALIGNMENT, np.uint8)
    skip = -room.ctypes.data % ALIGNMENT
    return room[skip : skip + 4 * count].view(np.int32)
