"""Embedding tables: opened without being read, checked all at once, stacked by width."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from tvm_rank.errors import ModelError
from tvm_rank.frontend.tables import Stack, TableNeed, check_tables, open_tables, plan_stacks
from tvm_rank.frontend.write_stack import write_stack


def table(rows: int, dim: int, dtype=np.float32) -> np.ndarray:
    """Row i, column j holds i + j / 100, so that every cell tells its place."""
    return (np.arange(rows)[:, None] + np.arange(dim) / 100).astype(dtype)


def written(path, dim: int) -> np.ndarray:
    """A written stack of float32."""
    return np.fromfile(path, "<f4").reshape(-1, dim)


def problems_of(call, *args, **options) -> tuple[str, ...]:
    with pytest.raises(ModelError) as caught:
        call(*args, **options)
    return caught.value.problems


def need(dim: int, id_space: int, *used_by: str) -> TableNeed:
    return TableNeed(dim=dim, id_space=id_space, used_by=used_by or ("f",))


# ---------------------------------------------------------------- open


def test_a_safetensors_file_gives_its_tables_by_name(tmp_path):
    path = tmp_path / "tables.safetensors"
    wanted = {"user": table(5, 4), "item": table(3, 8), "half": table(4, 2, np.float16), "wide": table(2, 3, np.float64)}
    save_file(wanted, path, metadata={"made": "by a test"})
    got = open_tables(path)
    assert set(got) == set(wanted)
    for name, array in wanted.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_a_folder_gives_one_table_per_npy_file(tmp_path):
    np.save(tmp_path / "user.id.npy", table(5, 4))
    np.save(tmp_path / "item.npy", np.asfortranarray(table(3, 4)))
    (tmp_path / "notes.txt").write_text("not a table")
    tables = open_tables(tmp_path)
    assert list(tables) == ["item", "user.id"]
    assert all(isinstance(array, np.memmap) for array in tables.values())
    np.testing.assert_array_equal(tables["item"], table(3, 4))


def test_arrays_are_taken_without_a_copy():
    array = table(5, 4)
    assert np.shares_memory(open_tables({"a": array})["a"], array)


def test_all_tables_that_are_no_tables_are_told_at_once():
    arrays = {
        "flat": np.zeros(3, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "narrow": np.zeros((4, 0), np.float32),
        "whole": np.zeros((2, 2), np.int64),
        "text": np.array([["a"]]),
        "good": table(2, 2),
    }
    wanted = "wanted float32 (float16, bfloat16 and float64 are converted)"
    assert problems_of(open_tables, arrays) == (
        "table 'flat' has shape (3,); wanted (rows, dim)",
        "table 'empty' is empty, with shape (0, 4); wanted at least one row and one column",
        "table 'narrow' is empty, with shape (4, 0); wanted at least one row and one column",
        f"table 'whole' has dtype int64; {wanted}",
        f"table 'text' has dtype <U1; {wanted}",
    )


def test_missing_empty_and_other_files_are_refused(tmp_path):
    advice = "give a .safetensors file or a folder of <table>.npy files"
    assert problems_of(open_tables, tmp_path / "none") == (f"no such file or folder; {advice}",)
    assert problems_of(open_tables, tmp_path) == ("holds no tables",)
    assert problems_of(open_tables, {}) == ("holds no tables",)
    np.save(tmp_path / "a.npy", table(2, 2))
    assert problems_of(open_tables, tmp_path / "a.npy") == (f"is a single array; give the folder that holds it: {tmp_path}",)


def test_damaged_npy_files_are_refused_by_name(tmp_path):
    np.save(tmp_path / "a.npy", table(20, 20))
    data = (tmp_path / "a.npy").read_bytes()
    for content in (data[:-1], data[:40], b"", b"no array", data.replace(b"<f4", b"|O8")):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(ModelError, match=r"a\.npy: cannot be compiled\n  is not a \.npy array of numbers, or is truncated: "):
            open_tables(tmp_path)
    np.savez(tmp_path / "b.npz", table(2, 2))
    (tmp_path / "b.npz").rename(tmp_path / "a.npy")
    assert problems_of(open_tables, tmp_path) == ("is an archive of arrays; store one array per .npy file",)


# ---------------------------------------------------------------- check


def test_all_tables_that_do_not_fit_are_told_at_once():
    tables = {"user_idd": table(5, 4), "item": table(6, 8), "city": table(10, 4), "zzz": table(1, 1)}
    needed = {"user_id": need(4, 5, "user", "friend"), "item": need(4, 7, "item"), "city": need(4, 10), "hour": need(4, 24, "hour")}
    assert problems_of(check_tables, tables, needed, source="t.safetensors") == (
        "table 'user_id' is missing (used by user, friend); did you mean 'user_idd'?",
        "table 'item' is 8 wide where embedding_dim says 4 (used by item); correct either",
        "table 'item' has 6 rows, but the ids run to 6 (used by item); wanted at least 7 rows",
        "table 'hour' is missing (used by hour); wanted an array (24, 4)",
        "table 'user_idd' is used by no feature of the model; leave it out",
        "table 'zzz' is used by no feature of the model; leave it out",
    )


def test_tables_that_fit_pass_with_rows_to_spare():
    check_tables({"a": table(6, 4)}, {"a": need(4, 5)})


def test_tables_that_no_feature_uses_can_be_allowed():
    tables = {"a": table(5, 4), "b": table(5, 4)}
    assert len(problems_of(check_tables, tables, {"a": need(4, 5)})) == 1
    check_tables(tables, {"a": need(4, 5)}, allow_extra=True)


# ---------------------------------------------------------------- stack


def test_tables_of_one_width_are_stacked_in_the_order_of_need():
    tables = {"c": table(7, 4), "a": table(5, 4), "b": table(3, 8), "unused": table(9, 4)}
    needed = {"a": need(4, 5), "b": need(8, 3), "c": need(4, 2)}
    stacks = plan_stacks(needed, tables)
    assert stacks == (
        Stack(dim=4, names=("a", "c"), row_offsets=(0, 5), rows=12),
        Stack(dim=8, names=("b",), row_offsets=(0,), rows=3),
    )
    assert stacks[0].row_offset("c") == 5
    with pytest.raises(KeyError):
        stacks[0].row_offset("b")


def test_no_need_gives_no_stack():
    assert plan_stacks({}, {}) == ()


def test_a_written_stack_holds_every_table_at_its_offset_as_float32(tmp_path):
    tables = {
        "half": table(5, 4, np.float16),
        "turned": np.asfortranarray(table(6, 4)),
        "double": table(3, 4, np.float64),
        "every_second": table(8, 8)[::2, ::2],
        "big_endian": table(2, 4).astype(np.float32),
    }
    (stack,) = plan_stacks({name: need(4, array.shape[0]) for name, array in tables.items()}, tables)
    write_stack(stack, tables, tmp_path / "stack.f32")
    got = written(tmp_path / "stack.f32", 4)
    assert (tmp_path / "stack.f32").stat().st_size == stack.rows * 16
    for name, array in tables.items():
        first = stack.row_offset(name)
        np.testing.assert_array_equal(got[first : first + array.shape[0]], array.astype(np.float32))


def test_a_stack_is_written_in_bounded_memory(tmp_path, monkeypatch):
    chunk = 1 << 18
    monkeypatch.setattr("tvm_rank.frontend.write_stack.CHUNK_BYTES", chunk)
    rows = 20 * chunk // 64 + 3  # 20 chunks and a bit as float32
    file = np.lib.format.open_memmap(tmp_path / "t.npy", mode="w+", dtype=np.float64, shape=(rows, 16))
    file[::1000, 0] = np.arange(len(file[::1000]))
    file.flush()
    tables = open_tables({"t": np.load(tmp_path / "t.npy", mmap_mode="r")})
    (stack,) = plan_stacks({"t": need(16, rows)}, tables)
    tracemalloc.start()
    write_stack(stack, tables, tmp_path / "stack")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * chunk
    np.testing.assert_array_equal(written(tmp_path / "stack", 16), file.astype(np.float32))


def test_a_float64_beyond_float32_becomes_infinite_without_a_warning(tmp_path, recwarn):
    tables = {"t": np.array([[1e300, -1e300]])}
    write_stack(plan_stacks({"t": need(2, 1)}, tables)[0], tables, tmp_path / "stack")
    assert written(tmp_path / "stack", 2).tolist() == [[np.inf, -np.inf]]
    assert not recwarn.list
