"""A GPU that is none: NVIDIA's libraries and compiler stand in, and kernels run on this machine (`emulator/`)."""

from __future__ import annotations

import ctypes
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import gpu_store_model as model
import pytest

import tvm_rank

EMULATOR = pathlib.Path(__file__).parent / "emulator"


@pytest.fixture(scope="session")
def emulated_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where the libraries that stand in for NVIDIA's lie, and `nvcc`."""
    folder = tmp_path_factory.mktemp("emulator")
    compiler = os.environ.get("CXX", "g++")
    options = ["-std=c++17", "-O1", "-fPIC", "-shared"]
    runtime, driver = folder / "libcudart.so.13", folder / "libcuda.so.1"
    subprocess.run([compiler, *options, f"-Wl,-soname,{runtime.name}", "-o", runtime, EMULATOR / "driver.cpp", "-ldl"], check=True)
    empty = folder / "empty.cpp"
    empty.write_text("")
    subprocess.run([compiler, *options, f"-Wl,-soname,{driver.name}", "-o", driver, empty], check=True)
    nvcc = folder / "nvcc"
    nvcc.write_text(f'#!/bin/sh\nexec {sys.executable} {EMULATOR / "nvcc.py"} "$@"\n')
    nvcc.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def emulated(emulated_folder: pathlib.Path):
    """TVM's CUDA runtime finds a GPU with sm_90, and `nvcc` makes code that it runs. Gives the library that counts launches, copies and
    graphs."""
    folder, runtime, driver = emulated_folder, emulated_folder / "libcudart.so.13", emulated_folder / "libcuda.so.1"
    libraries = [ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in (runtime, driver)]
    for counter in ("emulated_launches", "emulated_copies", "emulated_graphs", "emulated_taken", "emulated_pieces"):
        getattr(libraries[0], counter).restype = ctypes.c_longlong
    path = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([str(folder), path])
    yield libraries[0]
    os.environ["PATH"] = path


@pytest.fixture(scope="session")
def gpu_store(emulated: ctypes.CDLL, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
    """The folder of an artifact with an item store by its level (`gpu_store_model.KINDS`); each is compiled once."""
    assert emulated is not None, "it must be there before anything is compiled"
    known: dict[str, pathlib.Path] = {}

    def of(level: str) -> pathlib.Path:
        if level not in known:
            layout, keys = model.KINDS[level]
            options = {"items": model.items(keys), "item_key": "key", "store_layout": layout, "materialize": level}
            if level == "embeddings":
                options |= {"materialize": "auto", "memory_budget": model.BUDGET}
            brought = {"features": model.features(), "model": model.model(), "tables": model.tables()}
            known[level] = tmp_path_factory.mktemp(level) / "artifact"
            tvm_rank.compile(**brought, target="cuda-sm_90", **options).save(known[level])
        return known[level]

    return of
