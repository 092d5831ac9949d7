"""A text as one int64 that says whether two texts can be equal: its own bytes while they fit, the hash of a longer one."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import hash_std, short

EXACT = 8  # bytes: of two such texts of one length, equal digests mean equal texts


def emit(text):
    """The digest (int64) of a text (`tokens.Text`). Reads only its bytes."""
    result = intrin.local("int64", 0)
    with T.If(text.length < T.int64(EXACT)):
        with T.Then(), T.If(text.length > T.int64(0)), T.Then():
            intrin.assign(result, short.load(text.address, text.length).signed)
        with T.Else(), T.If(text.length == T.int64(EXACT)):
            with T.Then():
                intrin.assign(result, intrin.load("int64", text.address))
            with T.Else():
                intrin.assign(result, hash_std.emit(text.address, text.length).signed)
    return intrin.let(result[0])
