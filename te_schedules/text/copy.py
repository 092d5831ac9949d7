"""Copy a text to another place."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


def emit(text, target):
    """Copy the bytes of `text` (`tokens.Text`) to the address `target`; gives the address behind them. The two do not overlap."""
    position = intrin.local("int64", 0)
    with T.While(position[0] + T.int64(8) <= text.length):
        intrin.store("int64", target + position[0], intrin.load("int64", text.address + position[0]))
        intrin.assign(position, position[0] + T.int64(8))
    with T.While(position[0] < text.length):
        intrin.store("uint8", target + position[0], intrin.load("uint8", text.address + position[0]))
        intrin.assign(position, position[0] + T.int64(1))
    return intrin.let(target + text.length)
