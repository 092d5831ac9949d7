"""A text as one int64 that says whether two texts can be equal: its own bytes while they fit, the hash of a longer one.

Most keys have at most 16 bytes. Their digest with a secret is made without a branch on the length: two words, multiplied to 128 bits whose
halves are put together. The secret is an address, so that keys cannot be made beforehand that all have one digest.
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import hash_std, short

SHORT = 16  # bytes of two words
EXACT = 8  # bytes: of two such texts of one length, equal digests mean equal texts

FIRST_BYTES = """
define linkonce_odr i64 @rank_first_bytes(i64 %word, i64 %n) alwaysinline {
  %all = icmp uge i64 %n, 8 %bits = shl i64 %n, 3 %safe = and i64 %bits, 63 %above = shl i64 -1, %safe %below = xor i64 %above, -1
  %mask = select i1 %all, i64 -1, i64 %below %r = and i64 %word, %mask ret i64 %r
}
declare i64 @llvm.usub.sat.i64(i64, i64)
"""
"""A word without the bytes behind the first `n`."""

# the bytes of a text of up to SHORT, of which more may have been read; the text itself when EXACT holds it
_SHORT = (
    FIRST_BYTES
    + """
define linkonce_odr i64 @rank_short_digest(i64 %a, i64 %b, i64 %n, i64 %secret) alwaysinline {
  %low = call i64 @rank_first_bytes(i64 %a, i64 %n) %rest = call i64 @llvm.usub.sat.i64(i64 %n, i64 8)
  %high = call i64 @rank_first_bytes(i64 %b, i64 %rest) %other = mul i64 %secret, -7046029254386353131
  %x = xor i64 %low, %secret %y = xor i64 %high, %other %x2 = zext i64 %x to i128 %y2 = zext i64 %y to i128
  %m = mul i128 %x2, %y2 %up = lshr i128 %m, 64 %m1 = trunc i128 %m to i64 %m2 = trunc i128 %up to i64
  %mixed = xor i64 %m1, %m2 %exact = icmp ule i64 %n, 8 %r = select i1 %exact, i64 %low, i64 %mixed ret i64 %r
}
"""
)


def keyed(text, limit, secret):
    """The digest (int64) of a text with a secret (int64). Reads up to the address `limit`, or only the text's bytes."""
    result = intrin.local("int64", 0)
    low, high = intrin.local("int64", 0), intrin.local("int64", 0)
    with T.If(text.length <= T.int64(SHORT)):
        with T.Then():
            with T.If(text.address + T.int64(SHORT) <= limit):
                with T.Then():
                    intrin.assign(low, intrin.load("int64", text.address))
                    intrin.assign(high, intrin.load("int64", text.address + T.int64(8)))
                with T.Else():
                    _careful(text, low, high)
            with T.attr(0, "pragma_import_llvm", _SHORT):
                intrin.assign(result, T.call_extern("int64", "rank_short_digest", low[0], high[0], text.length, secret))
        with T.Else():
            intrin.assign(result, hash_std.emit(text.address, text.length).signed)
    return intrin.let(result[0])


def _careful(text, low, high) -> None:
    """Set two words to the bytes of a text of up to SHORT, reading no others."""
    with T.If(text.length >= T.int64(8)):
        with T.Then():
            intrin.assign(low, intrin.load("int64", text.address))
            with T.If(text.length > T.int64(8)), T.Then():
                intrin.assign(high, short.load(text.address + T.int64(8), text.length - T.int64(8)).signed)
        with T.Else(), T.If(text.length > T.int64(0)), T.Then():
            intrin.assign(low, short.load(text.address, text.length).signed)


def emit(text):
    """The digest (int64) of a text (`tokens.Text`) without a secret. Reads only its bytes."""
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
