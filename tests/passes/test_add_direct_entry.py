"""AddDirectEntry: what it adds, how it deals memory, and which functions it leaves to the virtual machine. What the added function computes
is in tests/artifact/test_direct.py."""

from __future__ import annotations

import itertools

import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from test_add_entries import both_sides
from test_lower_columns import Graph
from tvm import relax

from relay_passes.add_direct_entry import CONSTANTS, DIRECT, ENTRY, AddDirectEntry
from relay_passes.tensor_memory import Memory, dealt
from tvm_rank import pipeline
from tvm_rank.target import resolve


@pytest.fixture(scope="module")
def lowered() -> tvm.IRModule:
    """A module behind `CallTIRRewrite`."""
    target, graph = resolve("cpu").tvm_target, Graph()
    made = pipeline.phases(target)
    passes = [one for phase in ("inline", "graph", "legalize", "fuse") for one in made[phase]]
    with target:
        return tvm.transform.Sequential([*passes, *made["lower"][: _place(made["lower"])]])(graph.module(both_sides))


def _place(passes: list[tvm.transform.Pass]) -> int:
    return next(k for k, one in enumerate(passes) if isinstance(one, AddDirectEntry))


def _names(mod: tvm.IRModule) -> set[str]:
    return {var.name_hint for var in mod.get_global_vars()}


def test_both_functions_are_added_and_the_others_stay(lowered: tvm.IRModule):
    added = AddDirectEntry()(lowered)
    assert _names(added) == _names(lowered) | {DIRECT, CONSTANTS}
    assert len(added[DIRECT].params) == 1
    assert len(added[CONSTANTS].ret_ty.fields) >= 3  # ints, floats and bytes of features
    relax.analysis.well_formed(added)  # raises when it is not


def test_a_module_without_the_entry_stays_as_it_is(lowered: tvm.IRModule):
    others = tvm.IRModule({var: function for var, function in lowered.functions_items() if var.name_hint != ENTRY})
    assert _names(AddDirectEntry()(others)) == _names(others)


def test_a_result_that_no_kernel_writes_is_left_to_the_machine():
    builder = relax.BlockBuilder()
    given_tensor = relax.Var("given", relax.TensorType([4], "float32"))
    with builder.function(ENTRY, [given_tensor], attrs={"global_symbol": ENTRY}):
        builder.emit_func_output(relax.Tuple([given_tensor]))
    assert _names(AddDirectEntry()(builder.get())) == {ENTRY}


@settings(max_examples=60, deadline=None)
@given(lives=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 20), st.integers(0, 20), st.booleans()), max_size=30))
def test_tensors_that_are_used_at_the_same_time_lie_in_different_places(lives: list[tuple[int, int, int, bool]]):
    made = [
        Memory(size=size, is_kept=kept, first=min(a, b), last=max(a, b))
        for size, a, b, kept in sorted(lives, key=lambda x: min(x[1:3]))
    ]
    places = dealt(made, [])
    assert sorted(map(id, (part for place in places for part in place))) == sorted(map(id, made))
    for place in places:
        assert all(one.last < next_.first for one, next_ in itertools.pairwise(place))
        assert len(place) == 1 or not any(part.is_kept for part in place)
