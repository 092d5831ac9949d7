"""Peers of `scripts/bench_tables.py`: torch's EmbeddingBag and fbgemm's quantized embeddings, in a Python of their own.

Run by bench_tables with the folder of its inputs; answers commands on standard input, one line each: `NAME` -> seconds of one pass over
all batches. Only torch, NumPy and (if it is there) fbgemm_gpu are needed.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
import torch


def fbgemm_lookups(table: np.ndarray) -> dict[str, Callable]:
    """Name -> lookup (ids, offsets) -> float32, for each precision that fbgemm has on CPU."""
    try:
        import fbgemm_gpu  # noqa: F401  registers the operators
        from fbgemm_gpu.split_embedding_configs import SparseType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
        from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen
    except (ImportError, OSError) as error:
        print(f"no fbgemm: {error}", file=sys.stderr)
        return {}
    rows, dim = table.shape
    made = {}
    for name in ("FP32", "FP16", "INT8", "INT4"):
        kind = getattr(SparseType, name)
        module = IntNBitTableBatchedEmbeddingBagsCodegen(
            [("t", rows, dim, kind, EmbeddingLocation.HOST)],
            pooling_mode=PoolingMode.SUM,
            output_dtype=SparseType.FP32,
            device="cpu",
        )
        module.initialize_weights()
        (weights, scales) = module.split_embedding_weights()[0]
        values = torch.from_numpy(table)
        if name == "INT8":
            quantized = torch.ops.fbgemm.FloatToFused8BitRowwiseQuantized(values)  # codes, scale, bias as float32
            pairs = quantized[:, dim:].contiguous().view(torch.float32).to(torch.float16).view(torch.uint8)
            weights.copy_(quantized[:, :dim])
            scales.copy_(pairs)
        elif name == "INT4":
            quantized = torch.ops.fbgemm.FloatToFusedNBitRowwiseQuantizedSBHalf(values, 4)
            weights.copy_(quantized[:, : dim // 2])
            scales.copy_(quantized[:, dim // 2 :])
        else:
            dtype = torch.float16 if name == "FP16" else torch.float32
            weights.copy_(values.to(dtype).contiguous().view(torch.uint8))
        made[f"fbgemm {name.lower()}"] = module
    return made


def main() -> None:
    """Answer commands until standard input ends."""
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    table, batches = np.load(folder / "table.npy"), torch.from_numpy(np.load(folder / "ids.npy"))
    offsets = torch.arange(0, batches.shape[1] + 1, int(sys.argv[2]))
    bag = torch.nn.functional.embedding_bag
    lookups: dict[str, Callable] = {}
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        weight = torch.from_numpy(table).to(dtype)
        lookups[f"torch {name}"] = lambda ids, ends, w=weight: bag(ids, w, ends, mode="sum", include_last_offset=True)
    lookups |= fbgemm_lookups(table)
    with torch.inference_mode():
        first = batches[0][: offsets[-1]]
        exact = torch.from_numpy(table).double()[first].view(len(offsets) - 1, -1, table.shape[1]).sum(1)
        errors = {name: float((run(first, offsets).double() - exact).square().mean().sqrt() / exact.square().mean().sqrt())
                  for name, run in lookups.items()}  # fmt: skip
        versions = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
        print(json.dumps({"errors": errors, "versions": versions}), flush=True)
        for line in sys.stdin:
            run, start = lookups[line.strip()], time.perf_counter()
            for ids in batches:
                run(ids, offsets)
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
