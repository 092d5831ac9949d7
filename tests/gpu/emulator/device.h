// CUDA C++ as plain C++: what generated kernels use of it, for a machine without a GPU.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define __device__
#define __global__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

struct Index {
  unsigned x, y, z;
};
extern "C" thread_local Index emulated_thread, emulated_block;
#define threadIdx emulated_thread
#define blockIdx emulated_block

#define __shared__ static

// A thread's memory, of the device's heap, and its end before the end of its kernel: the driver says how.
extern "C" void* (*emulated_take)(size_t);
extern "C" void (*emulated_give)(void*);
#define malloc emulated_take
#define free emulated_give
struct EmulatedEnd {};
inline void rank_end_thread() { throw EmulatedEnd(); }

// Threads that wait for each other: the driver says how (block.h).
extern "C" void (*emulated_wait)(bool in_warp);
inline void __syncthreads() { emulated_wait(false); }
inline void __syncwarp(unsigned = ~0u) { emulated_wait(true); }
inline unsigned emulated_lane() { return emulated_thread.x % 32; }
template <typename T>
struct EmulatedLanes {
  T of[32];
};
// the values of all threads of this one's warp
template <typename T>
EmulatedLanes<T> emulated_lanes(T value) {
  static EmulatedLanes<T> warps[32];
  EmulatedLanes<T>& warp = warps[emulated_thread.x / 32];
  warp.of[emulated_lane()] = value;
  emulated_wait(true);
  EmulatedLanes<T> all = warp;
  emulated_wait(true);
  return all;
}
template <typename T>
T __shfl_sync(unsigned, T value, int lane) { return emulated_lanes(value).of[lane & 31]; }
template <typename T>
T __shfl_xor_sync(unsigned, T value, int bits) { return emulated_lanes(value).of[(emulated_lane() ^ bits) & 31]; }
template <typename T>
T __shfl_down_sync(unsigned, T value, int n) { return emulated_lanes(value).of[emulated_lane() + n < 32 ? emulated_lane() + n : emulated_lane()]; }
inline unsigned __ballot_sync(unsigned, int is) {
  EmulatedLanes<bool> all = emulated_lanes(is != 0);
  unsigned bits = 0;
  for (int l = 0; l < 32; ++l) bits |= unsigned(all.of[l]) << l;
  return bits;
}

// What the instructions of te_schedules/gpu/dense.cuh do, by PTX's layout of their operands.
inline uint32_t rank_bf16_pair(float low, float high) {
  uint32_t halves[2];
  for (int k = 0; k < 2; ++k) {
    float v = k ? high : low;
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    halves[k] = v != v ? 0x7FFFu : (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
  }
  return halves[0] | halves[1] << 16;
}
inline uint32_t emulated_half(float v) {
  _Float16 half = v > 65504 ? 65504 : v < -65504 ? -65504 : v;
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return v != v ? 0x7FFFu : bits;
}
inline uint32_t rank_fp16_pair(float low, float high) { return emulated_half(low) | emulated_half(high) << 16; }
inline uint32_t rank_tf32(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return v != v ? 0x7FFFFFFFu : (bits + 0x1000u) & ~0x1FFFu;
}
struct EmulatedOperands {
  uint32_t a[4], b[2];
};
// P: 1 bf16, 2 fp16, whose words have two inputs, 3 tf32
template <int P>
inline float emulated_operand(uint32_t word, int half) {
  uint32_t bits = P == 3 ? word : P == 1 ? word >> 16 * half << 16 : 0;
  uint16_t low = uint16_t(word >> 16 * half);
  _Float16 number;
  float v;
  std::memcpy(&number, &low, 2), std::memcpy(&v, &bits, 4);
  return P == 2 ? (float)number : v;
}
template <int P>
inline void rank_mma(float (&c)[4], const uint32_t* a, const uint32_t* b) {
  constexpr int halves = P == 3 ? 1 : 2, inputs = 8 * halves;
  EmulatedLanes<EmulatedOperands> all = emulated_lanes(EmulatedOperands{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  float rows[16][16], columns[8][16];
  for (int l = 0; l < 32; ++l)
    for (int half = 0; half < halves; ++half)
      for (int r = 0; r < 4; ++r) {
        int k = halves * (l % 4) + half + inputs / 2 * (r / 2);
        rows[l / 4 + 8 * (r % 2)][k] = emulated_operand<P>(all.of[l].a[r], half);
        if (r % 2 == 0) columns[l / 4][k] = emulated_operand<P>(all.of[l].b[r / 2], half);
      }
  int l = emulated_lane();
  for (int r = 0; r < 4; ++r)
    for (int k = 0; k < inputs; ++k) c[r] += rows[l / 4 + 8 * (r / 2)][k] * columns[2 * (l % 4) + r % 2][k];
}
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
// a read of a GPU at an address that is no multiple of its size is a fault
inline void emulated_check_aligned(const void* p, size_t size) {
  if ((uintptr_t)p % size) std::abort();
}
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
template <typename T>
T __ldg(const T* p) {
  emulated_check_aligned(p, sizeof(T));
  return *p;
}
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <typename To, typename From>
To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}
inline float __uint_as_float(unsigned a) { return same_bits<float>(a); }
inline unsigned __float_as_uint(float a) { return same_bits<unsigned>(a); }
inline float __int_as_float(int a) { return same_bits<float>(a); }
inline int __float_as_int(float a) { return same_bits<int>(a); }
inline double __longlong_as_double(long long a) { return same_bits<double>(a); }
inline long long __double_as_longlong(double a) { return same_bits<long long>(a); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }
inline int __clzll(long long a) { return a == 0 ? 64 : __builtin_clzll((unsigned long long)a); }
inline int __ffsll(long long a) { return __builtin_ffsll(a); }
// one thread runs at a time
inline unsigned long long atomicCAS(unsigned long long* p, unsigned long long expected, unsigned long long value) {
  emulated_check_aligned(p, 8);
  unsigned long long found = *p;
  if (found == expected) *p = value;
  return found;
}
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }
template <typename A, typename B>
auto max(A a, B b) -> decltype(a + b) { return a > b ? a : b; }
template <typename A, typename B>
auto min(A a, B b) -> decltype(a + b) { return a < b ? a : b; }
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
