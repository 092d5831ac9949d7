"""Peer of `scripts/bench_dense.py`: torch's linear layers in float32 and bfloat16, in a Python of its own.

Run by bench_dense with a folder (x.npy, weight.npy, bias.npy), an activation and a number of threads; answers commands on standard input,
one line each: `NAME` -> seconds of one call. Only torch and NumPy are needed.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

SLICE_S = 5e-3  # a call is repeated for at least so long before the clock is read


def layers(folder: pathlib.Path, activation: str) -> dict[str, Callable[[], torch.Tensor]]:
    """Name -> the layer. bfloat16 reads and writes bfloat16, as in a model that is all in it; "from float32" rounds x first."""
    x, weight, bias = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("x", "weight", "bias"))
    act = {"none": lambda y: y, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[activation]
    linear, half = torch.nn.functional.linear, torch.bfloat16
    w32, w16, b16, x16 = weight.T.contiguous(), weight.T.contiguous().to(half), bias.to(half), x.to(half)
    return {
        "torch fp32": lambda: act(linear(x, w32, bias)),
        "torch bf16": lambda: act(linear(x16, w16, b16)),
        "torch bf16 from float32": lambda: act(linear(x.to(half), w16, b16)).float(),
    }


def main() -> None:
    """Answer commands until standard input ends."""
    torch.set_num_threads(int(sys.argv[3]))
    calls = layers(pathlib.Path(sys.argv[1]), sys.argv[2])
    with torch.inference_mode():
        exact = calls["torch fp32"]().double()
        size = exact.square().mean().sqrt()
        errors = {name: float((call().double() - exact).square().mean().sqrt() / size) for name, call in calls.items()}
        versions = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
        print(json.dumps({"errors": errors, "versions": versions}), flush=True)
        for line in sys.stdin:
            call, count, start = calls[line.strip()], 0, time.perf_counter()
            while time.perf_counter() - start < SLICE_S:
                call()
                count += 1
            print((time.perf_counter() - start) / count, flush=True)


if __name__ == "__main__":
    main()
