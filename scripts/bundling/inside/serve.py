"""Measure candidates of `tvm-rank tune --tracker` on this machine, until Ctrl-C: a server of TVM's RPC for this machine's GPU.

    python serve.py --tracker HOST:PORT --key K
    python serve.py --tracker HOST:PORT --key K --cpu        for a model that was compiled for this machine's CPU

Whoever can reach the server can run code on this machine: keep it in a network of its own. Exit status: 2 when the command or the Python does
not fit, 3 when there is no GPU, else that of the server.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

from run import HERE, WRONG_USE, prepare, why_not

NO_GPU = 3
CUDA = "libtvm_runtime_cuda.so"


def main() -> int:
    """Read the command line and become the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker", required=True, metavar="HOST:PORT", help="where `python -m tvm.exec.rpc_tracker` runs")
    parser.add_argument("--key", required=True, help="what `tvm-rank tune --key` asks for: one for each kind of GPU")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at (default: all)")
    parser.add_argument("--port", type=int, default=9090, help="first port to try, of ten (default: 9090)")
    parser.add_argument("--cpu", action="store_true", help="serve the CPU instead")
    options = parser.parse_args()
    if why := why_not():
        print(f"serve.py: {why}", file=sys.stderr)
        return WRONG_USE
    prepare()
    if not options.cpu and (why := _no_gpu()):
        print(f"serve.py: {why}; --cpu serves the CPU", file=sys.stderr)
        return NO_GPU
    native = HERE / "lib" / "native"
    paths = [str(HERE / "lib" / "server"), os.environ["PYTHONPATH"]]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "LD_LIBRARY_PATH": os.pathsep.join([str(native), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]),
        "TVM_USE_RUNTIME_LIB": "1",
        "TVM_BIND_THREADS": "0",
    }
    command = [
        sys.executable,
        "-m",
        "tvm.exec.rpc_server",
        "--tracker",
        options.tracker,
        "--key",
        options.key,
        "--host",
        options.host,
    ]
    command += ["--port", str(options.port), "--port-end", str(options.port + 10)]
    if not options.cpu:
        command += ["--load-library", str(native / CUDA)]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)


def _no_gpu() -> str:
    from tvm_rank.runtime import gpu

    here, why = gpu.capability()
    return "" if here else why


if __name__ == "__main__":
    assert pathlib.Path(__file__).resolve().parent == HERE
    sys.exit(main())
