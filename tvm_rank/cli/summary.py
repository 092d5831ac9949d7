"""The summary of an artifact that `tvm-rank inspect` prints."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tvm_rank.artifact.manifest import Manifest, StackEntry, StoreEntry
from tvm_rank.artifact.store import ITEMS
from tvm_rank.cli.text_table import size_text, text_table
from tvm_rank.ops.table_rows import FP32

SHOWN_TILES = ("lanes", "vectors", "accumulators", "chunk_bytes", "prefetch_steps")
FLOAT_BYTES = 4


def summary(manifest: Manifest, folder: pathlib.Path) -> str:
    """All of it, a part for each matter."""
    return "\n\n".join(_parts(manifest, folder))


def _parts(manifest: Manifest, folder: pathlib.Path) -> Iterator[str]:
    yield _head(manifest, folder)
    yield "inputs\n" + text_table(["side", "column", "read as"], _inputs(manifest))
    outputs = [
        [o.name, o.dtype, "(" + ", ".join(map(str, o.shape)) + ("," if len(o.shape) == 1 else "") + ")"] for o in manifest.outputs
    ]
    yield "outputs\n" + text_table(["name", "dtype", "shape"], outputs)
    if manifest.all_stages:
        calls = [
            [stage.feature, stage.operation, stage.side, stage.input, f"{stage.library} {stage.library_version}".strip()]
            for stage in manifest.all_stages
        ]
        yield "library calls, on the host before the kernels\n" + text_table(
            ["feature", "operation", "side", "reads", "library"], calls
        )
    if manifest.store:
        yield f"item store\n{store_text(manifest.store[0], manifest)}"
    if manifest.stacks:
        rows = [row for stack in manifest.stacks for row in _tables(stack)]
        head = ["table", "rows", "dim", "precision", "as float32", "size", "largest error", "relative error", "file", "first row"]
        yield "tables\n" + text_table(head, rows)
    if manifest.precision:
        yield f"dense layers: {precision_text(manifest)}\n" + text_table(
            ["layer", "precision", "size", "error", "why"], _layers(manifest)
        )
    if manifest.groups:
        numbers = ["columns", *(["lanes"] if any("lanes" in group for group in manifest.groups) else [])]
        groups = [
            [*(str(g.get(key, "")) for key in ("kernel", "kind", "sink")), *(_count(g.get(key)) for key in numbers)]
            for g in manifest.groups
        ]
        yield "column groups\n" + text_table(["kernel", "kind", "sink", *numbers], groups)
    kernels = [[str(k.get("name", "")), _operator(k), _count(k.get("calls"))] for k in manifest.kernels]
    yield "kernels\n" + text_table(["name", "operator", "calls"], kernels)
    yield "files\n" + text_table(["file", "size"], [[name, size_text(entry.bytes)] for name, entry in manifest.files.items()])


def _operator(kernel: Mapping[str, Any]) -> str:
    """The operator of a kernel, below fp32 with what multiplies in it, of dense layers on a GPU with its knobs."""
    instruction = f" by {kernel['instruction']}" if "instruction" in kernel else ""
    knobs = kernel.get("layer", {}).get("knobs")
    of_gpu = f", {', '.join(f'{name} {value}' for name, value in knobs.items())}" if knobs else ""
    return f"{kernel.get('operator', '')}{instruction}{of_gpu}" or "-"


def precision_text(manifest: Manifest) -> str:
    """The precision of the dense layers in a line, with what it and that of the tables did to the scores of the samples."""
    found = [
        f"{one['output']} differs by at most {one['largest']:.2g}, mean {one['mean']:.2g}, rank correlation {one['rank_correlation']:.5f}"
        + ("" if one["auc_change"] is None else f", AUC {one['auc_change']:+.5f}")
        for one in manifest.precision["differences"]
    ]
    by = f", scored by {manifest.precision['scored_by']}" if manifest.precision.get("scored_by") else ""
    return "; ".join([manifest.precision["dense"], *(found or ["not judged, compile with samples"])]) + by


def _layers(manifest: Manifest) -> list[list[str]]:
    return [
        [one["layer"], one["precision"], size_text(one["bytes"]), f"{one['error']:.2g}" if one["error"] else "-", one["why"] or "-"]
        for one in manifest.precision["layers"]
    ]


def _head(manifest: Manifest, folder: pathlib.Path) -> str:
    unused = f"; unused: {', '.join(manifest.unused_features)}" if manifest.unused_features else ""
    lines = {
        "artifact": f"{folder}, {size_text(sum(entry.bytes for entry in manifest.files.values()))}",
        "target": f"{manifest.target}, {manifest.tvm_target}",
        "needs": f"{manifest.machine}, {' '.join(manifest.needs) or 'no special flags'}",
        "versions": f"tvm-rank {manifest.version}, TVM {manifest.tvm_version}, schema {manifest.schema}",
        "hash": manifest.hash_function,
        "features": f"{len(manifest.features)}{unused}",
        "schedule": _schedule(manifest),
        "samples": samples_text(manifest),
        "compiled": f"in {manifest.compile_seconds:.1f} s",
    }
    return "\n".join(f"{name:9} {text}" for name, text in lines.items())


def samples_text(manifest: Manifest) -> str:
    """The sample requests in a line: what `tvm-rank check` can compare."""
    if not manifest.samples:
        return "none"
    (entry,) = manifest.samples
    what = f"{entry.requests} requests, {entry.items} items, {entry.source}" if entry.items else "none"
    return f"{what}; no expected scores: {entry.missing}" if entry.missing else what


def _schedule(manifest: Manifest) -> str:
    """The knobs of the feature kernels, those of dense layers in short, and the passes that were left out."""
    features = ", ".join(f"{name} {value}" for name, value in manifest.schedule.get("features", {}).items())
    tiles = manifest.schedule.get("dense", {})
    dense = "modelled for each layer" if tiles is None else ", ".join(f"{name} {tiles.get(name, '-')}" for name in SHOWN_TILES)
    without = ", ".join(manifest.schedule.get("without", []))
    return f"features: {features}; dense: {dense}{f'; without {without}' if without else ''}"


def _inputs(manifest: Manifest) -> list[list[str]]:
    """(side, column, roles) of every field, request side first."""
    roles: dict[tuple[str, str], list[str]] = {}
    for use in (*manifest.request_fields, *manifest.item_fields):
        read = roles.setdefault((use.side, use.name), [])
        if use.role not in read:
            read.append(use.role)
    order = sorted(roles, key=lambda field: field[0] == "item")
    return [[side, name, ", ".join(roles[side, name])] for side, name in order]


def _tables(stack: StackEntry) -> Iterator[list[str | int]]:
    """A row for each table of a stack."""
    for name, table in stack.tables.items():
        sizes = [size_text(table.rows * bytes_of_row) for bytes_of_row in (stack.dim * FLOAT_BYTES, stack.row_bytes)]
        errors = [f"{error:.2g}" if stack.precision != FP32 else "-" for error in (table.largest_error, table.relative_error)]
        yield [name, table.rows, stack.dim, stack.precision, *sizes, *errors, stack.file, table.first_row]


def store_text(store: StoreEntry, manifest: Manifest) -> str:
    """The item store in a line."""
    size = sum(entry.bytes for name, entry in manifest.files.items() if name.startswith(f"{ITEMS}/"))
    how = f"layout {store.layout}, materialized {store.materialized}"
    return f"{store.rows:,} items by {store.key!r} ({store.key_type}), {size_text(size)}, {how}"


def _count(value: object) -> str | int:
    return value if isinstance(value, int) else str(value)
