"""The functions that every kernel for a CPU has (`intrin.py`), in LLVM; `gpu/prelude.cuh` has them for GPUs."""

from __future__ import annotations


def _binary(name: str, body: str) -> str:
    return f"define linkonce_odr i64 @rank_{name}(i64 %a, i64 %b) alwaysinline {{\n{body}\n  ret i64 %r\n}}\n"


def _memory(llvm: str) -> str:
    return (
        f"define linkonce_odr {llvm} @rank_load_{llvm}(i64 %a) alwaysinline {{\n"
        f"  %p = inttoptr i64 %a to ptr\n  %r = load {llvm}, ptr %p, align 1\n  ret {llvm} %r\n}}\n"
        f"define linkonce_odr void @rank_store_{llvm}(i64 %a, {llvm} %v) alwaysinline {{\n"
        f"  %p = inttoptr i64 %a to ptr\n  store {llvm} %v, ptr %p, align 1\n  ret void\n}}\n"
    )


TEXT = "".join(
    [
        *(_memory(width) for width in ("i8", "i32", "i64", "float", "double")),
        _binary("add", "  %r = add i64 %a, %b"),
        _binary("sub", "  %r = sub i64 %a, %b"),
        _binary("mul", "  %r = mul i64 %a, %b"),
        _binary("mulhi", "  %x = zext i64 %a to i128\n  %y = zext i64 %b to i128\n  %m = mul i128 %x, %y\n"
                "  %h = lshr i128 %m, 64\n  %r = trunc i128 %h to i64"),
        "define linkonce_odr i64 @rank_bits(i64 %a) alwaysinline {\n  ret i64 %a\n}\n",
        "define linkonce_odr i1 @rank_less(i64 %a, i64 %b) alwaysinline {\n  %r = icmp ult i64 %a, %b\n  ret i1 %r\n}\n",
        "declare i64 @llvm.fshr.i64(i64, i64, i64)\n",
        _binary("rotr", "  %r = call i64 @llvm.fshr.i64(i64 %a, i64 %a, i64 %b)"),
        "define linkonce_odr i64 @rank_remainder(i64 %a, i64 %n, i64 %magic) alwaysinline {\n"
        "  %x = zext i64 %a to i128\n  %y = zext i64 %magic to i128\n  %m = mul i128 %x, %y\n  %h = lshr i128 %m, 64\n"
        "  %q = trunc i128 %h to i64\n  %p = mul i64 %q, %n\n  %r = sub i64 %a, %p\n  %s = sub i64 %r, %n\n"
        "  %c = icmp uge i64 %r, %n\n  %t = select i1 %c, i64 %s, i64 %r\n  ret i64 %t\n}\n",
        "declare i64 @llvm.ctlz.i64(i64, i1)\n",
        "define linkonce_odr i64 @rank_clz(i64 %a) alwaysinline {\n"
        "  %r = call i64 @llvm.ctlz.i64(i64 %a, i1 false)\n  ret i64 %r\n}\n",
        "declare double @llvm.arithmetic.fence.f64(double)\n"
        "define linkonce_odr double @rank_fence(double %a) alwaysinline {\n"
        "  %r = call double @llvm.arithmetic.fence.f64(double %a)\n  ret double %r\n}\n",
        "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)\n"
        "define linkonce_odr void @rank_copy(i64 %to, i64 %from, i64 %n) alwaysinline {\n"
        "  %p = inttoptr i64 %to to ptr\n  %q = inttoptr i64 %from to ptr\n"
        "  call void @llvm.memcpy.p0.p0.i64(ptr %p, ptr %q, i64 %n, i1 false)\n  ret void\n}\n",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)\n",
        "define linkonce_odr void @rank_prefetch(i64 %a) alwaysinline {\n"
        "  %p = inttoptr i64 %a to ptr\n  call void @llvm.prefetch.p0(ptr %p, i32 0, i32 3, i32 1)\n  ret void\n}\n",
    ]
)  # fmt: skip
