"""The small model with an item store, by string keys and by int64 keys, and the same model without one."""

from __future__ import annotations

import pytest
from store_cases import Store, item_table, small_model

import tvm_rank


@pytest.fixture(scope="session", params=["string", "int64"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The small model with a store of each key type."""
    artifact = tvm_rank.compile(
        features=small_model.features(),
        model=small_model.model(),
        tables=small_model.tables(),
        items=item_table(request.param),
        item_key="key",
    )
    folder = tmp_path_factory.mktemp("store") / "artifact"
    artifact.save(folder)
    return Store(request.param, folder, artifact, tvm_rank.load(folder))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tvm_rank.Engine:
    """The small model without a store."""
    artifact = tvm_rank.compile(features=small_model.features(), model=small_model.model(), tables=small_model.tables())
    artifact.save(tmp_path_factory.mktemp("plain") / "artifact")
    return tvm_rank.load(tmp_path_factory.getbasetemp() / "plain0" / "artifact")
