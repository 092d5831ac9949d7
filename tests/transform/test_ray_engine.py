"""The parts that a local Ray cluster makes are those of a local run. Runs where Ray is installed."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

import pytest
from transform_cases import make_rows, read_out, transform, write_parquet

from tvm_rank.errors import RankError
from tvm_rank.transform import ray_engine
from tvm_rank.transform.plan import cut_parts
from tvm_rank.transform.source import open_source

ROOT = pathlib.Path(__file__).resolve().parents[2]
FG = {"features": [{"feature_name": "f_number", "feature_type": "id_feature", "expression": "item:number", "num_buckets": 500}]}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local Ray of one core, whose workers see this tree."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_a_ray_cluster_makes_the_parts_of_a_local_run(tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(bad=(450,)))
    options = {"part_bytes": 1, "keep": ["label"]}
    local = transform(FG, [path], tmp_path / "local", **options)
    spread = transform(FG, [path], tmp_path / "ray", engine="ray", **options)
    assert (spread.rows, spread.parts, spread.errors) == (local.rows, local.parts, local.errors)
    assert read_out(tmp_path / "ray").equals(read_out(tmp_path / "local"))
    assert transform(FG, [path], tmp_path / "ray", resume=True, **options).resumed == 4


def test_without_ray_the_message_says_what_to_install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = write_parquet(tmp_path / "rows.parquet", make_rows(10))
    with pytest.raises(RankError, match=r"pip install 'tvm-rank\[ray\]'"):
        transform(FG, [path], tmp_path / "out", engine="ray")


def test_a_part_travels_as_text(tmp_path: pathlib.Path):
    source, _ = open_source(write_parquet(tmp_path / "rows.parquet", make_rows()))
    for part in cut_parts([source], 1):
        assert ray_engine.decode_part(ray_engine.encode_part(part)) == part
