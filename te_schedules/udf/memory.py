"""The memory of a call: words that caller and procedure share, an arena that only grows, lists of numbers in it.

    state: STATUS STEPS RESULT COUNT CHUNK USED SIZE TOTAL OLDER chunk chunk ...
    list:  data length capacity                  elements of 8 bytes; what a function calls a list is the address of these words

The arena is a chain of chunks from TVM's workspace pool, each twice as large as the one before; a row begins with the largest alone.
`STATUS` says how a call ended; STEPS bounds the work of all calls for a row, MAX_MEMORY their memory.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory
from te_schedules.procedure import Procedure

Expr = Any


class State(IntEnum):
    """What each word of the state holds."""

    STATUS = 0  # see Status
    STEPS = 1  # iterations of loops that are left for the row
    RESULT = 2  # the result of a procedure: a number's bits, or an address
    COUNT = 3  # its count of code points, if it is a text
    CHUNK = 4  # address of the chunk in use,
    USED = 5  # bytes taken of it,
    SIZE = 6  # and its size
    TOTAL = 7  # bytes of all chunks
    OLDER = 8  # how many chunks came before, and from here on their addresses


class Status(IntEnum):
    """How a call ended."""

    VALUE = 0
    NO_VALUE = 1  # it returned None, or raised in Python
    WORK = 2  # more than MAX_STEPS
    MEMORY = 3  # more than MAX_MEMORY


MAX_STEPS = 2**27  # under a second
MAX_MEMORY = 2**29
FIRST_CHUNK, FIRST_OF_GPU = 2**16, 2**10  # a thread of a GPU has one row, and there are many of them
MAX_CHUNKS = 24  # each twice as large as the one before: 2**10 * 2**24 is beyond MAX_MEMORY
STATE_WORDS = int(State.OLDER) + 1 + MAX_CHUNKS
LIST_BYTES = 24
OWNER = STATE_WORDS + LIST_BYTES // 8  # the word behind the empty list, on a GPU: whose memory it is (`thread_memory.owner`)


def get(state: Expr, word: int) -> Expr:
    """A word of the state, bound."""
    return intrin.let(intrin.load("int64", state + T.int64(8 * int(word))))


def put(state: Expr, word: int, value: Expr) -> None:
    """Emit a write of a word of the state."""
    intrin.store("int64", state + T.int64(8 * int(word)), value)


def open_state() -> Expr:
    """The address of a new state, with its first chunk; emit `close_state` in the same thread."""
    on_gpu = intrin.on_gpu()
    first = FIRST_OF_GPU if on_gpu else FIRST_CHUNK
    state = intrin.let(thread_memory.take(8 * OWNER + (8 if on_gpu else 0)))
    if on_gpu:
        put(state, OWNER, thread_memory.owner_address())
    put(state, State.CHUNK, thread_memory.take(first))
    put(state, State.SIZE, T.int64(first))
    put(state, State.TOTAL, T.int64(first))
    put(state, State.OLDER, T.int64(0))
    return state


def begin_row(state: Expr) -> None:
    """Emit what comes before the calls for a row: all memory is free again, and all work is left."""
    _drop_older(state)
    put(state, State.USED, T.int64(0))
    put(state, State.TOTAL, get(state, State.SIZE))
    put(state, State.STATUS, T.int64(0))
    put(state, State.STEPS, T.int64(MAX_STEPS))


def close_state(state: Expr) -> None:
    """Give everything back."""
    _drop_older(state)
    thread_memory.give(get(state, State.CHUNK))
    thread_memory.give(state)


def _drop_older(state: Expr) -> None:
    with T.serial(get(state, State.OLDER)) as k:
        thread_memory.give(intrin.load("int64", state + (k + T.int64(int(State.OLDER) + 1)) * T.int64(8)))
    put(state, State.OLDER, T.int64(0))


def _emit_take(state, size) -> None:
    rounded = intrin.let(T.bitwise_and(size + T.int64(7), T.int64(-8)))
    fits = intrin.local("int64", 0)
    with T.If(T.And(size >= T.int64(0), size <= T.int64(MAX_MEMORY))), T.Then():
        intrin.assign(fits, T.cast(rounded <= get(state, State.SIZE) - get(state, State.USED), "int64"))
        with T.If(fits[0] == T.int64(0)), T.Then():
            grown = intrin.let(T.max(get(state, State.SIZE) * T.int64(2), rounded))
            older, total = get(state, State.OLDER), intrin.let(get(state, State.TOTAL) + grown)
            with T.If(T.And(total <= T.int64(MAX_MEMORY), older < T.int64(MAX_CHUNKS))), T.Then():
                intrin.store("int64", state + (older + T.int64(int(State.OLDER) + 1)) * T.int64(8), get(state, State.CHUNK))
                put(state, State.OLDER, older + T.int64(1))
                put(state, State.CHUNK, thread_memory.take(grown, get(state, OWNER) if intrin.on_gpu() else None))
                put(state, State.SIZE, grown)
                put(state, State.USED, T.int64(0))
                put(state, State.TOTAL, total)
                intrin.assign(fits, 1)
    with T.If(fits[0] == T.int64(0)):
        with T.Then():
            put(state, State.STATUS, T.int64(int(Status.MEMORY)))
            put(state, State.RESULT, T.int64(0))
        with T.Else():
            used = get(state, State.USED)
            put(state, State.RESULT, get(state, State.CHUNK) + used)
            put(state, State.USED, used + rounded)


TAKE = Procedure("rank_udf_take", dict.fromkeys(("state", "size"), "int64"), _emit_take)
"""RESULT: the address of `size` bytes of the arena; 0, and the status MEMORY, when there is too little."""


def take(state: Expr, size: Expr) -> Expr:
    """The address of memory of the arena; 0 when there is too little, and then the status says so."""
    TAKE.call(state, size)
    return get(state, State.RESULT)


def _emit_new_list(state, length, capacity) -> None:
    fits = T.And(T.And(length >= T.int64(0), capacity >= length), capacity <= T.int64(MAX_MEMORY // 8))
    size = intrin.let(T.if_then_else(fits, capacity * T.int64(8) + T.int64(LIST_BYTES), T.int64(-1)))
    header = intrin.local("int64", take(state, size))
    known = intrin.local("int64", length)
    with T.If(header[0] == T.int64(0)), T.Then():  # an empty list stands for it; the status ends the call
        intrin.assign(header, state + T.int64(8 * STATE_WORDS))
        intrin.assign(known, 0)
    at = intrin.let(header[0])
    intrin.store("int64", at, at + T.int64(LIST_BYTES))
    intrin.store("int64", at + T.int64(8), known[0])
    intrin.store("int64", at + T.int64(16), T.if_then_else(known[0] == length, capacity, T.int64(0)))
    put(state, State.RESULT, at)


NEW_LIST = Procedure("rank_udf_new_list", dict.fromkeys(("state", "length", "capacity"), "int64"), _emit_new_list)
"""RESULT: a list of `length` elements that are not set; an empty one, and the status MEMORY, when there is too little memory."""


def new_list(state: Expr, length: Expr, capacity: Expr | None = None) -> Expr:
    """The address of a new list."""
    NEW_LIST.call(state, length, length if capacity is None else capacity)
    return get(state, State.RESULT)


def length_of(items: Expr) -> Expr:
    """The length of a list."""
    return intrin.let(intrin.load("int64", items + T.int64(8)))


def element_address(items: Expr, index: Expr) -> Expr:
    """The address of an element that is there."""
    return intrin.let(intrin.load("int64", items)) + index * T.int64(8)


def _emit_append(state, items, bits) -> None:
    length = length_of(items)
    capacity = intrin.let(intrin.load("int64", items + T.int64(16)))
    room = intrin.local("int64", T.cast(length < capacity, "int64"))
    with T.If(room[0] == T.int64(0)), T.Then():
        wanted = intrin.let(T.max(capacity * T.int64(2), T.int64(8)))
        data = take(state, intrin.let(wanted * T.int64(8)))
        with T.If(data != T.int64(0)), T.Then():
            old = intrin.let(intrin.load("int64", items))
            with T.serial(length) as k:
                intrin.store("int64", data + k * T.int64(8), intrin.load("int64", old + k * T.int64(8)))
            intrin.store("int64", items, data)
            intrin.store("int64", items + T.int64(16), wanted)
            intrin.assign(room, 1)
    with T.If(room[0] != T.int64(0)), T.Then():
        intrin.store("int64", element_address(items, length), bits)
        intrin.store("int64", items + T.int64(8), length + T.int64(1))


APPEND = Procedure("rank_udf_append", dict.fromkeys(("state", "items", "bits"), "int64"), _emit_append)
"""Put an element behind the last; the status is MEMORY when there is too little."""
