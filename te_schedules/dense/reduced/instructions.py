"""The instructions that multiply bf16 and round to it, as functions in LLVM: TVM's own code generator ends the process on vectors of that type.

Kernels hold bf16 in words of two, and call these functions; LLVM inlines them to one instruction each. Tests put functions that do in
plain code what Intel's manual says in their place, by the same names.
"""

from __future__ import annotations

from te_schedules.dense.layer import TILE_WORDS

PAIRS = (
    "declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float>, <32 x bfloat>, <32 x bfloat>)\n"
    "define linkonce_odr <16 x float> @rank_add_pairs(<16 x float> %sums, <16 x i32> %x, <16 x i32> %w) alwaysinline {\n"
    "  %a = bitcast <16 x i32> %x to <32 x bfloat>\n  %b = bitcast <16 x i32> %w to <32 x bfloat>\n"
    "  %r = call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> %sums, <32 x bfloat> %a, <32 x bfloat> %b)\n"
    "  ret <16 x float> %r\n}\n"
    "declare <16 x bfloat> @llvm.x86.avx512bf16.cvtneps2bf16.512(<16 x float>)\n"
    "define linkonce_odr <16 x i16> @rank_round_bf16(<16 x float> %x) alwaysinline {\n"
    "  %b = call <16 x bfloat> @llvm.x86.avx512bf16.cvtneps2bf16.512(<16 x float> %x)\n"
    "  %r = bitcast <16 x bfloat> %b to <16 x i16>\n  ret <16 x i16> %r\n}\n"
)

TILE_ROWS = 16  # of the matrix unit; a row is 64 bytes
SUMS, ROWS_OF_X, WEIGHTS = (0, 1, 2, 3), (4, 5), (6, 7)  # tiles: sums [2 * r + c] of rows [r] and weights [c]


def _configuration() -> str:
    """rank_tiles_start(rows of x[0], of x[1], columns of weights[0], of weights[1]): a tile without rows or columns does not exist."""
    shapes = {t: (f"%rows{t // 2}", f"%columns{t % 2}") for t in SUMS}
    shapes |= {t: (f"%rows{t - ROWS_OF_X[0]}", str(TILE_WORDS)) for t in ROWS_OF_X}
    shapes |= {t: (str(TILE_ROWS), f"%columns{t - WEIGHTS[0]}") for t in WEIGHTS}
    lines = [
        "  %place = alloca [64 x i8], align 64",
        "  store <64 x i8> zeroinitializer, ptr %place, align 64",
        "  store i8 1, ptr %place",
    ]
    for tile, (rows, columns) in shapes.items():
        lines += [
            f"  %some{tile}r = icmp ne i32 {rows}, 0",
            f"  %some{tile}c = icmp ne i32 {columns}, 0",
            f"  %some{tile} = and i1 %some{tile}r, %some{tile}c",
            f"  %bytes{tile}w = shl i32 {columns}, 2",
            f"  %bytes{tile} = trunc i32 %bytes{tile}w to i16",
            f"  %b{tile} = select i1 %some{tile}, i16 %bytes{tile}, i16 0",
            f"  %rows{tile}n = trunc i32 {rows} to i8",
            f"  %r{tile} = select i1 %some{tile}, i8 %rows{tile}n, i8 0",
            f"  %pb{tile} = getelementptr i8, ptr %place, i64 {16 + 2 * tile}",
            f"  store i16 %b{tile}, ptr %pb{tile}",
            f"  %pr{tile} = getelementptr i8, ptr %place, i64 {48 + tile}",
            f"  store i8 %r{tile}, ptr %pr{tile}",
        ]
    signature = "i32 %rows0, i32 %rows1, i32 %columns0, i32 %columns1"
    body = "\n".join([*lines, "  call void @rank_tiles_configure(ptr %place)", "  ret void"])
    return f"define linkonce_odr void @rank_tiles_start({signature}) alwaysinline {{\n{body}\n}}\n"


def _tile(name: str, signature: str, *calls: str) -> str:
    body = "".join(f"  call void {call}\n" for call in calls)
    return f"define linkonce_odr void @rank_tiles_{name}({signature}) alwaysinline {{\n{body}  ret void\n}}\n"


def tiles(zero: str, load: str, store: str, multiply: str) -> str:
    """Functions for each tile, from the names of functions that take its number first: rank_tiles_zero_0(), rank_tiles_load_4(address,
    bytes from row to row), rank_tiles_store_0 likewise, rank_tiles_bf16_0() and rank_tiles_int8_0(): sums 0 += their rows x weights."""
    memory = "ptr %p, i64 %s"
    made = [_tile(f"zero_{t}", "", f"@{zero}(i8 {t})") for t in SUMS]
    made += [_tile(f"store_{t}", memory, f"@{store}(i8 {t}, {memory})") for t in SUMS]
    made += [_tile(f"load_{t}", memory, f"@{load}(i8 {t}, {memory})") for t in (*ROWS_OF_X, *WEIGHTS)]
    for name, instruction in (("bf16", "tdpbf16ps"), ("int8", "tdpbusd")):
        for t in SUMS:
            operands = f"i8 {t}, i8 {ROWS_OF_X[t // 2]}, i8 {WEIGHTS[t % 2]}"
            made.append(_tile(f"{name}_{t}", "", f"@{multiply}{instruction}({operands})"))
    return "".join(made)


# Off until the process was granted the tiles' state: using them without ends it.
SWITCH = (
    "@rank_tiles_granted = linkonce_odr hidden global i32 0, align 4\n"
    "define linkonce_odr i32 @rank_tiles_are_on() alwaysinline {\n"
    "  %r = load i32, ptr @rank_tiles_granted, align 4\n  ret i32 %r\n}\n"
    "define linkonce_odr void @rank_tiles_switch(i32 %on) alwaysinline {\n"
    "  store i32 %on, ptr @rank_tiles_granted, align 4\n  ret void\n}\n"
)
CONFIGURATION = _configuration()
_AMX = (
    "declare void @llvm.x86.ldtilecfg(ptr)\n"
    "declare void @llvm.x86.tilerelease()\n"
    "declare void @llvm.x86.tilezero(i8 immarg)\n"
    "declare void @llvm.x86.tileloadd64(i8 immarg, ptr, i64)\n"
    "declare void @llvm.x86.tilestored64(i8 immarg, ptr, i64)\n"
    "declare void @llvm.x86.tdpbf16ps(i8 immarg, i8 immarg, i8 immarg)\n"
    "declare void @llvm.x86.tdpbusd(i8 immarg, i8 immarg, i8 immarg)\n"
    "define linkonce_odr void @rank_tiles_configure(ptr %p) alwaysinline {\n  call void @llvm.x86.ldtilecfg(ptr %p)\n  ret void\n}\n"
    "define linkonce_odr void @rank_tiles_end() alwaysinline {\n  call void @llvm.x86.tilerelease()\n  ret void\n}\n"
)
AMX = SWITCH + _AMX + CONFIGURATION + tiles("llvm.x86.tilezero", "llvm.x86.tileloadd64", "llvm.x86.tilestored64", "llvm.x86.")
