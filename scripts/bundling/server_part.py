"""What a bundle brings so that `tvm-rank tune --tracker` can measure on its machine: the Python files of TVM, whose server then uses the
runtime that is in the bundle anyway, and the two packages that it imports. No compiler.

lib/server/           tvm, cloudpickle, psutil: the same for all Pythons
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import shutil

PACKAGES = {"apache-tvm": "tvm", "cloudpickle": "cloudpickle", "psutil": "psutil"}
FILES = (".py", ".abi3.so")


def write_server(lib: pathlib.Path) -> None:
    """Write lib/server. Raises FileNotFoundError when a package is not installed here."""
    for name, package in PACKAGES.items():
        try:
            source = pathlib.Path(str(importlib.metadata.distribution(name).locate_file(package)))
        except importlib.metadata.PackageNotFoundError as error:
            raise FileNotFoundError(f"{name} is not installed; install tvm-rank[tune], for a server in the bundle") from error
        for path in sorted(source.rglob("*")):
            inside = path.relative_to(source)
            if path.is_file() and path.name.endswith(FILES) and inside.parts[0] not in ("3rdparty", "lib", "tests"):
                to = lib / "server" / package / inside
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)
