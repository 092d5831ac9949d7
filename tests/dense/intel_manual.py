"""What Intel's manual says that AVX512-BF16 does, in LLVM without it: in the place of `te_schedules.dense.reduced.instructions`, so that
kernels which use it run where no CPU has it.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VDPBF16PS, "Operation".
"""

from __future__ import annotations

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
"""
)
