"""Measure dense layers in each precision against NumPy, ONNX Runtime and torch, in turns in one run, results checked first.

    python scripts/bench_dense.py --sizes 256x893x512 64x893x512 --threads 1 --peer-python VENV/bin/python

Every round times each contender once, so that a change of clock or a busy neighbour meets all of them. Reported are the least and the median
of the rounds, the share of what a core multiplies at most in the same precision (a loop of nothing else, where there is a C compiler; bf16
next to fp32's where the CPU has no instruction for it), and the error, the root mean square of the differences to float64 over that of the
results. NumPy computes the product only; the others also add the bias and apply the activation. tvm-rank rounds x from float32 in its times,
and so do ONNX Runtime and "torch bf16 from float32"; "torch bf16" gets x in bfloat16. Pin one-thread runs to a core (taskset -c).
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

_SLICE_S = 5e-3  # a contender runs at least so long before the clock is read
PRECISIONS = ("fp32", "bf16", "int8")


def main() -> int:
    """Parse, measure, print."""
    arguments = _parser().parse_args()
    os.environ["TVM_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(arguments.threads)  # read when they are imported
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    _print_conditions(arguments)
    from benching.peak import peaks

    with tempfile.TemporaryDirectory() as folder:
        found = peaks(folder)
        for size in arguments.sizes:
            _measure(size, arguments, found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=_size, metavar="NxKxJ", help="rows x inputs x outputs",
                        default=[(256, 893, 512), (256, 512, 256), (256, 256, 128), (256, 128, 1)])  # fmt: skip
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--activation", default="relu", choices=["none", "relu", "sigmoid", "tanh"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--mcpu", default=None, help="LLVM name of the CPU; default: this machine's")
    parser.add_argument("--peer-python", help="Python of an environment with torch")
    return parser


def _size(text: str) -> tuple[int, int, int]:
    rows, depth, units = (int(part) for part in text.split("x"))
    return rows, depth, units


def _cpu_name() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _print_conditions(arguments: argparse.Namespace) -> None:
    import numpy
    import tvm

    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"CPU {_cpu_name()} · target {_target(arguments)['mcpu']} · threads {arguments.threads} · load {load}")
    print(f"CPUs of this process {sorted(os.sched_getaffinity(0))} · tvm {tvm.__version__} · numpy {numpy.__version__}", end="")
    try:
        import onnxruntime

        print(f" · onnxruntime {onnxruntime.__version__}")
    except ImportError:
        print(" · onnxruntime is not installed")


def _target(arguments: argparse.Namespace) -> dict:
    import tvm

    return {"kind": "llvm", "mcpu": arguments.mcpu or tvm.get_global_func("target.llvm_get_system_cpu")()}


def _ours(precision: str, x, weight, bias, arguments) -> Callable[[], object]:
    """A call that computes the layer from float32 and gives its numbers."""
    import numpy as np
    import tvm

    from te_schedules.dense import Layer, dense_func, pack, tiles_for
    from te_schedules.dense.reduced.matrix import has_matrix_unit
    from te_schedules.dense.reduced.pack import pack_bf16, pack_int8
    from te_schedules.dense.reduced.products import products_for
    from te_schedules.dense.reduced.rows import rows_func
    from te_schedules.lower import PIPELINE

    (rows, depth), units = x.shape, weight.shape[1]
    target = tvm.target.Target(_target(arguments))
    tiles, out = tiles_for(target), tvm.runtime.tensor(np.full((rows, units), np.nan, np.float32))
    shape = {"depth": depth, "units": units, "activation": arguments.activation, "has_row_bias": False, "tiles": tiles}
    if precision == "fp32":
        layer, kernels = Layer(**shape), {}
    else:
        if has_matrix_unit(precision, target, tiles.lanes):
            raise SystemExit("this measures vector instructions only; leave AMX out with --mcpu")
        layer = Layer(**shape, precision=precision, products=products_for(precision, target, tiles.lanes))
        kernels = {"rows": rows_func(depth, precision, "rows", products=layer.products)}
    built = tvm.tirx.build(tvm.IRModule({"dense": dense_func(layer, "dense"), **kernels}), target=target, pipeline=PIPELINE)
    dense, given = built["dense"], [tvm.runtime.tensor(array) for array in (x, np.ones(depth, np.float32), bias)]
    if precision == "fp32":
        packed = tvm.runtime.tensor(pack(weight, tiles))
        return lambda: dense(given[0], packed, given[2], out) or out
    words, levels = (
        tvm.runtime.tensor(np.zeros(shape, dtype)) for shape, dtype in (((rows, layer.words), "int32"), ((rows, 2), "float32"))
    )
    to_rows, numbers = built["rows"], [words] if precision == "bf16" else [words, levels]
    if precision == "bf16":
        own = [pack_bf16(weight, tiles)]
    else:
        kept = pack_int8(weight, tiles, layer.products)
        own = [kept.packed, kept.factors, kept.totals]
    constants = [tvm.runtime.tensor(array) for array in own]
    return lambda: to_rows(given[0], given[1], *numbers) or dense(*numbers, *constants, given[2], out) or out


def _contenders(x, weight, bias, arguments) -> dict[str, Callable[[], object]]:
    """Name -> a call that computes the layer; ours are checked against their reference before they are returned."""
    import numpy as np

    from tvm_rank.ops import dense, reduced_dense

    calls: dict[str, Callable[[], object]] = {}
    for precision in arguments.precisions:
        call = calls[f"tvm-rank {precision}"] = _ours(precision, x, weight, bias, arguments)
        reference = dense.reference if precision == "fp32" else reduced_dense.reference
        more = () if precision == "fp32" else (precision,)
        apart = np.abs(call().numpy() - reference(x, weight, bias, arguments.activation, *more))
        slack = (
            np.ptp(x, axis=1, keepdims=True) / 255 * np.abs(weight).max() if precision == "int8" else 0
        )  # a level, rounded the other way
        if not (apart <= slack + 1e-5 * (np.abs(x) @ np.abs(weight) + 1)).all():
            raise SystemExit(f"tvm-rank {precision} is wrong: off by {apart.max()}")
    out = np.empty((len(x), weight.shape[1]), np.float32)
    calls["numpy fp32"] = lambda: np.matmul(x, weight, out=out)
    try:
        from benching.dense_onnx import sessions

        made = sessions(x, weight, bias, arguments.activation, arguments.threads)
        calls |= {name: call for name, call in made.items() if name.split()[1] in arguments.precisions}
    except ImportError:
        pass
    return calls


def _measure(size: tuple[int, int, int], arguments: argparse.Namespace, peaks) -> None:
    import numpy as np
    from benching.peers import Peers

    from tvm_rank.ops.dense import reference

    rows, depth, units = size
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, depth), (depth, units), (units,)))
    calls = _contenders(x, weight, bias, arguments)
    exact = reference(x, weight, bias, arguments.activation)
    errors = {name: _relative(call(), exact) for name, call in calls.items() if "numpy" not in name}
    flops = dict.fromkeys(calls, 2 * rows * depth * units)
    for precision, peak in peaks.items():
        if precision in arguments.precisions:
            calls[f"peak {precision}"], flops[f"peak {precision}"] = peak(100_000_000)
    timed = {name: _timed(call) for name, call in calls.items()}
    peers = None
    if arguments.peer_python:
        with tempfile.TemporaryDirectory() as folder:
            for name, array in (("x", x), ("weight", weight), ("bias", bias)):
                np.save(f"{folder}/{name}.npy", array)
            peers = Peers(arguments.peer_python, "dense_peers.py", folder, arguments.activation, arguments.threads)
        asked = [name for name in peers.said["errors"] if name.split()[1] in arguments.precisions]
        timed |= {name: (lambda name=name: peers.run(name)) for name in asked}
        flops |= dict.fromkeys(asked, 2 * rows * depth * units)
        errors |= peers.said["errors"]
    seconds = {name: [] for name in timed}
    for turn in range(arguments.rounds + 1):
        for name, call in timed.items():
            taken = call()
            if turn:  # the first one warms up
                seconds[name].append(taken)
    if peers is not None:
        peers.close()
        print(f"{peers.said['versions']}")
    _print(
        f"{rows} x {depth} -> {units} {arguments.activation}, {arguments.rounds} rounds", seconds, flops, errors, arguments.threads
    )


def _print(title: str, seconds: dict[str, list[float]], flops: dict[str, int], errors: dict[str, float], threads: int) -> None:
    print(f"{title}\n  {'':26} {'least':>9} {'median':>9} us {'best':>8} {'median':>8} GFLOP/s  {'of peak':>8}  {'error':>8}")
    order = sorted(seconds, key=lambda name: PRECISIONS.index(name.split()[1]))
    for name in order:
        least, median, precision = min(seconds[name]), statistics.median(seconds[name]), name.split()[1]
        rates = [flops[name] / taken / 1e9 for taken in (least, median)]
        line = f"  {name:26} {least * 1e6:9.1f} {median * 1e6:9.1f}    {rates[0]:8.1f} {rates[1]:8.1f}"
        peak = f"peak {precision if f'peak {precision}' in seconds else 'fp32'}"
        if peak in seconds and peak != name:
            share = statistics.median(p / t for p, t in zip(seconds[peak], seconds[name], strict=True)) * flops[name] / flops[peak]
            line += f"          {100 * share / threads:6.1f} %  {errors.get(name, float('nan')):8.1e}"
        print(line)


def _relative(got, exact) -> float:
    import numpy as np

    got = got if isinstance(got, np.ndarray) else got.numpy()
    return float(np.sqrt(((got - exact) ** 2).mean() / (exact**2).mean()))


def _timed(call: Callable[[], object]) -> Callable[[], float]:
    """Seconds of a call, as the mean of as many as fill _SLICE_S."""
    call()
    start = time.perf_counter()
    call()
    repeats = max(1, int(_SLICE_S / max(time.perf_counter() - start, 1e-7)))

    def timed() -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats

    return timed


if __name__ == "__main__":
    raise SystemExit(main())
