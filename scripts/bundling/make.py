"""Pack what checks and measures the compiler on a machine with an NVIDIA GPU, and nothing else but its driver, Python and NumPy.

    scripts/bundle_gpu.sh                                      gpu-bundle.tar.xz, for sm_80 and sm_90
    scripts/bundle_gpu.sh --models lr din --arch sm_90 --python 3.12

There: tar xf gpu-bundle.tar.xz && python3 gpu-bundle/run.py      (without tar: python3 -m tarfile -e gpu-bundle.tar.xz)

The bundle has every model of the zoo, rank-bench with small tables, the model of a thousand columns and one of lookups alone, compiled, with
the scores that they must have, the runtime libraries, a server for tuning (serve.py), and no compiler. Needs nvcc here, and no GPU; libraries
for other Pythons than this one are downloaded from the package index. What is compiled is kept in --work: a second run compiles what changed
only.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from bundling import artifacts, runtime_part, server_part  # noqa: E402
from bundling.artifacts import BENCHMARKS, CPU, ON_CPU, SIZES, Builder  # noqa: E402
from te_schedules.gpu.compile import CudaError  # noqa: E402
from tvm_rank import zoo  # noqa: E402
from tvm_rank.artifact import checksum  # noqa: E402
from tvm_rank.errors import RankError  # noqa: E402

NAME, LIMIT = "gpu-bundle", 60_000_000  # bytes of the packed bundle
PACKING = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 32 << 20}]  # the code of a model for two GPUs is within that
ARCHS, PYTHONS = ("sm_80", "sm_90"), ("3.10", "3.11", "3.12", "3.13")


def say(text: str) -> None:
    """Progress, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(given: Sequence[str] | None = None) -> int:
    """Build, pack, and say how large it is; 1 when it cannot be made or is too large."""
    parser = argparse.ArgumentParser(
        prog="scripts/bundle_gpu.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(f"{NAME}.tar.xz"), help=f"the bundle (default: {NAME}.tar.xz)"
    )
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / NAME, help=f"what is built (default: build/{NAME})")
    parser.add_argument("--models", nargs="+", choices=[*zoo.MODELS, *BENCHMARKS], metavar="NAME", help="only these (default: all)")
    parser.add_argument("--arch", nargs="+", default=ARCHS, metavar="sm_NN", help=f"kinds of GPUs (default: {' '.join(ARCHS)})")
    parser.add_argument(
        "--python", nargs="+", metavar="3.N", help=f"Pythons there (default: of {' '.join(PYTHONS)} those with wheels)"
    )
    parser.add_argument("--cudart", type=pathlib.Path, help=f"NVIDIA's {runtime_part.CUDART} (default: the one beside nvcc)")
    options = parser.parse_args(given)
    try:
        folder = staged(options)
        size = packed(folder, options.out)
    except (RankError, CudaError, OSError, subprocess.CalledProcessError) as error:
        print(f"scripts/bundle_gpu.sh: {error}", file=sys.stderr)
        return 1
    if size > LIMIT:
        print(f"scripts/bundle_gpu.sh: {options.out} has {size:,} bytes, more than {LIMIT:,}; leave --models out", file=sys.stderr)
        return 1
    print(f"{options.out}: {size / 1e6:.1f} MB; there: tar xf {options.out.name} && python3 {NAME}/run.py")
    return 0


def staged(options: argparse.Namespace) -> pathlib.Path:
    """The bundle as a folder, in the work folder."""
    folder = options.work / NAME
    shutil.rmtree(folder, ignore_errors=True)
    builder = Builder(options.work, say)
    made = write_models(folder, builder, options.models or [*zoo.MODELS, *BENCHMARKS], options.arch)
    lib = folder / "lib"
    runtime_part.write_project(lib)
    runtime_part.write_libraries(lib, options.cudart)
    server_part.write_server(lib)
    asked = options.python is not None
    pythons = runtime_part.write_packages(lib, options.python or PYTHONS, options.work / "wheels", say, all_of_them=asked)
    write_command(folder, made, pythons)
    link_equal_files(folder)
    return folder


def write_models(folder: pathlib.Path, builder: Builder, names: Sequence[str], archs: Sequence[str]) -> dict[str, list[str]]:
    """Copy the artifacts and requests; which models each kind of machine has."""
    made: dict[str, list[str]] = {arch: [] for arch in (*archs, CPU)}
    for k, name in enumerate(names):
        say(f"{k + 1} of {len(names)}: {name}")
        for arch, built in builder.artifacts(name, [*archs, *([CPU] if name in ON_CPU else [])]).items():
            made[arch].append(name)
            shutil.copytree(built, folder / "artifacts" / arch / name)
    if any(name.startswith(artifacts.RANK_BENCH) for name in names):
        shutil.copytree(builder.requests(), folder / "requests" / artifacts.RANK_BENCH)
    return {arch: of_arch for arch, of_arch in made.items() if of_arch}


def write_command(folder: pathlib.Path, made: dict[str, list[str]], pythons: Sequence[str]) -> None:
    """run.py, serve.py, their modules, and what they must know."""
    shutil.copytree(HERE / "inside", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(artifacts.many_columns.__file__, folder / "gpu_checks" / "many_columns.py")
    says = {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": platform.system(),
        "machine": platform.machine(),
        "pythons": sorted(pythons, key=lambda minor: int(minor.split(".")[1])),
        "artifacts": made,
        "requests": SIZES,
    }
    (folder / "bundle.json").write_text(json.dumps(says, indent=1) + "\n", encoding="utf-8")


def link_equal_files(folder: pathlib.Path) -> None:
    """Make equal files one, which the archive has once: tables of a model for several GPUs, libraries of several Pythons."""
    known: dict[str, pathlib.Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        first = known.setdefault(checksum.of_file(path), path)
        if first is not path and not first.samefile(path):
            path.unlink()
            path.hardlink_to(first)


def packed(folder: pathlib.Path, out: pathlib.Path) -> int:
    """Write the archive aside and rename it; its size in bytes."""
    say("packing")
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with lzma.open(aside, "wb", filters=PACKING) as file, tarfile.open(fileobj=file, mode="w") as archive:
            for path in sorted(folder.rglob("*"), key=_beside):
                if path.is_file():
                    archive.add(path, f"{NAME}/{path.relative_to(folder).as_posix()}", filter=_anonymous)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    return out.stat().st_size


def _beside(path: pathlib.Path) -> tuple[str, ...]:
    """Sorts files so that those with much in common are close: of a kind, of a model, then of a GPU."""
    return (path.suffix, path.name, path.parent.name, path.as_posix())


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the user of this machine."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    sys.exit(main())
