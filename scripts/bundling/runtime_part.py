"""What a bundle brings so that artifacts run: the project's modules that need no compiler, TVM's runtime, Arrow, NVIDIA's runtime library.

lib/common/           tvm_rank, typing_extensions: the same for all Pythons
lib/<3.11>/           tvm_ffi, pyarrow: modules for one Python
lib/native/           libtvm_runtime.so, libtvm_runtime_cuda.so, libcudart.so.13
"""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "tvm_rank"
COMPILER = ("tvm", "te_schedules", "relay_passes", "onnx", "safetensors", "rich")  # whoever imports one needs more than the runtime
TVM_LIBRARIES = ("libtvm_runtime.so", "libtvm_runtime_cuda.so")
CUDART = "libcudart.so.13"
# what the extension modules of Arrow are linked with, and what `import pyarrow, pyarrow.compute` reads
ARROW = [
    *(
        "__init__.py",
        "_generated_version.py",
        "_compute_docstrings.py",
        "compute.py",
        "ipc.py",
        "types.py",
        "util.py",
        "pandas_compat.py",
    ),
    *("vendored/*.py", "lib.*.so", "_compute.*.so"),
    *(f"lib{name}.so.*" for name in ("arrow", "arrow_acero", "arrow_compute", "arrow_dataset", "arrow_substrait", "parquet")),
    "libarrow_python.so.????",
]
OF_ALL_PYTHONS = ("libarrow.so.", "libarrow_acero.", "libarrow_compute.", "libarrow_dataset.", "libarrow_substrait.", "libparquet.")
FFI = ("*.py", "*/*.py", "core.*.so", "lib/libtvm_ffi.so", "lib/libtvm_ffi_testing.so")  # its module is linked with both
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
OF_PACKAGE = {"pyarrow": "pyarrow", "tvm_ffi": "apache-tvm-ffi"}


def modules() -> list[pathlib.Path]:
    """The files of the project that can be imported without a compiler: none of them, nor what they import at once, imports one."""
    files = {_name(path): path for path in (ROOT / PACKAGE).rglob("*.py")}
    imports = {name: set(_imports(path, name)) for name, path in files.items()}
    heavy = {name for name, found in imports.items() if any(one.split(".")[0] in COMPILER for one in found)}
    while more := {name for name, found in imports.items() if found & heavy} - heavy:
        heavy |= more
    return sorted(path for name, path in files.items() if name not in heavy)


def _name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: pathlib.Path, name: str) -> Iterator[str]:
    """What a module imports as soon as it is imported, and the packages that it lies in."""
    parts = name.split(".")
    yield from (".".join(parts[:k]) for k in range(1, len(parts)))
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def write_project(lib: pathlib.Path) -> None:
    """The project's modules into lib/common."""
    for path in modules():
        _copied(path, lib / "common" / path.relative_to(ROOT))


def write_libraries(lib: pathlib.Path, cudart: pathlib.Path | None) -> None:
    """TVM's runtime, and NVIDIA's, which machines with a driver alone lack. Raises FileNotFoundError that says what to give."""
    for path in tvm_libraries():
        _copied(path, lib / "native" / path.name)
    _copied(cudart or find_cudart(), lib / "native" / CUDART)


def tvm_libraries() -> list[pathlib.Path]:
    """TVM's runtime as it is installed here."""
    folder = pathlib.Path(str(importlib.metadata.distribution("apache-tvm").locate_file("tvm/lib")))
    return [folder / name for name in TVM_LIBRARIES]


def find_cudart() -> pathlib.Path:
    """Beside nvcc, which compiled the kernels."""
    nvcc = shutil.which("nvcc")
    roots = [pathlib.Path("/usr/local/cuda")] + ([pathlib.Path(nvcc).resolve().parents[1]] if nvcc else [])
    for root in roots:
        for path in (root / "lib64" / CUDART, root / "targets" / "x86_64-linux" / "lib" / CUDART):
            if path.is_file():
                return path.resolve()
    raise FileNotFoundError(f"{CUDART} is not beside nvcc; give it by --cudart")


def write_packages(
    lib: pathlib.Path, pythons: Iterable[str], wheels: pathlib.Path, say: Callable[[str], None], *, all_of_them: bool
) -> list[str]:
    """tvm_ffi and Arrow for each Python: of this one as they are installed, of others as the package index has them. Arrow's libraries
    without Python in them are those of the first one: the same version, and by far the largest part. Gives the Pythons; those for which
    the index has not these versions are left out, or, with `all_of_them`, raise FileNotFoundError."""
    written: list[str] = []
    this = "{}.{}".format(*sys.version_info)
    first: pathlib.Path | None = None
    for minor in sorted(pythons, key=lambda one: (one != this, one)):
        say(f"libraries for Python {minor}")
        try:
            installed = pathlib.Path(sysconfig.get_path("purelib"))
            sources = {package: installed if minor == this else _unpacked(package, minor, wheels) for package in OF_PACKAGE}
        except FileNotFoundError as error:
            if all_of_them:
                raise
            say(f"left out: {error}")
            continue
        written.append(minor)
        for package, globs in (("pyarrow", ARROW), ("tvm_ffi", FFI)):
            _write_package(lib / minor, package, globs, sources[package])
        if first is None:
            first = lib / minor / "pyarrow"
            continue
        for path in first.iterdir():
            if path.name.startswith(OF_ALL_PYTHONS):
                (lib / minor / "pyarrow" / path.name).unlink()
                (lib / minor / "pyarrow" / path.name).hardlink_to(path)
    _copied(pathlib.Path(sysconfig.get_path("purelib"), "typing_extensions.py"), lib / "common" / "typing_extensions.py")
    return written


def _write_package(folder: pathlib.Path, package: str, globs: Iterable[str], source: pathlib.Path) -> None:
    for path in sorted((source / package).rglob("*")):
        inside = path.relative_to(source / package).as_posix()
        if path.is_file() and any(fnmatch.fnmatchcase(inside, glob) and inside.count("/") == glob.count("/") for glob in globs):
            _copied(path, folder / package / inside)


def _unpacked(package: str, minor: str, wheels: pathlib.Path) -> pathlib.Path:
    """A package of another Python, in the version that is installed here. Raises FileNotFoundError when the index has none."""
    name = OF_PACKAGE[package]
    version = importlib.metadata.version(name)
    folder = wheels / f"{name}-{version}-{minor}"
    if not (folder / package).is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
        ]
        command += ["--python-version", minor, "--implementation", "cp", *(f"--platform={one}" for one in PLATFORMS)]
        aside = folder.with_name(f".{folder.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        done = subprocess.run([*command, "--dest", str(aside), f"{name}=={version}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"])[-1]
            raise FileNotFoundError(f"{name} {version} for Python {minor}: {why}")
        (wheel,) = aside.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(aside)
        wheel.unlink()
        aside.rename(folder)
    return folder


def _copied(source: pathlib.Path, to: pathlib.Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)
