"""Tensors over memory of a device that something else owns, at any place in it. TVM's own views begin with an offset, which kernels refuse."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

_CODES = {"int": 0, "uint": 1, "float": 2}  # DLPack's


class _Tensor(ctypes.Structure):
    """struct DLManagedTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype, _capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class DeviceView:
    """The `tensor` of a shape (fixed extents) and dtype at an address, for as long as this object and the memory live."""

    def __init__(self, address: int, shape: Sequence[int], dtype: str, device: int):
        import tvm_ffi

        name = dtype.rstrip("0123456789")
        self._shape = (ctypes.c_int64 * len(shape))(*shape)
        self._device = (device, 0)
        self._struct = _Tensor(
            data=address,
            device_type=device,
            ndim=len(shape),
            code=_CODES[name],
            bits=int(dtype.removeprefix(name)),
            lanes=1,
            shape=ctypes.cast(self._shape, ctypes.POINTER(ctypes.c_int64)),
        )
        self.tensor: Any = tvm_ffi.from_dlpack(self)

    def __del__(self) -> None:
        self.tensor = None  # before the struct that it reads when it ends

    def __dlpack__(self, **_wanted: Any) -> Any:
        return _capsule(ctypes.addressof(self._struct), b"dltensor", None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device
