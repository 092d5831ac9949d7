"""One configuration, its columns, and its program, compiled once for all tests of `transform`."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transform_cases import FG

from tvm_rank.features import program_of
from tvm_rank.transform import job, plan


@functools.cache
def _compiled(text: str, hash_function: str) -> Any:
    configuration = plan.read_configuration(json.loads(text), hash_function=hash_function, base_dir=".")
    return program_of(configuration.config, threads=1)


@pytest.fixture(autouse=True)
def compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are kept between tests: compiling takes seconds."""

    def compiled(configuration: plan.Configuration, _target: object, _threads: int) -> Any:
        return _compiled(json.dumps(configuration.contents), configuration.config.hash_function)

    monkeypatch.setattr(job, "_compiled", compiled)


@pytest.fixture
def fg_file(tmp_path: pathlib.Path) -> pathlib.Path:
    """FG as a file."""
    path = tmp_path / "fg.json"
    path.write_text(json.dumps(FG))
    return path


@pytest.fixture(scope="session")
def expected() -> Callable[[pa.Table], pa.Table]:
    """`expected(table)`: the columns of FG's features as the program itself gives them for all rows in one call."""

    def columns(table: pa.Table) -> pa.Table:
        out = _compiled(json.dumps(FG), "std")({name: table.column(name) for name in ("city", "tags", "number", "price", "vector")})

        def lists(name: str, part: str = "values") -> list[Any]:
            ends = np.cumsum(out[name].lengths)[:-1]
            return [piece.tolist() for piece in np.split(getattr(out[name], part), ends)]

        return pa.table(
            {
                "user_id": table.column("user_id"),
                "f_city": pa.array(lists("f_city"), pa.list_(pa.int64())),
                "f_first": pa.array(out["f_first"].values),
                "f_tags": pa.array(lists("f_tags"), pa.list_(pa.int64())),
                "f_tags__weights": pa.array(lists("f_tags", "weights"), pa.list_(pa.float32())),
                "f_number": pa.array(lists("f_number"), pa.list_(pa.int64())),
                "f_price": pa.array(out["f_price"].dense[:, 0]),
                "f_vector": pa.FixedSizeListArray.from_arrays(pa.array(out["f_vector"].dense.reshape(-1)), 3),
                "f_level": pa.array(out["f_level"].values),
            }
        ).combine_chunks()

    return columns
