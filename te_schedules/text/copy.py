"""Copy a text to another place."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin


def emit(text, target):
    """Copy the bytes of `text` (`tokens.Text`) to the address `target`; gives the address behind them. The two do not overlap.

    The last words of a text overlap those before them: bytes one by one would cost more, and what then reads them as words waits.
    """
    source, length = text.address, text.length

    def move(dtype: str, at) -> None:
        intrin.store(dtype, target + at, intrin.load(dtype, source + at))

    with T.If(length >= T.int64(8)):
        with T.Then():
            position = intrin.local("int64", 0)
            with T.While(position[0] + T.int64(8) < length):
                move("int64", position[0])
                intrin.assign(position, position[0] + T.int64(8))
            move("int64", length - T.int64(8))
        with T.Else(), T.If(length >= T.int64(4)):
            with T.Then():
                move("int32", T.int64(0))
                move("int32", length - T.int64(4))
            with T.Else(), T.serial(T.int64(0), length) as k:
                move("uint8", k)
    return intrin.let(target + length)
