"""CommonFeatures, and what LowerColumns makes of it: a chain is computed once, whatever reads it, and the results are the same."""

from __future__ import annotations

import json

import numpy as np
import tvm
from test_lower_columns import DIM, IDS, ITEM_COLUMNS, STACKS, WIDE, Graph, calls, run
from tvm import relax

from relay_passes.common_features import CommonFeatures
from relay_passes.lower_columns import GROUPS, LowerColumns
from te_schedules.column_group import op
from te_schedules.column_group.kernel import Knobs
from te_schedules.column_group.table_format import TableFormat
from tvm_rank.config.load import load_config
from tvm_rank.ops import lookup
from tvm_rank.ops.dag import references

IDENTITY = {"feature_type": "id_feature", "expression": "item:ids", "num_buckets": IDS, "default_value": "1"}
HASHED = {"feature_type": "id_feature", "expression": "item:others", "hash_bucket_size": IDS, "default_value": "7"}
NUMBER = {"feature_type": "raw_feature", "expression": "item:number", "value_dim": 2}
FEATURES = {
    "a": HASHED,
    "b": HASHED,  # the chain of a under another name
    "other": HASHED | {"need_prefix": True},  # the prefix is its name
    "shorter": HASHED | {"value_dim": 1},
    "kept": HASHED | {"expression": "item:ids"},
    "reader": {"feature_type": "id_feature", "expression": "feature:kept", "num_buckets": IDS},
    "same_reader": {"feature_type": "id_feature", "expression": "feature:also_kept", "num_buckets": IDS},
    "also_kept": HASHED | {"expression": "item:ids"},
    "x": NUMBER,
    "y": NUMBER,
    "u": {"feature_type": "id_feature", "expression": "user:ids", "num_buckets": IDS},  # the table of the request has a field
}
HASH = "14313749767032793493"  # the factor of MurmurHash64A, 0xc6a4a7935bd1e995


class Common(Graph):
    """A graph over the features of this file; `feature` emits those that it reads."""

    def __init__(self) -> None:
        super().__init__(FEATURES)
        self.made: dict[str, relax.Var] = {}

    def feature(self, name: str) -> relax.Var:
        if name not in self.made:
            side, column = self.features[name].is_request, self.columns[name]
            inputs = [self.feature(other) for other in column.inputs]
            self.made[name] = self.bb.emit(op.feature(self.tables[side], self.rows[side], column, inputs))
        return self.made[name]


def two_tables(g: Graph) -> list:
    """One chain and two tables, next to two chains of other constants."""
    return [*one_chain(g), g.concat(g.lookup("other", DIM), g.lookup("shorter", DIM))]


def one_chain(g: Graph) -> list:
    return [g.concat(g.lookup("a", DIM), g.lookup("b", WIDE, combiner="sum", row=3))]


def same_lookup(g: Graph) -> list:
    """The same embeddings in two inputs, each with something of its own, and by themselves."""
    return [g.concat(g.lookup("a", DIM), g.feature("x")), g.concat(g.lookup("other", DIM), g.lookup("b", DIM)), g.lookup("a", DIM)]


def same_numbers(g: Graph) -> list:
    return [g.concat(g.feature("x"), g.lookup("a", DIM)), g.concat(g.lookup("shorter", DIM), g.feature("y"), g.feature("x"))]


def first_ids(g: Graph) -> list:
    """Ids as they are, and their embeddings."""
    return [g.bb.emit(op.first_id(g.feature("a"))), g.lookup("b", DIM, combiner="max"), g.lookup("b", DIM, combiner="sqrtn")]


def read_by_features(g: Graph) -> list:
    """Features that read equal features, and the model that reads these too."""
    return [g.concat(g.lookup("reader", DIM), g.lookup("same_reader", WIDE)), g.lookup("also_kept", DIM, combiner="sum")]


BUILDS = (two_tables, same_lookup, same_numbers, first_ids, read_by_features)


def everything(g: Graph) -> list:
    return [result for build in BUILDS for result in build(g)]


def expected_results() -> list[np.ndarray]:
    """What the definitions say of `everything`."""
    config = load_config({"features": [{"feature_name": name, **keys} for name, keys in FEATURES.items() if name != "u"]})
    outputs = references(config, ITEM_COLUMNS, 5)
    x = outputs["x"].dense

    def embedding(name: str, dim: int, combiner: str = "mean", row: int = 0) -> np.ndarray:
        return lookup.reference(outputs[name].values, outputs[name].lengths, None, STACKS[dim][row : row + IDS], combiner)

    a = embedding("a", DIM)
    first = outputs["a"].values[np.cumsum(outputs["a"].lengths) - outputs["a"].lengths]
    return [
        np.hstack([a, embedding("a", WIDE, "sum", 3)]),
        np.hstack([embedding("other", DIM), embedding("shorter", DIM)]),
        np.hstack([a, x]),
        np.hstack([embedding("other", DIM), a]),
        a,
        np.hstack([x, a]),
        np.hstack([embedding("shorter", DIM), x, x]),
        first[:, None],
        embedding("a", DIM, "max"),
        embedding("a", DIM, "sqrtn"),
        np.hstack([embedding("reader", DIM), embedding("reader", WIDE)]),
        embedding("kept", DIM, "sum"),
    ]


def test_results_are_those_of_the_definitions_when_equal_features_are_computed_once():
    wanted = expected_results()
    got = run(Common().module(everything), FEATURES)
    assert len(got) == len(wanted) + 1
    assert not got[-1].any(), "a status refuses a row"
    for left, right in zip(got, wanted, strict=False):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)
        assert np.ptp(right.astype(float), axis=0).max() > 0


def hash_chains(build, *, together: bool) -> tuple[int, int]:
    """(how often the factor of the hash stands in the kernel of the items, columns that are hashed)."""
    mod = Common().module(build)
    mod = CommonFeatures()(mod) if together else mod
    mod = LowerColumns(knobs=Knobs() if together else Knobs(intermediates="recomputed"))(mod)
    groups = [group for group in json.loads(str(mod["main"].attrs[GROUPS])) if "hash_std" in group["kind"]]
    return mod["item_features"].script().count(HASH), sum(group["columns"] for group in groups)


def test_two_lookups_of_one_chain_hash_once():
    apart, together = (hash_chains(one_chain, together=on) for on in (False, True))
    assert apart[0] == 2 * together[0] > 0
    assert (apart[1], together[1]) == (2, 1)


def test_a_feature_that_features_and_the_model_read_is_hashed_once():
    apart, together = (hash_chains(read_by_features, together=on) for on in (False, True))
    assert (apart[1], together[1]) == (3, 1)  # of kept, of also_kept, and of that for the model
    assert apart[0] == 2 * together[0]  # the two that are kept share a loop


def test_equal_lookups_are_copied():
    apart, together = (hash_chains(same_lookup, together=on) for on in (False, True))
    assert (apart[1], together[1]) == (4, 2)  # a three times, and the one with a prefix
    lowered = LowerColumns()(CommonFeatures()(Common().module(same_lookup)))
    assert calls(lowered)["relax.concat"] == 0
    assert lowered["item_features"].script().count("rank_copy") > LowerColumns()(Common().module(two_tables))[
        "item_features"
    ].script().count("rank_copy")


def test_equal_features_become_one_and_others_stay():
    before = Common().module(two_tables)
    after = CommonFeatures()(before)
    assert (calls(before)["rank.id_feature"], calls(after)["rank.id_feature"]) == (4, 3)
    assert calls(after)["rank.lookup"] == 4
    assert calls(CommonFeatures()(Common().module(same_numbers)))["rank.raw_feature"] == 1


def test_readers_of_equal_features_are_equal():
    after = CommonFeatures()(Common().module(read_by_features))
    assert calls(after)["rank.id_feature"] == 2
    (reader,) = [b.value for b in after["main"].body.blocks[0].bindings if op.is_feature(b.value) and op.inputs_of(b.value)]
    assert op.decode(reader).inputs == ("kept",)


def expected(g: Graph) -> list:
    """What `two_tables` is with its equal features made one."""
    ids = g.feature("a")
    left = g.bb.emit(op.lookup(ids, g.stacks[DIM], TableFormat("fp32", DIM), combiner="mean", table="t0", table_row=0))
    right = g.bb.emit(op.lookup(ids, g.stacks[WIDE], TableFormat("fp32", WIDE), combiner="sum", table="t3", table_row=3))
    return [g.concat(left, right), g.concat(g.lookup("other", DIM), g.lookup("shorter", DIM))]


def test_the_graph_behind_the_pass():
    tvm.ir.assert_structural_equal(CommonFeatures()(Common().module(two_tables)), Common().module(expected))


def all_different(g: Graph) -> list:
    return [g.concat(g.lookup("a", DIM), g.lookup("other", DIM), g.lookup("shorter", WIDE), g.feature("x"))]


def test_a_graph_of_different_features_is_left_alone():
    before = Common().module(all_different)
    assert CommonFeatures()(before).same_as(before)
