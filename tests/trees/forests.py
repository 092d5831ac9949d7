"""Random ensembles of trees, and the kernel over one of them, built by the pipeline that a model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tvm
from tvm import relax, tirx

from te_schedules.gpu.loops import threads_to_loops
from te_schedules.lower import PIPELINE
from te_schedules.trees import Aggregate, Ensemble, Mode, TreeKnobs
from te_schedules.trees.op import tree_ensemble

HOST = {"kind": "llvm", "mcpu": tvm.get_global_func("target.llvm_get_system_cpu")()}
VALUES = np.array([-np.inf, -1.5, -1.0, -0.0, 0.0, 1e-45, 0.5, 1.0, 2.0, 3.0, np.inf], np.float32)
MODES = tuple(mode for mode in Mode if mode != Mode.LEAF)


def forest(
    seed: int,
    *,
    modes: Sequence[Mode] = MODES,
    trees: int = 7,
    leaves: int = 12,
    features: int = 4,
    targets: int = 1,
    weights: int | None = 1,
    aggregate: Aggregate = Aggregate.SUM,
) -> Ensemble:
    """Trees of up to `leaves` leaves. weights: of each leaf, for the tree's target; None for any number, of any targets."""
    rng = np.random.default_rng(seed)
    rows: list[list] = []
    counts: list[int] = []
    members: list[np.ndarray] = []
    target: list[int] = []
    roots = []
    for tree in range(trees):
        roots.append(len(rows))
        rows.append([Mode.LEAF])
        open_ = [roots[-1]]
        for _ in range(int(rng.integers(0, leaves))):
            node = open_.pop(int(rng.integers(len(open_))))
            pair = [len(rows), len(rows) + 1]
            rng.shuffle(pair)
            rows[node] = [rng.choice(modes), rng.integers(features), rng.choice(VALUES), *pair, rng.random() < 0.5]
            rows += [[Mode.LEAF], [Mode.LEAF]]
            open_ += pair
        for node in range(roots[-1], len(rows)):
            is_leaf = rows[node][0] == Mode.LEAF
            count = 0 if not is_leaf else int(rng.integers(0, 4)) if weights is None else weights
            counts.append(count)
            target += [int(rng.integers(targets)) if weights is None else tree % targets for _ in range(count)]
            members.append(rng.choice(VALUES, int(rng.integers(0, 5))) if rows[node][0] == Mode.MEMBER else VALUES[:0])
    nodes = [row if len(row) > 1 else [Mode.LEAF, 0, 0.0, 0, 0, False] for row in rows]
    columns = [np.array(column) for column in zip(*nodes, strict=True)]
    return Ensemble(
        features=features,
        targets=targets,
        aggregate=aggregate,
        mode=columns[0].astype(np.int32),
        feature=columns[1].astype(np.int32),
        value=columns[2].astype(np.float32),
        yes=columns[3].astype(np.int32),
        no=columns[4].astype(np.int32),
        missing_yes=columns[5].astype(bool),
        member_start=np.concatenate([[0], np.cumsum([len(m) for m in members])]),
        members=np.concatenate(members).astype(np.float32),
        roots=np.array(roots, np.int32),
        weight_start=np.concatenate([[0], np.cumsum(counts)]),
        target=np.array(target, np.int32),
        weight=rng.normal(size=len(target)).astype(np.float32),
        base=rng.normal(size=targets),
    )


def rows_for(ensemble: Ensemble, count: int, seed: int = 0) -> np.ndarray:
    """Rows with the very numbers that the trees compare with, NaN among them, and others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, ensemble.features)).astype(np.float32)
    exact = rng.random(x.shape) < 0.6
    return np.where(exact, rng.choice(np.append(VALUES, np.float32(np.nan)), x.shape), x).astype(np.float32)


def machine(ensemble: Ensemble, knobs: TreeKnobs | None = None) -> relax.VirtualMachine:
    """A function `main` of x."""
    x = relax.Var("x", relax.TensorType([tirx.Var("N", "int64"), ensemble.features], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(tree_ensemble(x, ensemble, knobs)))
    mod = threads_to_loops(relax.transform.LegalizeOps()(builder.get()))
    return relax.VirtualMachine(relax.build(mod, target=tvm.target.Target(HOST), tir_pipeline=PIPELINE), tvm.cpu())
