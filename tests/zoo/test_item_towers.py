"""Models over an item store: the tower of the item is computed ahead, and a tree of items is searched by its scorer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from zoo_models import by_onnxruntime

import tvm_rank
from tvm_rank import zoo
from tvm_rank.zoo import tdm
from tvm_rank.zoo.reference import inputs_of


def test_the_item_tower_of_dssm_is_computed_ahead(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("dssm")
    workload = zoo.build("dssm", folder, requests=1, items=20)
    items = workload.read_items(0).append_column("key", pa.array([f"k{n}" for n in range(20)]))
    given = {"features": workload.features, "model": workload.model, "tables": workload.tables}
    tvm_rank.compile(**given, items=items, item_key="key", materialize="dense").save(folder / "artifact")
    engine = tvm_rank.load(folder / "artifact")
    chosen = np.random.default_rng(0).permutation(20)[:9]
    scores = engine.rank(user=workload.read_user(0), item_ids=[f"k{n}" for n in chosen])["score"]
    np.testing.assert_allclose(scores, by_onnxruntime(workload)["score"][chosen], rtol=0, atol=1e-5)
    asked = {str(kernel["name"]) for kernel in engine.manifest.kernels if kernel["calls"]}
    assert not any(name.startswith("item_features") for name in asked)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[zoo.Workload, tvm_rank.Engine]:
    """The scorer of the tree with all its nodes."""
    folder = tmp_path_factory.mktemp("tdm")
    workload = zoo.build("tdm", folder, requests=2, items=5)
    given = {"features": workload.features, "model": workload.model, "tables": workload.tables}
    tvm_rank.compile(**given, items=tdm.nodes(), item_key=tdm.KEY, materialize="embeddings").save(folder / "artifact")
    return workload, tvm_rank.load(folder / "artifact")


def all_scores(workload: zoo.Workload, request: int) -> np.ndarray:
    """The score of every node by ONNX's evaluator."""
    user = workload.read_user(request).take([0] * tdm.NODES)
    columns = {name: user.column(name).combine_chunks() for name in user.column_names}
    columns[tdm.KEY] = tdm.nodes().column(tdm.KEY).combine_chunks()
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(workload.model)).run(None, inputs_of(workload, columns, tdm.NODES))[0][:, 0]


@pytest.mark.parametrize("request_number", [0, 1])
@pytest.mark.parametrize("beam", [1, 4, 64])
def test_a_beam_search_finds_what_the_same_search_by_the_reference_finds(tree, beam: int, request_number: int):
    workload, engine = tree
    wanted = all_scores(workload, request_number)
    level = np.zeros(1, np.int64)
    while len(below := tdm.children(level)):
        level = below[np.argsort(-wanted[below], kind="stable")][: max(beam, 3)]
    found, scores = tdm.beam_search(engine, workload.read_user(request_number), beam=beam, wanted=3)
    assert found.tolist() == level[:3].tolist()
    assert (found >= tdm.NODES // 2).all()
    np.testing.assert_allclose(scores, wanted[found], rtol=0, atol=1e-5)
    if beam == 64:  # all leaves are seen
        leaves = np.arange(tdm.NODES // 2, tdm.NODES)
        assert found.tolist() == leaves[np.argsort(-wanted[leaves], kind="stable")][:3].tolist()
