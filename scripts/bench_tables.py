#!/usr/bin/env python3
"""Pooled lookups at each precision of tables, next to torch's EmbeddingBag and fbgemm's quantized embeddings on CPU.

    scripts/bench_tables.py --peer-python VENV/bin/python [--rows 1000000] [--dims 16 64] [--out FILE.json]

One feature: int64 ids of an Arrow list in, sums as float32 out, one thread; the same table and the same ids for all. The kernels are called
without an engine, as the peers are without a server. Results are checked before anything is timed; then all take turns, and a figure is the
median of the turns. Peers: `pip install torch fbgemm-gpu-cpu numpy` in the virtual environment of --peer-python; without it they are left out.
"""

from __future__ import annotations

import argparse
import json
import mmap
import pathlib
import platform
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import tvm
from benching.peers import Peers

from te_schedules.column_group import kernel
from te_schedules.column_group.layout import Use, lay_out
from te_schedules.column_group.pool import Pool
from te_schedules.column_group.table_format import TableFormat
from te_schedules.lower import PIPELINE
from tvm_rank.config.load import load_config
from tvm_rank.lowering import column_of
from tvm_rank.lowering.fields import FieldTable
from tvm_rank.ops.table_rows import FP32, PAD_BYTES, PRECISIONS, decode, encode, row_bytes
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.columns import Table
from tvm_rank.target import resolve

BAGS, IDS, BATCHES = 256, 20, 64
BLOCK = 1 << 16  # rows that are encoded at a time


def huge(array: np.ndarray) -> np.ndarray:
    """A copy in huge pages, where the system has them, with PAD_BYTES behind it: as an engine keeps tables in memory."""
    memory = mmap.mmap(-1, array.nbytes + PAD_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    copy = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
    copy[...] = array
    return copy


def our_lookup(table: np.ndarray, precision: str, knobs: kernel.Knobs) -> tuple[Callable, np.ndarray]:
    """(lookup of Arrow ids into `out`, what the rows mean)."""
    rows, dim = table.shape
    stack = np.empty((rows, dim if precision == FP32 else row_bytes(precision, dim)), np.float32 if precision == FP32 else np.uint8)
    meant = np.empty_like(table)
    for first in range(0, rows, BLOCK):
        part = slice(first, first + BLOCK)
        coded = encode(table[part], precision)
        stack[part], meant[part] = table[part] if precision == FP32 else coded, decode(coded, precision, dim)
    stack = huge(stack)
    fg = {"features": [{"feature_name": "f", "feature_type": "id_feature", "expression": "item:ids", "num_buckets": rows}]}
    config, fields = load_config(fg), FieldTable()
    column = column_of(config.features[0], fields, config.hash_function)
    layout = lay_out([Use(column=column, sink=Pool("sum", "stack", TableFormat(precision, dim)), ints={"out": 0, "table_row": 0})])
    inputs = [kernel.Argument("stack", stack.shape, str(stack.dtype))]
    outputs = [kernel.Argument("out0", ("rows", dim), "float32"), kernel.Argument("status", (1,), "int64")]
    target = resolve("cpu").tvm_target
    with target:
        code = kernel.build("lookup", "rank.features", layout, 1, inputs, outputs, rows="rows", knobs=knobs)
    run = tvm.tirx.build(tvm.IRModule({"lookup": code}), target=target, pipeline=PIPELINE)["lookup"]
    status, constants = np.zeros(1, np.int64), (layout.ints, layout.floats, layout.bytes)

    def lookup(words: np.ndarray, out: np.ndarray) -> None:
        run(words, *constants, stack, out, status)

    lookup.uses = fields.uses  # type: ignore[attr-defined]
    return lookup, meant


def bound(uses, ids: np.ndarray) -> Table:
    """The descriptor of one batch of bags."""
    offsets = pa.array(np.arange(0, ids.size + 1, IDS, dtype=np.int32))
    table = Table(uses)
    table.fill(0, pa.ListArray.from_arrays(offsets, pa.array(ids)), BAGS, "ids")
    return table


def ours(table: np.ndarray, batches: np.ndarray, knobs: kernel.Knobs) -> tuple[dict[str, Callable[[], float]], dict[str, float]]:
    """(name -> a pass over all batches, in seconds; name -> error of the sums), each checked against the definition."""
    passes, errors = {}, {}
    for precision in PRECISIONS:
        lookup, meant = our_lookup(table, precision, knobs)
        bags = [bound(lookup.uses, ids) for ids in batches]
        out = np.zeros((BAGS, table.shape[1]), np.float32)
        lookup(bags[0].words, out)
        rows = batches[0].reshape(BAGS, IDS)
        wanted, exact = (values.astype(np.float64)[rows].sum(1) for values in (meant, table))
        assert np.abs(out - wanted).max() < 1e-6 * np.abs(meant).max() * IDS, precision
        errors[f"tvm-rank {precision}"] = float(np.sqrt(((out - exact) ** 2).mean() / (exact**2).mean()))

        def one_pass(lookup=lookup, bags=bags, out=out) -> float:
            start = time.perf_counter()
            for bag in bags:
                lookup(bag.words, out)
            return time.perf_counter() - start

        passes[f"tvm-rank {precision}"] = one_pass
    return passes, errors


def measure(rows: int, dim: int, args: argparse.Namespace) -> dict[str, object]:
    """ns per id of each contender, and the errors of their sums."""
    source = np.random.default_rng(dim)
    table = source.standard_normal((rows, dim), dtype=np.float32)
    batches = source.integers(0, rows, (BATCHES, BAGS * IDS))
    passes, errors = ours(table, batches, kernel.Knobs())
    peers = None
    with tempfile.TemporaryDirectory() as name:
        if args.peer_python:
            folder = pathlib.Path(name)
            np.save(folder / "table.npy", table)
            np.save(folder / "ids.npy", batches)
            peers = Peers(args.peer_python, "table_peers.py", folder, IDS)
            errors |= peers.said["errors"]
            passes |= {other: (lambda other=other: peers.run(other)) for other in peers.said["errors"]}
    turns: dict[str, list[float]] = {contender: [] for contender in passes}
    for turn in range(args.turns + 1):
        for contender, one_pass in passes.items():
            seconds = one_pass()
            if turn:  # the first one warms up
                turns[contender].append(seconds * 1e9 / batches.size)
    if peers is not None:
        peers.close()
    found = {
        name: {"ns_per_id": statistics.median(values), "best": min(values), "error": errors[name]} for name, values in turns.items()
    }
    return {"rows": rows, "dim": dim, "contenders": found, "peers": None if peers is None else peers.said["versions"]}


def main() -> None:
    """Measure, print a table for each width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--peer-python", help="Python of an environment with torch, and fbgemm-gpu-cpu if it is to take part")
    parser.add_argument("--out", type=pathlib.Path, help="also write the figures as JSON")
    args = parser.parse_args()
    tvm_runtime.use_threads(1)
    results = []
    for dim in args.dims:
        result = measure(args.rows, dim, args)
        results.append(result)
        print(f"{args.rows:,} rows x {dim}, {BAGS} bags of {IDS} ids, one thread, {platform.machine()}, {result['peers']}")
        print(f"{'':18} {'ns/id':>8} {'best':>8} {'error':>10}")
        for name, entry in sorted(result["contenders"].items(), key=lambda pair: pair[0].split()[1]):
            print(f"{name:18} {entry['ns_per_id']:8.2f} {entry['best']:8.2f} {entry['error']:10.2e}")
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
