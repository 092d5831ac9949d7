"""Measure candidates of `tvm-rank tune --tracker` on this machine, until Ctrl-C: a server of TVM's RPC for this machine's GPU.

    python serve.py --tracker HOST:PORT --key K
    python serve.py --tracker HOST:PORT --key K --cpu        for a model that was compiled for this machine's CPU

A candidate that faults ends TVM's server. So that is a process of its own, which is started again, with a line that says so. Whoever can reach
the server can run code on this machine: keep it in a network of its own. Exit status: 2 when the command or the Python does not fit, 3 when
there is no GPU, 130 after Ctrl-C, 143 after SIGTERM, else that of a server that cannot start.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time

from run import HERE, WRONG_USE, prepare, why_not

NO_GPU = 3
CUDA = "libtvm_runtime_cuda.so"
PORTS = 10
ENDED = 75  # a server that was listening, and does so no more
PAUSE_S, END_S = 2.0, 5.0  # before it is started again; until one that was asked to end is killed


def main() -> int:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker", required=True, metavar="HOST:PORT", help="where `python -m tvm.exec.rpc_tracker` runs")
    parser.add_argument("--key", required=True, help="what `tvm-rank tune --key` asks for: one for each kind of GPU")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at (default: all)")
    parser.add_argument("--port", type=int, default=9090, help="first port to try, of ten (default: 9090)")
    parser.add_argument("--cpu", action="store_true", help="serve the CPU instead")
    parser.add_argument("--once", action="store_true", help="end with the server (serve.py starts itself like this)")
    options = parser.parse_args()
    if options.once:
        return _listen(options)
    if why := why_not():
        print(f"serve.py: {why}", file=sys.stderr)
        return WRONG_USE
    prepare()
    if not options.cpu and (why := _no_gpu()):
        print(f"serve.py: {why}; --cpu serves the CPU", file=sys.stderr)
        return NO_GPU
    native = HERE / "lib" / "native"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE / "lib" / "server"), os.environ["PYTHONPATH"]]),
        "LD_LIBRARY_PATH": os.pathsep.join([str(native), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]),
        "TVM_USE_RUNTIME_LIB": "1",
        "TVM_BIND_THREADS": "0",
    }
    return _keep([sys.executable, __file__, *sys.argv[1:], "--once"], environment)


def _keep(command: list[str], environment: dict[str, str]) -> int:
    """Run the server, and run it again when it has ended by itself, until a signal."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    while True:
        # in a session of its own, so that a signal ends all of it, with what it measures
        server = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            status = server.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            _end(server)
        if status not in (ENDED, *(-number for number in signal.valid_signals())):
            return status
        why = f"by signal {-status}" if status < 0 else "since what it measured died"
        print(f"serve.py: {time.strftime('%H:%M:%S')}: the server ended, {why}; it is started again", file=sys.stderr, flush=True)
        try:
            time.sleep(PAUSE_S)
        except KeyboardInterrupt:
            return 130


def _end(server: subprocess.Popen) -> None:
    """End a server, and the process in which it measures."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(END_S)


def _listen(options: argparse.Namespace) -> int:
    """Be the server until it ends. TVM's own command has it in one more process, and goes on without it where a session died."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: nobody is left to end it when serve.py was killed
    from tvm.rpc.server import PopenRPCServerState

    host, _, port = options.tracker.rpartition(":")
    server = PopenRPCServerState(
        options.host,
        options.port,
        options.port + PORTS,
        tracker_addr=(host, int(port)),
        key=options.key,
        load_library=None if options.cpu else str(HERE / "lib" / "native" / CUDA),
    )
    server.thread.join()
    return ENDED


def _no_gpu() -> str:
    from tvm_rank.runtime import gpu

    here, why = gpu.capability()
    return "" if here else why


if __name__ == "__main__":
    assert pathlib.Path(__file__).resolve().parent == HERE
    sys.exit(main())
