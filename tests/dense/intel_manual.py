"""What Intel's manual says that AVX512-BF16 and AMX do, in LLVM without them: in the place of `te_schedules.dense.reduced.instructions`,
so that kernels which use them run where no CPU has them.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, "Operation" of VDPBF16PS, VCVTNEPS2BF16, LDTILECFG,
TILELOADD, TILESTORED, TDPBF16PS and TDPBUSD.
"""

from __future__ import annotations

from te_schedules.dense.reduced.instructions import CONFIGURATION, SWITCH, tiles

# Denormal numbers are 0 on the way in and out, each sum is rounded once to nearest even, the upper number of a pair comes first.
_FLUSH = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define linkonce_odr <16 x float> @manual_flush(<16 x float> %x) alwaysinline {
  %bits = bitcast <16 x float> %x to <16 x i32>
  %exponent = and <16 x i32> %bits, splat (i32 2139095040)
  %sign = and <16 x i32> %bits, splat (i32 -2147483648)
  %small = icmp eq <16 x i32> %exponent, zeroinitializer
  %flushed = select <16 x i1> %small, <16 x i32> %sign, <16 x i32> %bits
  %r = bitcast <16 x i32> %flushed to <16 x float>
  ret <16 x float> %r
}
define linkonce_odr <16 x float> @manual_add(<16 x float> %sums, <16 x i32> %a, <16 x i32> %b) alwaysinline {
  %x = bitcast <16 x i32> %a to <16 x float>
  %y = bitcast <16 x i32> %b to <16 x float>
  %xf = call <16 x float> @manual_flush(<16 x float> %x)
  %yf = call <16 x float> @manual_flush(<16 x float> %y)
  %sf = call <16 x float> @manual_flush(<16 x float> %sums)
  %t = call <16 x float> @llvm.fma.v16f32(<16 x float> %xf, <16 x float> %yf, <16 x float> %sf)
  %r = call <16 x float> @manual_flush(<16 x float> %t)
  ret <16 x float> %r
}
"""
PAIRS = (
    _FLUSH
    + """
define linkonce_odr <16 x float> @rank_add_pairs(<16 x float> %sums, <16 x i32> %x, <16 x i32> %w) alwaysinline {
  %a1 = and <16 x i32> %x, splat (i32 -65536)
  %b1 = and <16 x i32> %w, splat (i32 -65536)
  %a0 = shl <16 x i32> %x, splat (i32 16)
  %b0 = shl <16 x i32> %w, splat (i32 16)
  %upper = call <16 x float> @manual_add(<16 x float> %sums, <16 x i32> %a1, <16 x i32> %b1)
  %r = call <16 x float> @manual_add(<16 x float> %upper, <16 x i32> %a0, <16 x i32> %b0)
  ret <16 x float> %r
}
define linkonce_odr <16 x i16> @rank_round_bf16(<16 x float> %x) alwaysinline {
  %flushed = call <16 x float> @manual_flush(<16 x float> %x)
  %bits = bitcast <16 x float> %flushed to <16 x i32>
  %upper = lshr <16 x i32> %bits, splat (i32 16)
  %odd = and <16 x i32> %upper, splat (i32 1)
  %bias = add <16 x i32> %odd, splat (i32 32767)
  %moved = add <16 x i32> %bits, %bias
  %near = lshr <16 x i32> %moved, splat (i32 16)
  %quiet = or <16 x i32> %upper, splat (i32 64)
  %is_nan = fcmp uno <16 x float> %x, zeroinitializer
  %words = select <16 x i1> %is_nan, <16 x i32> %quiet, <16 x i32> %near
  %r = trunc <16 x i32> %words to <16 x i16>
  ret <16 x i16> %r
}
"""
)

# The tiles lie in memory, for one thread. What would be a fault stops all stores from writing sums: they write NaN (in int32, a large number).
_TILES = """
@manual_tiles = linkonce_odr hidden global [8 x [16 x <16 x i32>]] zeroinitializer, align 64
@manual_rows = linkonce_odr hidden global [8 x i64] zeroinitializer, align 64
@manual_bytes = linkonce_odr hidden global [8 x i64] zeroinitializer, align 64
@manual_fault = linkonce_odr hidden global i32 0, align 4
declare <16 x i32> @llvm.stepvector.v16i32()
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare <16 x i32> @llvm.masked.load.v16i32.p0(ptr, <16 x i1>, <16 x i32>)
declare void @llvm.masked.store.v16i32.p0(<16 x i32>, ptr, <16 x i1>)
define linkonce_odr void @manual_expect(i1 %is_right) alwaysinline {
  %old = load i32, ptr @manual_fault
  %new = select i1 %is_right, i32 %old, i32 1
  store i32 %new, ptr @manual_fault
  ret void
}
define linkonce_odr i64 @manual_rows_of(i64 %t) alwaysinline {
  %p = getelementptr [8 x i64], ptr @manual_rows, i64 0, i64 %t
  %n = load i64, ptr %p
  ret i64 %n
}
define linkonce_odr i64 @manual_bytes_of(i64 %t) alwaysinline {
  %p = getelementptr [8 x i64], ptr @manual_bytes, i64 0, i64 %t
  %n = load i64, ptr %p
  ret i64 %n
}
define linkonce_odr ptr @manual_row(i64 %t, i64 %r) alwaysinline {
  %p = getelementptr [8 x [16 x <16 x i32>]], ptr @manual_tiles, i64 0, i64 %t, i64 %r
  ret ptr %p
}
define linkonce_odr void @rank_tiles_end() alwaysinline {
  call void @llvm.memset.p0.i64(ptr @manual_rows, i8 0, i64 64, i1 false)
  call void @llvm.memset.p0.i64(ptr @manual_bytes, i8 0, i64 64, i1 false)
  ret void
}
define linkonce_odr void @manual_zero(i8 %tile) alwaysinline {
  %t = zext i8 %tile to i64
  %rows = call i64 @manual_rows_of(i64 %t)
  %exists = icmp ne i64 %rows, 0
  call void @manual_expect(i1 %exists)
  %p = call ptr @manual_row(i64 %t, i64 0)
  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 1024, i1 false)
  ret void
}
define linkonce_odr <16 x i1> @manual_mask(i64 %t, i64 %r) alwaysinline {
  %rows = call i64 @manual_rows_of(i64 %t)
  %bytes = call i64 @manual_bytes_of(i64 %t)
  %is_row = icmp ult i64 %r, %rows
  %words = lshr i64 %bytes, 2
  %count = select i1 %is_row, i64 %words, i64 0
  %narrow = trunc i64 %count to i32
  %one = insertelement <16 x i32> poison, i32 %narrow, i64 0
  %all = shufflevector <16 x i32> %one, <16 x i32> poison, <16 x i32> zeroinitializer
  %numbers = call <16 x i32> @llvm.stepvector.v16i32()
  %m = icmp ult <16 x i32> %numbers, %all
  ret <16 x i1> %m
}
"""


def _configure() -> str:
    """LDTILECFG of palette 1: bytes of a row at 16, rows at 48; all else is 0, and so are both or neither of a tile's numbers."""
    lines, checks = [], []

    def number(place: int, kind: str) -> str:
        name = f"n{place}{kind}"
        lines.append(f"  %p{name} = getelementptr i8, ptr %p, i64 {place}\n  %l{name} = load {kind}, ptr %p{name}, align 1")
        lines.append(f"  %{name} = zext {kind} %l{name} to i64")
        return f"%{name}"

    def expect(condition: str) -> None:
        checks.append(f"  %c{len(checks)} = {condition}\n  call void @manual_expect(i1 %c{len(checks)})")

    for place in (*range(1, 16), *range(32, 48), *range(56, 64)):
        expect(f"icmp eq i64 {number(place, 'i8')}, 0")
    expect(f"icmp eq i64 {number(0, 'i8')}, 1")
    for tile in range(8):
        size, rows = number(16 + 2 * tile, "i16"), number(48 + tile, "i8")
        expect(f"icmp ule i64 {size}, 64")
        expect(f"icmp ule i64 {rows}, 16")
        lines.append(f"  %a{tile} = icmp eq i64 {size}, 0\n  %b{tile} = icmp eq i64 {rows}, 0")
        expect(f"icmp eq i1 %a{tile}, %b{tile}")
        for name, value in (("rows", rows), ("bytes", size)):
            lines.append(f"  %s{name}{tile} = getelementptr [8 x i64], ptr @manual_{name}, i64 0, i64 {tile}")
            lines.append(f"  store i64 {value}, ptr %s{name}{tile}")
    lines.append("  call void @llvm.memset.p0.i64(ptr @manual_tiles, i8 0, i64 8192, i1 false)")
    body = "\n".join([*lines, *checks])
    return f"define linkonce_odr void @rank_tiles_configure(ptr %p) alwaysinline {{\n{body}\n  ret void\n}}\n"


def _loop(name: str, end: str, body: str) -> str:
    """`body` for %name = 0 .. end, one at least; it must not jump."""
    return (
        f"  br label %{name}_before\n{name}_before:\n  br label %{name}_loop\n{name}_loop:\n"
        f"  %{name} = phi i64 [ 0, %{name}_before ], [ %{name}_next, %{name}_latch ]\n{body}  br label %{name}_latch\n{name}_latch:\n"
        f"  %{name}_next = add i64 %{name}, 1\n  %{name}_goes = icmp ult i64 %{name}_next, {end}\n"
        f"  br i1 %{name}_goes, label %{name}_loop, label %{name}_after\n{name}_after:\n"
    )


_READ_ROW = """  %place = call ptr @manual_row(i64 %t, i64 %r)
  %offset = mul i64 %r, %s
  %address = getelementptr i8, ptr %p, i64 %offset
  %mask = call <16 x i1> @manual_mask(i64 %t, i64 %r)
  %row = call <16 x i32> @llvm.masked.load.v16i32.p0(ptr align 4 %address, <16 x i1> %mask, <16 x i32> zeroinitializer)
  store <16 x i32> %row, ptr %place
"""
_WRITE_ROW = """  %place = call ptr @manual_row(i64 %t, i64 %r)
  %offset = mul i64 %r, %s
  %address = getelementptr i8, ptr %p, i64 %offset
  %mask = call <16 x i1> @manual_mask(i64 %t, i64 %r)
  %right = load <16 x i32>, ptr %place
  %fault = load i32, ptr @manual_fault
  %is_right = icmp eq i32 %fault, 0
  %row = select i1 %is_right, <16 x i32> %right, <16 x i32> splat (i32 2143289344)
  call void @llvm.masked.store.v16i32.p0(<16 x i32> %row, ptr align 4 %address, <16 x i1> %mask)
"""
_OPERANDS = """  %ct = zext i8 %c to i64
  %at = zext i8 %a to i64
  %bt = zext i8 %b to i64
  %rows = call i64 @manual_rows_of(i64 %ct)
  %rows_of_a = call i64 @manual_rows_of(i64 %at)
  %words = call i64 @manual_rows_of(i64 %bt)
  %bytes = call i64 @manual_bytes_of(i64 %ct)
  %bytes_of_b = call i64 @manual_bytes_of(i64 %bt)
  %bytes_of_a = call i64 @manual_bytes_of(i64 %at)
  %words_of_a = lshr i64 %bytes_of_a, 2
  %e0 = icmp eq i64 %rows, %rows_of_a
  %e1 = icmp eq i64 %bytes, %bytes_of_b
  %e2 = icmp eq i64 %words, %words_of_a
  %e3 = icmp ne i64 %rows, 0
  %e4 = icmp ne i64 %words, 0
  call void @manual_expect(i1 %e0)
  call void @manual_expect(i1 %e1)
  call void @manual_expect(i1 %e2)
  call void @manual_expect(i1 %e3)
  call void @manual_expect(i1 %e4)
  %even = alloca <16 x float>
  %odd = alloca <16 x float>
"""
_WORD_OF_A_AND_ROW_OF_B = """  %place_of_a = call ptr @manual_row(i64 %at, i64 %m)
  %word_of_a = getelementptr i32, ptr %place_of_a, i64 %k
  %word = load i32, ptr %word_of_a
  %one = insertelement <16 x i32> poison, i32 %word, i64 0
  %x = shufflevector <16 x i32> %one, <16 x i32> poison, <16 x i32> zeroinitializer
  %place_of_b = call ptr @manual_row(i64 %bt, i64 %k)
  %y = load <16 x i32>, ptr %place_of_b
"""
# Sums of the lower and of the upper numbers apart, their sum, and that to the tile: each rounded, denormal numbers 0.
_BF16_PAIR = """  %x1 = and <16 x i32> %x, splat (i32 -65536)
  %y1 = and <16 x i32> %y, splat (i32 -65536)
  %x0 = shl <16 x i32> %x, splat (i32 16)
  %y0 = shl <16 x i32> %y, splat (i32 16)
  %old0 = load <16 x float>, ptr %even
  %old1 = load <16 x float>, ptr %odd
  %new0 = call <16 x float> @manual_add(<16 x float> %old0, <16 x i32> %x0, <16 x i32> %y0)
  %new1 = call <16 x float> @manual_add(<16 x float> %old1, <16 x i32> %x1, <16 x i32> %y1)
  store <16 x float> %new0, ptr %even
  store <16 x float> %new1, ptr %odd
"""
_BF16_ROW = """  %sum0 = load <16 x float>, ptr %even
  %sum1 = load <16 x float>, ptr %odd
  %both = fadd <16 x float> %sum0, %sum1
  %flushed = call <16 x float> @manual_flush(<16 x float> %both)
  %place = call ptr @manual_row(i64 %ct, i64 %m)
  %old = load <16 x float>, ptr %place
  %all = fadd <16 x float> %old, %flushed
  %new = call <16 x float> @manual_flush(<16 x float> %all)
  store <16 x float> %new, ptr %place
"""
_INT8_QUAD = "  %place = call ptr @manual_row(i64 %ct, i64 %m)\n  %sum0 = load <16 x i32>, ptr %place\n" + "".join(
    f"""  %xs{k} = lshr <16 x i32> %x, splat (i32 {8 * k})
  %x{k} = and <16 x i32> %xs{k}, splat (i32 255)
  %ys{k} = shl <16 x i32> %y, splat (i32 {24 - 8 * k})
  %y{k} = ashr <16 x i32> %ys{k}, splat (i32 24)
  %product{k} = mul <16 x i32> %x{k}, %y{k}
  %sum{k + 1} = add <16 x i32> %sum{k}, %product{k}
"""
    for k in range(4)
) + "  store <16 x i32> %sum4, ptr %place\n"  # fmt: skip


def _amx() -> str:
    rows = "i8 %tile, ptr %p, i64 %s"
    tile, three = "  %t = zext i8 %tile to i64\n", "i8 %c, i8 %a, i8 %b"
    clear = "  store <16 x float> zeroinitializer, ptr %even\n  store <16 x float> zeroinitializer, ptr %odd\n"
    functions = {
        f"load({rows})": tile + _loop("r", "16", _READ_ROW),
        f"store({rows})": tile + _loop("r", "16", _WRITE_ROW),
        f"tdpbf16ps({three})": _OPERANDS
        + _loop("m", "%rows", clear + _loop("k", "%words", _WORD_OF_A_AND_ROW_OF_B + _BF16_PAIR) + _BF16_ROW),
        f"tdpbusd({three})": _OPERANDS + _loop("m", "%rows", _loop("k", "%words", _WORD_OF_A_AND_ROW_OF_B + _INT8_QUAD)),
    }
    text = "".join(
        f"define linkonce_odr void @manual_{name} alwaysinline {{\n{body}  ret void\n}}\n" for name, body in functions.items()
    )
    return _FLUSH + _TILES + _configure() + text


AMX = SWITCH + _amx() + CONFIGURATION + tiles("manual_zero", "manual_load", "manual_store", "manual_")
