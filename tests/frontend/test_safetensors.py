"""Safetensors files: mapped and not read, and refused when damaged."""

from __future__ import annotations

import json
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tvm_rank.errors import ModelError
from tvm_rank.frontend.tables import TableNeed, open_tables, plan_stacks
from tvm_rank.frontend.write_stack import write_stack


def table(rows: int, dim: int, dtype=np.float32) -> np.ndarray:
    """Row i, column j holds i + j / 100, so that every cell tells its place."""
    return (np.arange(rows)[:, None] + np.arange(dim) / 100).astype(dtype)


def problems_of(call, *args, **options) -> tuple[str, ...]:
    with pytest.raises(ModelError) as caught:
        call(*args, **options)
    return caught.value.problems


def need(dim: int, id_space: int, *used_by: str) -> TableNeed:
    return TableNeed(dim=dim, id_space=id_space, used_by=used_by or ("f",))


def raw_safetensors(path, header: object, data: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def entry(shape: list, begin: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_safetensors_file_is_mapped_and_not_read(tmp_path):
    path = tmp_path / "tables.safetensors"
    rows = 1 << 28  # 1 GiB of float32, 4 wide by 64 Mi rows, as a hole in a sparse file
    raw_safetensors(path, {"big": entry([rows // 4, 4], 0, rows * 4)})
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + rows * 4)
    tracemalloc.start()
    big = open_tables(str(path))["big"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert big.shape == (rows // 4, 4)
    assert not big.flags.owndata
    assert peak < 1 << 20
    assert big[-1].tolist() == [0, 0, 0, 0]


def test_bfloat16_is_opened_and_stacked_exactly(tmp_path):
    path = tmp_path / "tables.safetensors"
    values = np.array([[1.0, -2.5], [3.140625, 1e38]], dtype=ml_dtypes.bfloat16)
    raw_safetensors(path, {"t": entry([2, 2], 0, 8, "BF16")}, values.tobytes())
    tables = open_tables(path)
    (stack,) = plan_stacks({"t": need(2, 2)}, tables)
    write_stack(stack, tables, tmp_path / "stack")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "stack", "<f4").reshape(2, 2), values.astype(np.float32))


def test_a_header_of_odd_length_leaves_the_tables_readable(tmp_path):
    path = tmp_path / "tables.safetensors"
    header = json.dumps({"t": entry([3, 4], 0, 48)}).encode()
    raw_safetensors(path, header + b" " * (1 - len(header) % 2), table(3, 4).tobytes())
    tables = open_tables(path)
    assert not tables["t"].flags.aligned
    write_stack(plan_stacks({"t": need(4, 3)}, tables)[0], tables, tmp_path / "stack")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "stack", "<f4").reshape(3, 4), table(3, 4))


@pytest.mark.parametrize(
    ("header", "data", "text"),
    [
        (b"{not json", b"", "is not a safetensors file: its header is not JSON"),
        (b"\xff\xfe", b"", "is not a safetensors file: its header is not JSON"),
        ([1, 2], b"", "is not a safetensors file: its header is not a JSON object"),
        ({"t": 1}, b"", "tensor 't' has no dtype, shape and data_offsets in the header; the file is damaged"),
        (
            {"t": entry([2, -2], 0, 16)},
            b"\0" * 16,
            "tensor 't' has shape [2, -2] and data_offsets [0, 16], which are not sizes; the file is damaged",
        ),
        (
            {"t": entry([2, 2], 0, 16, "F8_E4M3")},
            b"\0" * 16,
            "tensor 't' has dtype 'F8_E4M3', which is not supported; store it as F32",
        ),
        ({"t": entry([2, 2], 0, 16)}, b"\0" * 15, "tensor 't' lies at bytes 0 to 16 of 15; the file is truncated or damaged"),
        ({"t": entry([2, 2], 16, 0)}, b"\0" * 16, "tensor 't' lies at bytes 16 to 0 of 16; the file is truncated or damaged"),
        ({"t": entry([2, 2], 0, 12)}, b"\0" * 16, "tensor 't' has 12 bytes where its shape and dtype need 16; the file is damaged"),
        (
            {"a": entry([2, 2], 0, 16), "b": entry([2, 2], 12, 28)},
            b"\0" * 28,
            "tensors 'a' and 'b' overlap; the file is damaged",
        ),
    ],
)
def test_a_damaged_safetensors_file_is_refused_with_the_reason(tmp_path, header, data, text):
    path = tmp_path / "tables.safetensors"
    raw_safetensors(path, header, data)
    with pytest.raises(ModelError) as caught:
        open_tables(path)
    assert caught.value.source == str(path)
    assert caught.value.problems == (text,)


def test_a_header_that_leaves_the_file_is_refused(tmp_path):
    path = tmp_path / "tables.safetensors"
    path.write_bytes(b"abc")
    assert problems_of(open_tables, path) == ("is not a safetensors file, or is truncated: a file of 3 bytes",)
    path.write_bytes((2**63).to_bytes(8, "little") + b"{}")
    wanted = f"is not a safetensors file, or is truncated: a header of {2**63} bytes in a file of 10"
    assert problems_of(open_tables, path) == (wanted,)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "tables.safetensors"
    save_file({"a": table(3, 4), "b": table(2, 4)}, path)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            open_tables(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_with_changed_bytes_opens_or_is_refused(tmp_path, data):
    path = tmp_path / "tables.safetensors"
    save_file({"a": table(3, 4), "b": table(2, 4)}, path)
    content = bytearray(path.read_bytes())
    for position, value in data.draw(st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), min_size=1, max_size=4)):
        content[position] = value
    path.write_bytes(content)
    try:
        tables = open_tables(path)
    except ModelError:
        return
    for array in tables.values():
        array.copy()
