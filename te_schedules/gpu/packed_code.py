"""Machine code of a GPU inside of a library, in the place of the source that TVM keeps where there is no GPU: whoever loads it then needs
nothing but TVM's runtime, a server of its RPC too.

TVM writes the modules that a library imports as one piece of bytes, and so does this, with other bytes for the module of a GPU:

    size of all | which module imports which | ... | "cuda" | size | format | functions | size of the code | code
"""

from __future__ import annotations

import json
import pathlib
import struct
from typing import Any

import tvm

_SIZE = struct.Struct("<Q")
_KIND, _SOURCE, _BINARY = "cuda", "cuda", "cubin"


def source_of(module: Any) -> str | None:
    """The CUDA C++ that a module imports; None when it has none."""
    return next((str(one.inspect_source(_SOURCE)) for one in module.imports if one.kind == _KIND), None)


def with_code(packed: bytes, source: str, code: bytes) -> bytes:
    """The bytes of imported modules with machine code for the source. Raises ValueError when they are not as in the module's text."""
    old = _text(source.encode())
    head, found, tail = packed[_SIZE.size :].partition(_text(_KIND.encode()))
    size = int.from_bytes(tail[: _SIZE.size], "little")
    module, behind = tail[_SIZE.size : _SIZE.size + size], tail[_SIZE.size + size :]
    form = _text(_SOURCE.encode())
    if not found or not module.startswith(form) or not module.endswith(old):
        raise ValueError("TVM packs modules of GPUs in another way than this version knows")
    made = _text(_BINARY.encode()) + module[len(form) : -len(old)] + _text(code)
    body = head + found + _text(made) + behind
    return _SIZE.pack(len(body)) + body


def write_packed(module: Any, code: bytes, target: tvm.target.Target, file: pathlib.Path) -> None:
    """The object file of what a module for `target`, a GPU, imports; `code`: of its source."""
    packed = tvm.get_global_func("runtime.ModulePackImportsToTensor")(module).numpy().tobytes()
    blob = tvm.get_global_func("codegen.codegen_blob")
    host = {name: value for name, value in target.host.export().items() if name in ("kind", "mtriple", "mcpu")}
    blob(with_code(packed, str(source_of(module)), code), False, json.dumps(host), "").write_to_file(str(file))


def _text(part: bytes) -> bytes:
    return _SIZE.pack(len(part)) + part
