"""Model inputs find their features by name, and all that does not fit is told at once."""

from __future__ import annotations

import pytest

from tvm_rank.config.spec import Boundaries, Embedding, Feature, FeatureConfig, HashBucket, NumBuckets, Sequence
from tvm_rank.config.types.combo_feature import ComboFeature
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.config.types.overlap_feature import OverlapFeature
from tvm_rank.config.types.raw_feature import RawFeature
from tvm_rank.errors import ModelError
from tvm_rank.frontend.binding import Binding, bind_inputs, feature_width, table_needs, unused_features
from tvm_rank.frontend.dense_model import ModelInput
from tvm_rank.frontend.tables import TableNeed


def embedding(dim: int, table: str = "t") -> Embedding:
    return Embedding(table=table, dim=dim, combiner="sum")


def id_feature(name: str, *, size: int = 10, **keys) -> IdFeature:
    keys = {"default_value": "0", "bucketizer": HashBucket(size=size), **keys}
    return IdFeature(name=name, path=f"features[{name}]", **keys)


def raw_feature(name: str, **keys) -> RawFeature:
    return RawFeature(name=name, path=f"features[{name}]", **{"default_value": "0", "value_dim": 1, **keys})


def config(*features: Feature) -> FeatureConfig:
    return FeatureConfig(features=features)


def floats(name: str, *shape: int) -> ModelInput:
    return ModelInput(name=name, dtype="float32", shape=shape)


def ids(name: str, *shape: int, rows: int | None = None) -> ModelInput:
    return ModelInput(name=name, dtype="int64", shape=shape, rows=rows)


def problems_of(inputs: list[ModelInput], *features: Feature) -> tuple[str, ...]:
    with pytest.raises(ModelError) as caught:
        bind_inputs(inputs, config(*features), "model.onnx")
    assert caught.value.source == "model.onnx"
    return caught.value.problems


def problem_of(entry: ModelInput, *features: Feature) -> str:
    (problem,) = problems_of([entry], *features)
    return problem


# ---------------------------------------------------------------- what binds


def test_an_input_binds_to_the_feature_of_its_name_before_the_group():
    feature = raw_feature("user")
    member = raw_feature("age", group="user")
    (binding,) = bind_inputs([floats("user", 1)], config(member, feature), "m")
    assert binding == Binding(input=floats("user", 1), kind="value", features=(feature,))


def test_a_group_is_its_features_in_configuration_order():
    features = (
        id_feature("b", embedding=embedding(16), group="user"),
        raw_feature("other", value_dim=5),
        raw_feature("a", value_dim=3, group="user"),
        OverlapFeature(name="o", path="p", default_value="", method="query_common_ratio", group="user"),
        raw_feature("c", bucketizer=Boundaries(values=(1.0,)), embedding=embedding(4), value_dim=1, group="user"),
    )
    (binding,) = bind_inputs([floats("user", 16 + 3 + 1 + 4)], config(*features), "m")
    assert [feature.name for feature in binding.features] == ["b", "a", "o", "c"]
    assert [feature_width(feature) for feature in binding.features] == [16, 3, 1, 4]


@pytest.mark.parametrize("shape", [(), (1,)])
def test_an_int64_input_binds_to_the_id_of_one_feature(shape):
    for feature in (
        id_feature("x"),
        raw_feature("x", bucketizer=Boundaries(values=(1.0, 2.0)), default_value=""),
        ComboFeature(name="x", path="p", default_value="a_b", bucketizer=NumBuckets(size=3)),
        id_feature("member", group="x"),
    ):
        (binding,) = bind_inputs([ids("x", *shape)], config(feature), "m")
        assert binding.kind == "id"
        assert binding.features == (feature,)


def test_bindings_keep_the_order_of_the_inputs_and_may_share_features():
    features = (id_feature("a", embedding=embedding(2)), raw_feature("b"))
    bindings = bind_inputs([floats("b", 1), ids("a"), floats("a", 2)], config(*features), "m")
    assert [(binding.input.name, binding.kind) for binding in bindings] == [("b", "value"), ("a", "id"), ("a", "value")]


# ---------------------------------------------------------------- what does not


def test_a_name_that_is_neither_tells_the_nearest():
    features = (raw_feature("user_age"), raw_feature("price", group="item"))
    assert problem_of(floats("User_agee", 1), *features) == (
        "input 'User_agee' is neither a feature nor a group of fg.json; did you mean 'user_age'?"
    )
    assert (
        problem_of(floats("items", 1), *features)
        == "input 'items' is neither a feature nor a group of fg.json; did you mean 'item'?"
    )
    assert problem_of(floats("input.1", 1), *features) == (
        "input 'input.1' is neither a feature nor a group of fg.json; name the graph input after the feature or the group that "
        "feeds it"
    )


def test_a_width_that_does_not_match_lists_the_width_of_each_feature():
    features = (id_feature("id", embedding=embedding(16), group="user"), raw_feature("age", value_dim=3, group="user"))
    assert problem_of(floats("user", 20), *features) == (
        "input 'user' is 20 wide, but its features are 19 wide (id 16, age 3); correct embedding_dim, value_dim or the members "
        "of the group, or export the model for this width"
    )


def test_features_without_a_float_value_are_refused_with_advice():
    features = (
        id_feature("id", group="user"),
        id_feature("text", bucketizer=None, group="user"),
        raw_feature("age", bucketizer=Boundaries(values=(1.0,)), group="user"),
        id_feature("lost", bucketizer=None, embedding=embedding(4), group="user"),
    )
    ids_only = "makes ids without an embedding; give it an embedding_dim"
    neither = "makes neither numbers nor ids; give it a bucketizer such as hash_bucket_size, and an embedding_dim"
    assert problems_of([floats("user", 20)], *features) == (
        f"input 'user' is float, but 'id' (features[id]) {ids_only}",
        f"input 'user' is float, but 'text' (features[text]) {neither}",
        f"input 'user' is float, but 'age' (features[age]) {ids_only}",
        f"input 'user' is float, but 'lost' (features[lost]) {neither}",
    )


def test_an_id_input_needs_a_feature_with_an_id_for_every_row():
    where = "input 'x' is int64, but 'x' (features[x])"
    assert problem_of(ids("x"), raw_feature("x")) == (
        f"{where} makes no ids; give it a bucketizer such as hash_bucket_size or boundaries, or make the input float"
    )
    assert (
        problem_of(ids("x"), id_feature("x", default_value=""))
        == f"{where} has no id for a row without a value; give it a default_value"
    )
    combo = ComboFeature(name="x", path="features[x]", default_value="", bucketizer=HashBucket(size=3))
    assert problem_of(ids("x"), combo) == f"{where} has no id for a row without a value; give it a default_value"
    assert problem_of(ids("x"), raw_feature("x", value_dim=2, bucketizer=Boundaries(values=(1.0,)))) == (
        f"{where} makes 2 ids per item; set value_dim to 1, or make the input float"
    )
    assert problem_of(ids("x"), id_feature("x", weighted=True)) == (
        f"{where} is weighted, and an id has no weight; make the input float with an embedding_dim"
    )


def test_an_id_input_of_a_group_of_several_features_is_refused():
    problem = problem_of(ids("user"), id_feature("a", group="user"), id_feature("b", group="user"))
    assert problem == "input 'user' is int64, one id per item, but the group has 2 features (a, b); make one input per feature"


def test_an_id_space_larger_than_the_table_in_the_model_is_refused():
    assert problem_of(ids("x", rows=9), id_feature("x", size=10)) == (
        "input 'x' indexes 9 rows in the model, but the ids of 'x' run to 9; make the id space smaller, or export the model with "
        "a larger table"
    )
    assert len(bind_inputs([ids("x", rows=10)], config(id_feature("x", size=10)), "m")) == 1


def sequence(name: str, length: int = 50, **keys) -> IdFeature:
    return id_feature(name, sequence=Sequence(length=length, delimiter=";", splits=(True,)), value_dim=1, **keys)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (floats("s", 50, 12), "elements"),
        (floats("s", 12), "value"),
        (ids("a", 50), "element_ids"),
        (floats("s__mask", 50), "mask"),
        (ids("s__mask", 50), "mask"),
        (ids("a__length"), "length"),
        (floats("s__length", 1), "length"),
    ],
)
def test_an_input_of_a_sequence_is_bound_by_its_name_type_and_shape(entry, kind):
    features = (sequence("a", embedding=embedding(4), group="s"), sequence("b", embedding=embedding(8), group="s"))
    (binding,) = bind_inputs([entry], config(*features), "model.onnx")
    assert binding.kind == kind
    assert [f.name for f in binding.features] == (["a", "b"] if kind in ("elements", "value") else ["a"])


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            floats("s", 40, 4),
            "is (N, 40, 4), but 's' (features[s]) keeps 50 elements; set sequence_length to 40, or export the model",
        ),
        (floats("s", 50, 5), "is 5 wide, but its features are 4 wide (s 4); correct embedding_dim or value_dim"),
        (floats("x", 50, 4), "is (N, 50, 4), but 'x' (features[x]) is no sequence; put it into another group"),
        (ids("s"), "is int64, but 's' (features[s]) is a sequence; make the input (N, sequence_length)"),
        (ids("s", 5), "is (N, 5), but 's' (features[s]) keeps 50 elements; set sequence_length to 5, or export the model"),
        (ids("s__length", 5), "is (N, 5); wanted (N) or (N, 1), the elements of each row"),
        (floats("s__mask", 5), "is (N, 5), but 's' (features[s]) keeps 50 elements; set sequence_length to 5"),
        (floats("x__mask", 5), "is named like the mask of a sequence that fg.json does not have"),
    ],
)
def test_an_input_that_does_not_fit_its_sequence_is_told_why(entry, text):
    problem = problem_of(entry, sequence("s", embedding=embedding(4)), id_feature("x", embedding=embedding(4)))
    assert problem.startswith(f"input '{entry.name}' {text}")


def test_a_feature_may_be_named_like_the_mask_of_a_sequence():
    assert len(bind_inputs([floats("x__mask", 1)], config(raw_feature("x__mask")), "m")) == 1


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (floats("x"), "input 'x' is float (N); wanted (N, d): export it with one axis after the batch"),
        (floats("x", 1, 1, 1), "input 'x' is float (N, 1, 1, 1); wanted (N, d): export it with one axis after the batch"),
        (ids("x", 1, 1), "input 'x' is int64 (N, 1, 1); wanted (N) or (N, 1), one id per item"),
    ],
)
def test_other_shapes_are_refused(entry, text):
    assert problem_of(entry, raw_feature("x")) == text


def test_the_problems_of_all_inputs_are_told_at_once():
    problems = problems_of([floats("nothing", 1), floats("x", 2), ids("x"), floats("y", 1)], raw_feature("x"), raw_feature("y"))
    assert [problem.split("'")[1] for problem in problems] == ["nothing", "x", "x"]


# ---------------------------------------------------------------- tables


def test_tables_are_needed_with_the_largest_id_space_of_their_features():
    features = (
        id_feature("a", size=10, embedding=embedding(4, "shared"), group="g"),
        raw_feature("r", group="g"),
        id_feature("b", size=30, embedding=embedding(4, "shared"), group="g"),
        id_feature("c", size=5, embedding=embedding(8, "own"), group="g"),
        id_feature("looked_up_in_the_model", size=99, embedding=embedding(8, "not_needed")),
        id_feature("unbound", size=99, embedding=embedding(8, "not_needed_either")),
    )
    bindings = bind_inputs([floats("g", 17), floats("a", 4), ids("looked_up_in_the_model")], config(*features), "m")
    assert table_needs(bindings) == {
        "shared": TableNeed(dim=4, id_space=30, used_by=("a", "b")),
        "own": TableNeed(dim=8, id_space=5, used_by=("c",)),
    }


def test_a_shared_table_with_two_widths_is_refused():
    features = (id_feature("a", embedding=embedding(4), group="g"), id_feature("b", embedding=embedding(8), group="g"))
    bindings = bind_inputs([floats("g", 12)], config(*features), "m")
    with pytest.raises(ModelError) as caught:
        table_needs(bindings)
    assert caught.value.problems == (
        "table 't' is shared with different embedding_dim (a 4, b 8); give them one, or their own tables",
    )


def test_unused_features_are_told_in_configuration_order():
    features = (raw_feature("z"), raw_feature("b", group="g"), raw_feature("a"))
    bindings = bind_inputs([floats("g", 1)], config(*features), "m")
    assert unused_features(config(*features), bindings) == ("z", "a")
    assert unused_features(config(), ()) == ()


def test_the_binding_does_not_import_tvm():
    import subprocess
    import sys

    code = "import sys, tvm_rank.frontend.binding, tvm_rank.frontend.tables; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
