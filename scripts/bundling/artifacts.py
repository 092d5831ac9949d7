"""The artifacts of a bundle and the requests of its benchmarks: small models by seed, compiled once for each kind of machine.

What is built stays in a work folder, under a fingerprint of the sources, and is found there by the next run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
import pyarrow as pa

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benching import many_columns  # noqa: E402

import tvm_rank  # noqa: E402
from te_schedules.gpu.compile import cubin  # noqa: E402
from tvm_rank import zoo  # noqa: E402
from tvm_rank.bench import rank_bench  # noqa: E402
from tvm_rank.bench.peers.features import Ids, read_parts, values_of  # noqa: E402
from tvm_rank.runtime.gpu import KERNELS  # noqa: E402
from tvm_rank.zoo.onnx_graph import GraphWriter, dense_weights  # noqa: E402
from tvm_rank.zoo.workload import Workload  # noqa: E402

RANK_BENCH, MANY_COLUMNS, LOOKUPS = "rank_bench", "many_columns", "lookups"
IN_BF16 = "_bf16"  # ends the names of models whose dense layers are computed in bf16
BELOW_FP32 = {"_bf16": "bf16", "_fp16": "fp16", "_tf32": "tf32"}  # ends of names -> precision of dense layers
WITH_STORE = "rank_bench_store"  # with an item store, and all of the item side computed ahead
BENCHMARKS = (RANK_BENCH, *(RANK_BENCH + end for end in BELOW_FP32), WITH_STORE, MANY_COLUMNS, MANY_COLUMNS + IN_BF16, LOOKUPS)
CPU, CPU_TARGET = "cpu", "x86-64-v3"  # of the bundle's test of itself
ON_CPU = ("lr", RANK_BENCH)
REQUESTS, ITEMS = 2, 4096  # of rank-bench
COARSE = np.float32(64)  # its tables have steps of 1/64: 6 of 32 bits of a number are left in a compressed bundle
DIM, LOOKUP_FIELDS, LOOKUP_ROWS = 64, 16, 1_000_000  # with fewer bytes a GPU's cache would hold the table
PATTERN = 64  # rows of that table, again and again: it is compressed to nothing
LOOKUP_BYTES = LOOKUP_FIELDS * 2 * 4 * DIM  # of a row: each embedding is read and written
SIZES: Mapping[str, dict[str, Any]] = {
    **{RANK_BENCH + end: {"sizes": [64, 256, 1024, 4096], "kernels_at": 1024, "requests": RANK_BENCH} for end in ("", *BELOW_FP32)},
    WITH_STORE: {"sizes": [64, 256, 1024, 4096], "kernels_at": 1024, "requests": WITH_STORE},
    **{MANY_COLUMNS + end: {"sizes": [256, 2048], "kernels_at": 2048, "requests": MANY_COLUMNS} for end in ("", IN_BF16)},
    LOOKUPS: {"sizes": [65536], "kernels_at": 65536, "requests": LOOKUPS, "lookup_bytes": LOOKUP_BYTES},
}
STORE_ITEMS, STORE_KEY = 512, "item {}"
STAMP = "built-from.txt"
Brought = Mapping[str, Any]  # arguments of `compile`


def fingerprint() -> str:
    """Of everything that artifacts are made from."""
    digest = hashlib.sha256()
    folders = [ROOT / name for name in ("tvm_rank", "relay_passes", "te_schedules")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".cuh")]
    for path in sorted([*files, pathlib.Path(__file__), pathlib.Path(many_columns.__file__)]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def brought(name: str, folder: pathlib.Path) -> Brought:
    """The files of a model, which are written into the folder."""
    if name == RANK_BENCH:
        workload = rank_bench.build(folder, small=True, requests=REQUESTS, items=ITEMS)
        coarse = {table: np.round(values * COARSE) / COARSE for table, values in workload.read_tables().items()}
        return {**_of(workload), "tables": coarse}
    if name == WITH_STORE:
        return {**brought(RANK_BENCH, folder), **_store(rank_bench.build(folder, small=True, requests=REQUESTS, items=ITEMS))}
    if name == MANY_COLUMNS:
        return _many_columns()
    if name == LOOKUPS:
        return _lookups()
    return _of(zoo.build(name, folder))


def _of(workload: Workload) -> Brought:
    return {"features": workload.features, "model": workload.model, "tables": workload.tables}


def _store(workload: Workload) -> Brought:
    """The first items as a store, under the keys that requests of the bundle ask for (`inside/gpu_checks/requests.py`)."""
    items = workload.read_items().slice(0, STORE_ITEMS)
    keys = pa.array([STORE_KEY.format(k) for k in range(STORE_ITEMS)])
    return {"items": items.append_column("key", keys), "item_key": "key", "materialize": "dense"}


def _signs(values: np.ndarray) -> np.ndarray:
    """Numbers of the same size, each of which is one bit of a compressed bundle."""
    return np.copysign(np.float32(np.abs(values).mean()), values).astype(np.float32)


def _many_columns() -> Brought:
    """The model of a thousand columns, with tables and weights of two numbers each."""
    chosen = many_columns.columns()
    layers = many_columns.weights(chosen)
    weights = {f"l{k}_{part}": _signs(array) for k, pair in enumerate(layers) for part, array in zip("wb", pair, strict=True)}
    graph = GraphWriter("many", {"all": (len(layers[0][0]),)})
    value = "all"
    for k in range(len(layers)):
        value = graph.dense(value, f"l{k}", weights, "Relu" if k + 1 < len(layers) else None)
    tables = {column.name: _signs(many_columns.table(column)) for column in chosen}
    return {"features": many_columns.fg(chosen), "model": graph.model(value), "tables": tables}


def _lookups() -> Brought:
    """A sum over rows of one large table, a thing that is lookups and nothing else."""
    rng = np.random.default_rng(0)
    names = [f"id{k}" for k in range(LOOKUP_FIELDS)]
    features = [
        {"feature_name": name, "feature_type": "id_feature", "expression": f"item:{name}", "value_type": "int64"}
        | {"num_buckets": LOOKUP_ROWS, "embedding_dim": DIM, "embedding_name": "large", "group": "all"}
        for name in names
    ]
    width = DIM * LOOKUP_FIELDS
    graph = GraphWriter("lookups", {"all": (width,)})
    value = graph.dense("all", "l", dense_weights(rng, {"l": (width, 1)}))
    table = np.tile(rng.normal(size=(PATTERN, DIM)).astype(np.float32), (LOOKUP_ROWS // PATTERN + 1, 1))[:LOOKUP_ROWS]
    return {"features": {"features": features}, "model": graph.model(value), "tables": {"large": table}}


def for_other_gpu(made: tvm_rank.Artifact, arch: str) -> tvm_rank.Artifact:
    """An artifact for a GPU as one for another: the CUDA source of its kernels is the same, and so is the code of the host."""
    was, manifest = made.manifest.target.removeprefix("cuda-"), made.manifest
    needs = tuple(arch if need == was else need for need in manifest.needs)
    target = {"target": f"cuda-{arch}", "tvm_target": manifest.tvm_target.replace(was, arch), "needs": needs}
    files = {**made.host_files, KERNELS: cubin(made.stages["cuda"], arch)}
    return dataclasses.replace(made, manifest=dataclasses.replace(manifest, **target), host_files=files)


class Builder:
    """Compiles what is not in the work folder yet. say: told what is done."""

    def __init__(self, work: pathlib.Path, say: Callable[[str], None]):
        self._work, self._say = work, say
        self._made_of = fingerprint()

    def artifacts(self, name: str, archs: Sequence[str]) -> dict[str, pathlib.Path]:
        """The folders of an artifact for these kinds of machines."""
        of_gpu: list[tvm_rank.Artifact] = []  # what was compiled for the first GPU

        def save(arch: str, folder: pathlib.Path) -> None:
            if arch == CPU:
                made = self._compiled(name, CPU_TARGET)
            elif of_gpu:
                made = for_other_gpu(of_gpu[0], arch)
            else:
                of_gpu.append(made := self._compiled(name, f"cuda-{arch}"))
            dataclasses.replace(made, stages={}).save(folder)  # the texts of its stages are larger than its code

        folders = {arch: self._work / "artifacts" / arch / name for arch in archs}
        return {arch: self._once(folder, f"{name} for {arch}", partial(save, arch)) for arch, folder in folders.items()}

    def _compiled(self, name: str, target: str) -> tvm_rank.Artifact:
        end = next((end for end in BELOW_FP32 if name.endswith(end)), "")
        model, precision = name.removesuffix(end), BELOW_FP32.get(end, "fp32")
        return tvm_rank.compile(**brought(model, self._work / "files" / model), target=target, precision=precision)

    def requests(self) -> pathlib.Path:
        """The folder with the requests of rank-bench."""
        return self._once(self._work / "requests" / RANK_BENCH, "requests of rank-bench", self._requests)

    def _once(self, folder: pathlib.Path, what: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
        stamp = folder.with_name(f"{folder.name}.{STAMP}")
        if folder.is_dir() and stamp.is_file() and stamp.read_text() == self._made_of:
            self._say(f"{what}: there already")
            return folder
        aside = folder.with_name(f".{folder.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        stamp.unlink(missing_ok=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._say(f"{what}: building")
        make(aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
        stamp.write_text(self._made_of)
        return folder

    def _requests(self, folder: pathlib.Path) -> None:
        workload = rank_bench.build(self._work / "files" / RANK_BENCH, small=True, requests=REQUESTS, items=ITEMS)
        folder.mkdir()
        for path in (workload.user, workload.items):
            shutil.copyfile(path, folder / path.name)
        write_ids(workload, folder / "torch.npz")


def write_ids(workload: Workload, path: pathlib.Path) -> None:
    """What a framework without features starts from: for each of them ids or the bits of numbers, int32, of all rows, and how many each row
    has; the weights of the layers; the request of each item."""
    parts = read_parts(workload.features)
    user, items = workload.read_user(), workload.read_items()
    described, arrays = [], {}
    for k, part in enumerate(parts):
        one, lengths = _ids(part, user, items)
        described.append({"name": part.name, "table": part.table, "request": part.request, "ragged": lengths is not None})
        arrays[f"ids{k}"] = one
        if lengths is not None:
            arrays[f"lengths{k}"] = lengths.astype(np.int32)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(workload.model).graph.initializer}
    weights = [value for value in constants.values() if value.ndim == 2]
    biases = [value for value in constants.values() if value.ndim == 1 and value.dtype == np.float32]
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        arrays |= {f"weight{k}": weight, f"bias{k}": bias}
    of = items.column("request").to_numpy()
    np.savez(path, parts=np.array(json.dumps(described)), of=of, **arrays)  # type: ignore[arg-type]


def _ids(part: Any, user: pa.Table, items: pa.Table) -> tuple[np.ndarray, np.ndarray | None]:
    """Of all users, or of all items: a crossed feature is made for each user's items."""
    if part.request:
        (value,) = values_of([part], user, items)
    else:
        of = items.column("request").to_numpy()
        made = [
            values_of([part], user.slice(k, 1).combine_chunks(), items.filter(pa.array(of == k)).combine_chunks())[0]
            for k in range(user.num_rows)
        ]
        if not isinstance(made[0], Ids):
            value = np.concatenate(made)
        else:
            lengths = None if made[0].lengths is None else np.concatenate([one.lengths for one in made])
            value = Ids(np.concatenate([one.ids for one in made]), lengths)
    if isinstance(value, Ids):
        return value.ids.astype(np.int32), value.lengths
    return value.reshape(-1).view(np.int32), None
