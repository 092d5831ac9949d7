"""Artifacts that are damaged, incomplete, of another schema or for another machine: an ArtifactError that says so, nothing else."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import small_model
from hypothesis import given
from hypothesis import strategies as st

import tvm_rank
from tvm_rank.artifact import manifest as manifest_module
from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import Manifest
from tvm_rank.errors import ArtifactError
from tvm_rank.runtime import this_machine

FILES = [
    "model.so",
    "features.json",
    "tables/stack_4.bin",
    *(f"stages/{name}.gz" for name in ("import", "graph", "lower", "llvm")),
]


def change(folder: pathlib.Path, **entries: Any) -> None:
    """Put entries into the manifest, with a checksum that fits again."""
    file = folder / store.MANIFEST
    data = json.loads(file.read_text(encoding="utf-8")) | entries
    file.write_text(sealed(data), encoding="utf-8")


def sealed(data: dict[str, Any]) -> str:
    """A manifest of these entries whose own checksum fits."""
    rest = {key: value for key, value in data.items() if key != manifest_module.SEAL}
    return json.dumps(rest | {manifest_module.SEAL: manifest_module._seal(rest)})


def test_the_files_are_those_that_the_manifest_lists(saved: pathlib.Path):
    found = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert found == {*store.read(saved).files, store.MANIFEST}
    assert set(FILES) <= found


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(copy: pathlib.Path, name: str):
    size = (copy / name).stat().st_size
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=rf"{name} has {size - 1} bytes, wanted {size}"):
        tvm_rank.load(copy)
    with pytest.raises(ArtifactError, match=rf"{name} has {size - 1} bytes"):  # sizes are looked at also without checksums
        tvm_rank.load(copy, verify=False)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_a_flipped_bit_is_found(copy: pathlib.Path, name: str, place: float):
    data = bytearray((copy / name).read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name} was altered"):
        tvm_rank.load(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: pathlib.Path, name: str):
    (copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        tvm_rank.load(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_place_of_a_file_is_refused(copy: pathlib.Path, name: str):
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        tvm_rank.load(copy)


def test_all_damaged_files_are_reported_at_once(copy: pathlib.Path):
    (copy / "model.so").unlink()
    (copy / "features.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"features.json has 2 bytes(?s:.)*model.so is missing"):
        tvm_rank.load(copy)


def test_a_changed_byte_of_a_table_goes_unseen_without_verification(copy: pathlib.Path):
    data = bytearray((copy / "tables/stack_4.bin").read_bytes())
    data[0] ^= 1
    (copy / "tables/stack_4.bin").write_bytes(data)
    scores = tvm_rank.load(copy, verify=False).rank(user=small_model.user(), items=small_model.items())["score"]
    assert scores.shape == (small_model.ITEMS, 1)


def test_every_flipped_bit_of_the_manifest_is_found_or_means_nothing(copy: pathlib.Path):
    file = copy / store.MANIFEST
    good = file.read_bytes()
    wanted = Manifest.from_json(good.decode(), "x")
    for place in np.random.default_rng(0).choice(len(good), 400, replace=False).tolist():
        data = bytearray(good)
        data[place] ^= 1 << (place % 8)
        file.write_bytes(data)
        try:
            assert store.read(copy, verify=False) == wanted  # a blank that became another blank
        except ArtifactError:
            continue


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "manifest.json is damaged"),
        ("{", "manifest.json is damaged"),
        ("[]", "schema None, this build reads schema 6"),
        ("null", "schema None"),
        ("[" * 100_000, "manifest.json is damaged"),
        ('{"schema": 1}', "schema 1, this build reads schema 6; compile the artifact again with `tvm-rank compile`"),
        ('{"schema": "1"}', "schema '1'"),
        ('{"schema": true}', "schema True"),
        ('{"schema": 6}', "its checksum differs"),
        (b"\xff\xfe", "manifest.json cannot be read"),
    ],
)
def test_a_manifest_that_is_none_is_refused(copy: pathlib.Path, text: str | bytes, match: str):
    (copy / store.MANIFEST).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArtifactError, match=match):
        tvm_rank.load(copy)


def test_unknown_and_missing_keys_of_the_manifest_are_refused(copy: pathlib.Path):
    change(copy, colour="red")
    with pytest.raises(ArtifactError, match="unknown keys colour"):
        tvm_rank.load(copy)
    data = json.loads((copy / store.MANIFEST).read_text(encoding="utf-8"))
    del data["colour"], data["stacks"]
    (copy / store.MANIFEST).write_text(sealed(data))
    with pytest.raises(ArtifactError, match="lacks stacks"):
        tvm_rank.load(copy)


WRONG = [None, 7, -1, 2.5, "text", [], [1], ["a"], {}, {"a": 1}, True, [[["x"]]], [{}], "../x"]


def test_a_value_of_another_type_at_any_place_of_the_manifest_is_refused(saved: pathlib.Path):
    data = json.loads((saved / store.MANIFEST).read_text(encoding="utf-8"))
    tried = 0
    for key in data:
        for wrong in WRONG:
            if key == manifest_module.SEAL or type(wrong) is type(data[key]) or (key == "compile_seconds" and wrong in (7, -1)):
                continue
            with pytest.raises(ArtifactError, match=f"damaged.*{key}|schema"):
                Manifest.from_json(sealed(data | {key: wrong}), "x")
            tried += 1
    assert tried > 150


TABLE = {"first_row": 10**9, "rows": 1, "largest_error": 0.0, "relative_error": 0.0}
NONSENSE = {
    "dtype": ("outputs", 0, "dtype", "float31", "output 'score' has the dtype 'float31'"),
    "negative-extent": ("outputs", 0, "shape", [-1], "output 'score' has the shape"),
    "unknown-extent": ("outputs", 0, "shape", ["M"], "output 'score' has the shape"),
    "no-rows": ("stacks", 0, "rows", 0, "has 0 rows"),
    "no-width": ("stacks", 0, "dim", -4, "dim -4"),
    "table-outside": ("stacks", 0, "tables", {"city": TABLE}, "tables that begin at"),
    "precision": ("stacks", 0, "precision", "fp8", "has the precision 'fp8'"),
    "row-bytes": ("stacks", 0, "row_bytes", 15, "'fp32', 15 bytes a row"),
    "side": ("item_fields", 0, "side", "house", "has the side 'house'"),
    "role": ("item_fields", 0, "role", "colour", "the role 'colour'"),
    "item-for-request": ("request_fields", 0, "side", "item", "request_fields has an item field"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_values_that_no_compiler_writes_are_refused(copy: pathlib.Path, case: str):
    key, place, name, value, match = NONSENSE[case]
    entries = json.loads((copy / store.MANIFEST).read_text(encoding="utf-8"))[key]
    entries[place][name] = value
    change(copy, **{key: entries})
    with pytest.raises(ArtifactError, match=f"manifest.json is damaged.*{match}"):
        tvm_rank.load(copy)


def paths_of(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of each value inside of a JSON value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, entry in entries for found in paths_of(entry, (*path, key)))]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["../x", "N", "/", "model.so", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def scratch(saved: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, Any]]:
    """A copy whose manifest is written over again and again, and the good manifest."""
    folder = shutil.copytree(saved, tmp_path_factory.mktemp("scratch") / "artifact")
    return folder, json.loads((folder / store.MANIFEST).read_text(encoding="utf-8"))


@given(data=st.data(), remove=st.booleans())
def test_a_manifest_with_anything_anywhere_loads_or_is_an_artifact_error(scratch, data: st.DataObject, remove: bool):
    folder, good = scratch
    changed = json.loads(json.dumps(good))
    path = data.draw(st.sampled_from([path for path in paths_of(good) if path]))
    place = changed
    for key in path[:-1]:
        place = place[key]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = data.draw(JSON)
    (folder / store.MANIFEST).write_bytes(sealed(changed).encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ArtifactError):
        tvm_rank.load(folder, verify=False)


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "stages/../../x", "..", "a\0b"])
def test_a_file_entry_that_leads_outside_is_refused(copy: pathlib.Path, name: str):
    (copy.parent / "x").write_bytes(b"12")
    files = json.loads((copy / store.MANIFEST).read_text(encoding="utf-8"))["files"]
    change(copy, files=files | {name: {"bytes": 2, "checksum": "00"}})
    with pytest.raises(ArtifactError, match=r"leads outside of the artifact|cannot be read"):
        tvm_rank.load(copy)


def test_a_link_that_leads_outside_is_refused(copy: pathlib.Path):
    outside = copy.parent / "outside.so"
    (copy / "model.so").rename(outside)
    (copy / "model.so").symlink_to(outside)
    with pytest.raises(ArtifactError, match=r"model.so leads outside of the artifact"):
        tvm_rank.load(copy)


def test_files_that_are_needed_must_be_listed(copy: pathlib.Path):
    change(copy, files={})
    with pytest.raises(ArtifactError, match=r"model.so is not listed; tables/stack_4.bin is not listed"):
        tvm_rank.load(copy)


def test_a_table_of_another_shape_than_its_file_is_refused(copy: pathlib.Path):
    stacks = json.loads((copy / store.MANIFEST).read_text(encoding="utf-8"))["stacks"]
    change(copy, stacks=[stacks[0] | {"rows": stacks[0]["rows"] + 1}])
    with pytest.raises(ArtifactError, match=r"stack_4.bin has .* bytes, wanted"):
        tvm_rank.load(copy)


def test_a_library_that_is_none_is_refused_without_verification_too(copy: pathlib.Path):
    size = (copy / "model.so").stat().st_size
    (copy / "model.so").write_bytes(b"\0" * size)
    with pytest.raises(ArtifactError, match=r"model.so cannot be loaded"):
        tvm_rank.load(copy, verify=False)


def test_an_artifact_for_another_machine_is_refused(copy: pathlib.Path):
    change(copy, machine="riscv64", target="riscv")
    with pytest.raises(
        ArtifactError, match=r"compiled for riscv64 \(target riscv\), this machine is \w+; compile it for this machine"
    ):
        tvm_rank.load(copy)


def test_an_artifact_that_needs_a_flag_which_this_cpu_lacks_is_refused(copy: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    change(copy, needs=["avx2", "avx9000", "amx9000"])
    monkeypatch.setattr(this_machine, "cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(ArtifactError, match="this CPU lacks avx9000, amx9000"):
        tvm_rank.load(copy)


def test_the_flags_of_this_cpu_are_read():
    assert all(flag == flag.strip() and flag for flag in this_machine.cpu_flags())
    assert not pathlib.Path("/proc/cpuinfo").exists() or len(this_machine.cpu_flags()) > 3


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda _path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is no folder"),
        (lambda path: path.mkdir(), "has no manifest.json"),
        (lambda path: (path / "manifest.json").mkdir(parents=True), "has no manifest.json"),
    ],
    ids=["missing", "file", "empty-folder", "folder-as-manifest"],
)
def test_a_path_that_is_no_artifact_is_refused(tmp_path: pathlib.Path, make: Callable[[pathlib.Path], Any], match: str):
    make(tmp_path / "artifact")
    with pytest.raises(ArtifactError, match=f"{match}; give the folder that `tvm-rank compile` wrote"):
        tvm_rank.load(tmp_path / "artifact")


def test_another_device_is_refused(saved: pathlib.Path):
    with pytest.raises(tvm_rank.RankError, match="device 'cuda'"):
        tvm_rank.load(saved, device="cuda")
