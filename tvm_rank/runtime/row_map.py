"""item_request: the user row of each item, as kernels read it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tvm_rank.errors import InputError

ALIGNMENT = 64


class RowMap:
    """Makes `item_request`; keeps the zeros of requests with one user row, since making an array costs more than many a kernel."""

    def __init__(self) -> None:
        self._zeros = _aligned(0)

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
