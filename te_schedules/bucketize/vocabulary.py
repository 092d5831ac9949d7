"""vocab_list, vocab_dict, vocab_file: id = the entry of the text, or a default.

The words lie in an open-addressed table that is built at compile time: slots of (hash, id, place, length), linear probing, at most
half full. A lookup hashes the text, compares the hash, the length and then the bytes, so it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import hash_std
from te_schedules.text.equal import emit as equal
from te_schedules.tokens import Text

SLOT = 4  # hash, id, place of the word in the byte array, length (-1: the slot is empty)


def arrays(entries: Sequence[tuple[bytes, int]], hash_std_of: Callable[[bytes], int]) -> dict[str, np.ndarray]:
    """The constant arrays of a column from distinct (word, id) pairs; `hash_std_of` gives the uint64 hash of a word."""
    size = 1 << max(1, (2 * len(entries) - 1).bit_length())
    slots = np.zeros((size, SLOT), np.int64)
    slots[:, 3] = -1
    place = 0
    for word, number in entries:
        hashed = hash_std_of(word)
        at = hashed % size
        while slots[at, 3] >= 0:
            at = (at + 1) % size
        slots[at] = (hashed - 2**64 if hashed >= 2**63 else hashed, number, place, len(word))
        place += len(word)
    words = np.frombuffer(b"".join(word for word, _ in entries), np.uint8)
    return {"slots": slots.reshape(-1), "words": words}


def emit(scope, text: Text):
    """The id (int64) of a text."""
    hashed = hash_std.emit(text.address, text.length)
    signed = intrin.let(T.reinterpret("int64", hashed.expr))
    mask = intrin.let(scope.int("slots_count") // T.int64(SLOT) - T.int64(1))
    at = intrin.local("int64", T.bitwise_and(signed, mask))
    found = intrin.local("int64", scope.int("unknown"))
    going = intrin.local("int32", 1)
    with T.While(going[0] == 1):
        slot = intrin.let(scope.int("slots_at") + at[0] * T.int64(SLOT))
        length = intrin.let(scope.int_at(slot + T.int64(3)))
        with T.If(length < T.int64(0)):
            with T.Then():
                intrin.assign(going, 0)
            with T.Else(), T.If(T.And(scope.int_at(slot) == signed, length == text.length)), T.Then():
                word = intrin.let(scope.bytes_address(scope.int("words_at") + scope.int_at(slot + T.int64(2))))
                with T.If(equal(Text(word, length), text)), T.Then():
                    intrin.assign(found, scope.int_at(slot + T.int64(1)))
                    intrin.assign(going, 0)
        intrin.assign(at, T.bitwise_and(at[0] + T.int64(1), mask))
    return intrin.let(found[0])
