"""The instructions that multiply bf16, as functions in LLVM: TVM's own code generator ends the process on vectors of that type.

Kernels hold bf16 in words of two, and call these functions; LLVM inlines them to one instruction each. Tests put functions that do in
plain code what Intel's manual says in their place, by the same names.
"""

from __future__ import annotations

PAIRS = (
    "declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float>, <32 x bfloat>, <32 x bfloat>)\n"
    "define linkonce_odr <16 x float> @rank_add_pairs(<16 x float> %sums, <16 x i32> %x, <16 x i32> %w) alwaysinline {\n"
    "  %a = bitcast <16 x i32> %x to <32 x bfloat>\n  %b = bitcast <16 x i32> %w to <32 x bfloat>\n"
    "  %r = call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> %sums, <32 x bfloat> %a, <32 x bfloat> %b)\n"
    "  ret <16 x float> %r\n}\n"
)
