"""Memory that code takes for itself while it runs, because only then its size is known."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

_owner: contextvars.ContextVar[Any] = contextvars.ContextVar("owner")  # of the threads of the kernel that is being built
OWN_BYTES, _OWNER_WORDS = 2048, 4  # as `rank_take_memory` has them


@contextlib.contextmanager
def owner(status) -> Iterator[None]:
    """Emit, on a GPU, what a thread needs to `take` here: OWN_BYTES of local memory, and what it does where the device's heap has
    no more: it gives back all that it has, writes its refusal (`own_row`) to the address `status` (int64), and ends."""
    words = intrin.array(_OWNER_WORDS + OWN_BYTES // 8, "int64")
    for k, word in enumerate((T.int64(0), status, T.int64(0), T.int64(0))):
        T.buffer_store(words, word, [k])
    token = _owner.set(words)
    try:
        yield
    finally:
        _owner.reset(token)
    intrin.keep(words)


def own_row(refusal) -> None:
    """Emit what a thread inside of `owner` writes (int64; see `store_last`) where there is no memory for what it does from here on."""
    T.buffer_store(_owner.get(), refusal, [2])


def owner_address():
    """The address (int64) of what `owner` made, for procedures that take memory."""
    assert _owner.get(None) is not None, "a kind that takes memory says so (`Kind.takes_memory`)"
    return intrin.address_of(_owner.get())


def take(size, of=None):
    """The address (int64) of `size` bytes, for a size known only at run time; give it back in the same thread. On a CPU they are of TVM's
    workspace pool. On a GPU, inside of `owner` or, in a procedure, with its address: of the thread's own memory, or the device's heap."""
    if intrin.on_gpu():
        return T.bind(T.call_extern("int64", "rank_take_memory", owner_address() if of is None else of, T.cast(size, "int64")))
    handle = T.call_extern(
        "handle", "TVMBackendAllocWorkspace", T.int32(1), T.int32(0), T.cast(size, "uint64"), T.int32(0), T.int32(8)
    )
    return T.bind(T.reinterpret("int64", handle))


def give(address) -> None:
    """Emit the return of memory that `take` gave; the pool takes it back in the reverse order."""
    if intrin.on_gpu():
        T.evaluate(T.call_extern("void", "rank_give_memory", owner_address(), address))
        return
    T.evaluate(T.call_extern("int32", "TVMBackendFreeWorkspace", T.int32(1), T.int32(0), T.reinterpret("handle", address)))
