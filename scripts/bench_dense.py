"""Measure `rank.dense` against NumPy and ONNX Runtime, interleaved in one run, results checked first.

    python scripts/bench_dense.py --sizes 256x893x512 1x893x512 --threads 1

Every round times each contender once, so that a change of clock or a busy neighbour meets all of them. Reported is the median.
NumPy computes the product only; rank.dense and ONNX Runtime also add the bias and apply the activation. The peak is that of a loop
of fused multiply-adds, compiled with the C compiler if there is one; pin one-thread runs to a core (taskset -c).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

_PEAK_C = """
typedef float vector __attribute__((vector_size(VECTOR_BYTES)));
float fma_loop(long rounds) {
  vector sum[12], factor = (vector){} + 0.999f, term = (vector){} + 1e-3f;
  for (int i = 0; i < 12; i++) sum[i] = (vector){} + (float)i;
  for (long k = 0; k < rounds; k++) {
    _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sum[i] = sum[i] * factor + term;
  }
  float total = 0;
  for (int i = 0; i < 12; i++) for (unsigned j = 0; j < VECTOR_BYTES / 4; j++) total += sum[i][j];
  return total;
}
"""
_PEAK_VECTORS = 12  # independent sums: enough to hide the latency of two units of 4 to 5 cycles
_SLICE_S = 2e-3  # a contender runs at least so long before the clock is read


def main() -> int:
    """Parse, measure, print."""
    arguments = _parser().parse_args()
    os.environ["TVM_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(arguments.threads)  # read when they are imported
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    _print_conditions(arguments)
    with tempfile.TemporaryDirectory() as folder:
        peak = _peak(folder)
        for size in arguments.sizes:
            _measure(size, arguments, peak)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=_size, metavar="NxKxJ", help="rows x inputs x outputs",
                        default=[(256, 893, 512), (256, 512, 256), (256, 256, 128), (256, 128, 1)])  # fmt: skip
    parser.add_argument("--activation", default="relu", choices=["none", "relu", "sigmoid", "tanh"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--mcpu", default=None, help="LLVM name of the CPU; default: this machine's")
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


def _peak(folder: str) -> Callable[[int], tuple[Callable[[], object], int]] | None:
    """A function flops -> (call, its flops) that does nothing but multiply and add on one core; None without a C compiler."""
    compiler, machine = shutil.which("gcc") or shutil.which("clang"), platform.machine()
    if compiler is None or machine not in ("x86_64", "aarch64"):
        return None
    wide = "avx512f" in pathlib.Path("/proc/cpuinfo").read_text()
    vector = 16 if machine == "aarch64" else 64 if wide else 32
    source, library = f"{folder}/peak.c", f"{folder}/libpeak.so"
    pathlib.Path(source).write_text(_PEAK_C)
    options = ["-O3", "-march=native", "-ffp-contract=fast", "-mprefer-vector-width=512" if wide else "-O3"]
    command = [compiler, *options, f"-DVECTOR_BYTES={vector}", "-shared", "-fPIC", "-w", source, "-o", library]
    subprocess.run(command, check=True, capture_output=True)
    loop = ctypes.CDLL(library).fma_loop
    loop.argtypes, loop.restype = [ctypes.c_long], ctypes.c_float
    per_round = _PEAK_VECTORS * vector // 4 * 2
    return lambda flops: ((lambda: loop(flops // per_round + 1)), (flops // per_round + 1) * per_round)


def _contenders(x, weight, bias, arguments) -> dict[str, Callable[[], object]]:
    """Name -> a call that computes the layer; rank.dense is checked against the reference before it is returned."""
    import numpy as np
    import tvm

    from te_schedules.dense import Layer, dense_func, pack, tiles_for
    from tvm_rank.ops.dense import reference

    (rows, depth), units = x.shape, weight.shape[1]
    target = tvm.target.Target(_target(arguments))
    tiles = tiles_for(target)
    layer = Layer(depth=depth, units=units, activation=arguments.activation, has_row_bias=False, tiles=tiles)
    built = tvm.compile(tvm.IRModule({"main": dense_func(layer).with_attr("global_symbol", "main")}), target=target)
    tensors = [tvm.runtime.tensor(array) for array in (x, pack(weight, tiles), bias, np.full((rows, units), np.nan, np.float32))]
    function = built["main"]
    function(*tensors)
    error = np.abs(tensors[-1].numpy() - reference(x, weight, bias, arguments.activation)) / (np.abs(x) @ np.abs(weight) + 1)
    if not error.max() < 1e-5:
        raise SystemExit(f"rank.dense is wrong: relative error {error.max()}, expected at most 1e-5")
    out = np.empty((rows, units), np.float32)
    calls: dict[str, Callable[[], object]] = {
        "rank.dense": lambda: function(*tensors),
        "numpy": lambda: np.matmul(x, weight, out=out),
    }
    if (session := _onnx_session(weight, bias, arguments)) is not None:
        calls["onnxruntime"] = lambda: session.run(None, {"x": x})
    return calls


def _onnx_session(weight, bias, arguments):
    try:
        import onnx
        import onnxruntime
        from onnx import helper, numpy_helper
    except ImportError:
        return None
    kind = {"none": "Identity", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}[arguments.activation]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["a"]), helper.make_node(kind, ["a"], ["y"])]
    info = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", n]) for name, n in zip("xy", weight.shape, strict=True)
    ]
    constants = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    model = helper.make_model(
        helper.make_graph(nodes, "dense", info[:1], info[1:], constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _measure(size: tuple[int, int, int], arguments: argparse.Namespace, peak) -> None:
    import numpy as np

    rows, depth, units = size
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, depth), (depth, units), (units,)))
    flops = {name: 2 * rows * depth * units for name in ("rank.dense", "numpy", "onnxruntime")}
    calls = _contenders(x, weight, bias, arguments)
    if peak is not None:
        calls["peak of a core"], flops["peak of a core"] = peak(max(flops["rank.dense"], 100_000_000))
    repeats = {name: _repeats(call) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    print(f"{rows} x {depth} -> {units} {arguments.activation}, {arguments.rounds} rounds")
    for name, times in seconds.items():
        median, best = float(np.median(times)), min(times)
        line = (
            f"  {name:15} {median * 1e6:10.1f} us {flops[name] / median / 1e9:8.1f} GFLOP/s (best {flops[name] / best / 1e9:.1f})"
        )
        if "peak of a core" in seconds and name != "peak of a core":
            share = np.median(np.array(seconds["peak of a core"]) / np.array(times)) * flops[name] / flops["peak of a core"]
            line += f"  {100 * share / arguments.threads:5.1f} % of the peak in the same round"
        print(line)


def _repeats(call: Callable[[], object]) -> int:
    call()
    start = time.perf_counter()
    call()
    return max(1, int(_SLICE_S / max(time.perf_counter() - start, 1e-7)))


if __name__ == "__main__":
    raise SystemExit(main())
