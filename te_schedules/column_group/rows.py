"""The loop over the ids of one row, and over the elements of one embedding, which sinks share."""

from __future__ import annotations

from collections.abc import Callable

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

LANES = 16  # float32 in the widest vector of any CPU target; LLVM splits it where vectors are narrower


def row_ids(section, scope, row, accept: Callable, nothing: Callable[[], None] | None = None) -> None:
    """Emit `accept(id, weight)` for the ids that a row keeps: at most `limit`, or the defaults when the row gives none; `nothing()`
    when there are no defaults either."""
    count, limit = intrin.local("int64", 0), scope.int("limit")

    def keep(number, weight) -> None:
        with T.If(count[0] < limit), T.Then():
            accept(number, weight)
        intrin.assign(count, count[0] + T.int64(1))

    section.kind.emit_ids(scope, row, keep)
    with T.If(count[0] == T.int64(0)), T.Then():
        if nothing is not None:
            with T.If(scope.int("default_ids_count") == T.int64(0)), T.Then():
                nothing()
        with T.serial(scope.int("default_ids_count")) as k:
            accept(intrin.let(scope.int_at(scope.int("default_ids_at") + k)), T.float32(1))


def lanes(width: int, body: Callable) -> None:
    """Emit `body(position)` for positions 0 .. width - 1 in vectors of at most LANES."""
    whole, rest = divmod(width, LANES)
    if whole:
        with T.serial(T.int64(whole)) as chunk, T.vectorized(T.int64(LANES)) as lane:
            body(chunk * T.int64(LANES) + lane)
    if rest:
        with T.vectorized(T.int64(rest)) as lane:
            body(T.int64(whole * LANES) + lane)
