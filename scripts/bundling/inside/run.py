"""Check every model of this bundle on this machine's GPU, and measure: one command, one JSON, one table.

    python run.py [--out FOLDER] [--seconds S] [--limit S] [--models NAME ...] [--no-torch | --torch PYTHON]
    python run.py --cpu        the same steps on the CPU, with the models that the bundle has for it

Needs an NVIDIA GPU of a kind that the bundle is for, its driver, one of the bundle's Pythons and NumPy; nothing is installed, no compiler is
used. Writes results.json and results.txt, behind each step, so that Ctrl-C leaves what was done. Exit status: 0 when all scores are right,
1 when any is not or a step failed, 2 when the command or the Python does not fit, 3 when there is no GPU that the bundle is for, 130 when it
was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import sys

HERE = pathlib.Path(__file__).resolve().parent
SAYS = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
WRONG_USE = 2


def why_not() -> str:
    """Why this Python or machine is none for the bundle; "" when it is."""
    minor = "{}.{}".format(*sys.version_info)
    if minor not in SAYS["pythons"]:
        return f"this is Python {minor}; the bundle has libraries for {', '.join(SAYS['pythons'])}: run it with one of these"
    if (platform.system(), platform.machine()) != (SAYS["system"], SAYS["machine"]):
        return f"this is {platform.system()} on {platform.machine()}; the bundle is for {SAYS['system']} on {SAYS['machine']}"
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        return f"NumPy cannot be imported ({error}); install it: the bundle does not bring it"
    return ""


def prepare() -> None:
    """Let Python and TVM find what the bundle brings, in this process and in those that it starts."""
    packages = [str(HERE), str(HERE / "lib" / "{}.{}".format(*sys.version_info)), str(HERE / "lib" / "common")]
    sys.path[:0] = packages
    os.environ["PYTHONPATH"] = os.pathsep.join([*packages, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["TVM_LIBRARY_PATH"] = str(HERE / "lib" / "native")
    os.environ["TVM_FFI_DISABLE_TORCH_C_DLPACK"] = "1"  # tvm_ffi would import PyTorch, where it is, and build an extension for it


def main() -> int:
    """Read the command line and do the job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="run on the CPU: tests the bundle where there is no GPU")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("results"), help="folder of the results (default: results)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement (default: 3)")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a step counts as hung (default: 120)")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="check only these (default: all of the bundle)")
    parser.add_argument("--no-torch", action="store_true", help="do not measure PyTorch, also where it is there")
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON", help="a Python that has PyTorch (default: this one)")
    options = parser.parse_args()
    if why := why_not():
        print(f"run.py: {why}", file=sys.stderr)
        return WRONG_USE
    prepare()
    from gpu_checks.job import run

    return run(HERE, SAYS, options)


if __name__ == "__main__":
    sys.exit(main())
