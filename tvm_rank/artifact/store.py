"""An artifact on disk: written aside and renamed, read with every file checked.

manifest.json  model.so  features.json  plan.json  tables/stack_<dim>.bin  host/<name>  stages/<stage>.gz  items/items.arrow, index.bin
samples/user.arrow, items.arrow, item_request.npy, scores_<k>.npy
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tvm_rank.artifact import checksum
from tvm_rank.artifact.manifest import FileEntry, Manifest
from tvm_rank.errors import ArtifactError

MANIFEST, LIBRARY, FEATURES, PLAN, STAGES, HOST = "manifest.json", "model.so", "features.json", "plan.json", "stages", "host"
STORE_LIBRARY = "store.so"  # makes the item store of an artifact for a GPU
ITEMS = "items"
ITEM_FILE, ITEM_INDEX = f"{ITEMS}/items.arrow", f"{ITEMS}/index.bin"


def check_replaceable(target: pathlib.Path) -> None:
    """Raise ArtifactError when something is at `target` that is not an artifact."""
    if target.exists() and not (target / MANIFEST).is_file():
        raise ArtifactError(f"{target}: exists and is not an artifact; give another path, or remove it")


def write(
    path: str | os.PathLike[str],
    fill: Callable[[pathlib.Path], None],
    finish: Callable[[dict[str, FileEntry]], Manifest],
    known: Mapping[str, FileEntry] = MappingProxyType({}),
) -> Manifest:
    """Make the artifact at `path`: `fill(folder)` writes its files, `finish(files)` gives the manifest, which is given back.

    An artifact that is already there is replaced when the new one is complete; anything else there is refused. Whatever happens
    before, also an interruption, leaves `path` as it was. known: sizes and checksums of files that need not be read again. Raises
    ArtifactError.
    """
    target = pathlib.Path(path)
    check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            fill(folder)
            manifest = finish(entries(folder, known))
            (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
            folder.chmod(0o755)
            _replace(folder, target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise ArtifactError(f"{target}: cannot be written ({error}); check the folder and the space on its disk") from error
    return manifest


def entries(folder: pathlib.Path, known: Mapping[str, FileEntry] = MappingProxyType({})) -> dict[str, FileEntry]:
    """The sizes and checksums of all files below a folder."""
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: known.get(name) or FileEntry(bytes=p.stat().st_size, checksum=checksum.of_file(p)) for name, p in found.items()}


def _replace(folder: pathlib.Path, target: pathlib.Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    old = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "old")
    try:
        folder.rename(target)
    except BaseException:
        if not target.exists():
            (old / "old").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def read(path: str | os.PathLike[str], *, verify: bool = True) -> Manifest:
    """The manifest of the artifact at `path`, after checking that its files are all there and as they were written.

    verify: False checks sizes only, not checksums. Raises ArtifactError.
    """
    folder = pathlib.Path(path)
    if not (folder / MANIFEST).is_file():
        what = "has no manifest.json" if folder.is_dir() else "is no folder" if folder.exists() else "does not exist"
        raise ArtifactError(f"{folder}: {what}; give the folder that `tvm-rank compile` wrote")
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{folder}: manifest.json cannot be read ({error})") from error
    manifest = Manifest.from_json(text, str(folder))
    problems: list[str] = [p for name, entry in manifest.files.items() if (p := _problem(folder, name, entry, verify))]
    if LIBRARY not in manifest.files:
        problems.append(f"{LIBRARY} is not listed")
    problems += [f"{stack.file} is not listed" for stack in manifest.stacks if stack.file not in manifest.files]
    needed = [name for entry in manifest.store for name in (ITEM_FILE, ITEM_INDEX, *(value.file for value in entry.values))]
    problems += [f"{name} is not listed" for name in needed if name not in manifest.files]
    problems += [f"{name} is not listed" for name in manifest.sample_files if name not in manifest.files]
    problems += [f"{HOST}/{name} is not listed" for name in sorted(manifest.host_files) if f"{HOST}/{name}" not in manifest.files]
    if problems:
        raise ArtifactError(f"{folder}: damaged: {'; '.join(problems)}; compile the artifact again, or copy it again")
    return manifest


def _problem(folder: pathlib.Path, name: str, entry: FileEntry, verify: bool) -> str | None:
    file = folder / name
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            return f"{name} leads outside of the artifact"
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != entry.bytes:
            return f"{name} has {file.stat().st_size} bytes, wanted {entry.bytes}"
        if verify and checksum.of_file(file) != entry.checksum:
            return f"{name} was altered (its checksum differs)"
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a NUL in the name, a loop of links
        return f"{name!r} cannot be read ({error})"
    return None
