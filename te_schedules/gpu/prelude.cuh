#ifndef RANK_PRELUDE
#define RANK_PRELUDE
#include <stdint.h>
// Functions that generated kernels call by name. An address is an int64_t; loads and stores need no alignment.
#define RANK_FUNCTION static __device__ __forceinline__
#define RANK_CONSTANT static __device__ const

// -- memory -------------------------------------------------------------------------------------------------------------------------
RANK_FUNCTION uint8_t rank_load_uint8(int64_t a) { return *(const uint8_t*)a; }
RANK_FUNCTION int8_t rank_load_int8(int64_t a) { return *(const int8_t*)a; }
RANK_FUNCTION void rank_store_i8(int64_t a, uint8_t v) { *(uint8_t*)a = v; }

RANK_FUNCTION uint32_t rank_bits32(int64_t a) {
  if ((a & 3) == 0) return *(const uint32_t*)a;
  const uint8_t* p = (const uint8_t*)a;
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
RANK_FUNCTION uint64_t rank_bits64(int64_t a) {
  if ((a & 7) == 0) return *(const uint64_t*)a;
  return rank_bits32(a) | (uint64_t)rank_bits32(a + 4) << 32;
}
RANK_FUNCTION void rank_put32(int64_t a, uint32_t v) {
  if ((a & 3) == 0) { *(uint32_t*)a = v; return; }
  uint8_t* p = (uint8_t*)a;
  p[0] = v, p[1] = v >> 8, p[2] = v >> 16, p[3] = v >> 24;
}
RANK_FUNCTION void rank_put64(int64_t a, uint64_t v) {
  if ((a & 7) == 0) { *(uint64_t*)a = v; return; }
  rank_put32(a, (uint32_t)v), rank_put32(a + 4, (uint32_t)(v >> 32));
}
RANK_FUNCTION int32_t rank_load_int32(int64_t a) { return (int32_t)rank_bits32(a); }
RANK_FUNCTION uint32_t rank_load_uint32(int64_t a) { return rank_bits32(a); }
RANK_FUNCTION int64_t rank_load_int64(int64_t a) { return (int64_t)rank_bits64(a); }
RANK_FUNCTION uint64_t rank_load_uint64(int64_t a) { return rank_bits64(a); }
RANK_FUNCTION float rank_load_float32(int64_t a) { return __uint_as_float(rank_bits32(a)); }
RANK_FUNCTION double rank_load_float64(int64_t a) { return __longlong_as_double((long long)rank_bits64(a)); }
RANK_FUNCTION void rank_store_i32(int64_t a, int32_t v) { rank_put32(a, (uint32_t)v); }
RANK_FUNCTION void rank_store_i64(int64_t a, int64_t v) { rank_put64(a, (uint64_t)v); }
RANK_FUNCTION void rank_store_float(int64_t a, float v) { rank_put32(a, __float_as_uint(v)); }
RANK_FUNCTION void rank_store_double(int64_t a, double v) { rank_put64(a, (uint64_t)__double_as_longlong(v)); }
RANK_FUNCTION void rank_copy(int64_t to, int64_t from, int64_t n) {
  for (int64_t k = 0; k < n; ++k) ((uint8_t*)to)[k] = ((const uint8_t*)from)[k];
}
RANK_FUNCTION void rank_prefetch(int64_t) {}

// an address as an argument that wants a pointer of any type
struct rank_pointer {
  int64_t address;
  template <typename T>
  __device__ operator T*() const { return (T*)address; }
};
RANK_FUNCTION rank_pointer rank_pointer_to(int64_t a) { return rank_pointer{a}; }

// TVM's workspace pool is the device's heap (its size is set when the artifact is loaded)
RANK_FUNCTION void* TVMBackendAllocWorkspace(int, int, uint64_t size, int, int) { return malloc(size); }
RANK_FUNCTION int TVMBackendFreeWorkspace(int, int, void* p) { free(p); return 0; }

// -- 64-bit words that wrap ---------------------------------------------------------------------------------------------------------
RANK_FUNCTION uint64_t rank_add(uint64_t a, uint64_t b) { return a + b; }
RANK_FUNCTION uint64_t rank_sub(uint64_t a, uint64_t b) { return a - b; }
RANK_FUNCTION uint64_t rank_mul(uint64_t a, uint64_t b) { return a * b; }
RANK_FUNCTION uint64_t rank_mulhi(uint64_t a, uint64_t b) { return __umul64hi(a, b); }
RANK_FUNCTION uint64_t rank_bits(uint64_t a) { return a; }
RANK_FUNCTION bool rank_less(uint64_t a, uint64_t b) { return a < b; }
RANK_FUNCTION uint64_t rank_rotr(uint64_t a, uint64_t b) { return a >> (b & 63) | a << (-b & 63); }
RANK_FUNCTION uint64_t rank_clz(uint64_t a) { return (uint64_t)__clzll((long long)a); }
RANK_FUNCTION int64_t rank_lowest_bit(int64_t a) { return a == 0 ? 64 : __ffsll((long long)a) - 1; }
RANK_FUNCTION int64_t rank_remainder(uint64_t a, int64_t n, int64_t magic) {
  uint64_t r = a - __umul64hi(a, (uint64_t)magic) * (uint64_t)n;
  return (int64_t)(r >= (uint64_t)n ? r - (uint64_t)n : r);
}
// a number that no operation behind is fused with: its product or sum is rounded by itself
RANK_FUNCTION double rank_fence(double a) {
#ifdef __CUDACC__
  asm volatile("" : "+d"(a));
#else  // tests compile the functions as C++
  asm volatile("" : "+x"(a));
#endif
  return a;
}

// -- texts --------------------------------------------------------------------------------------------------------------------------
RANK_FUNCTION int64_t rank_find(int64_t begin, int64_t end, int64_t, int64_t a, int64_t b) {
  for (; begin < end; ++begin) {
    uint8_t c = *(const uint8_t*)begin;
    if (c == (uint8_t)a || c == (uint8_t)b) break;
  }
  return begin;
}
RANK_FUNCTION int64_t rank_has_byte(int64_t begin, int64_t end, int64_t a, int64_t b) {
  return begin < end && rank_find(begin, end, end, a, b) < end;
}
// bits 0 to 31: the delimiters of nested maps among 32 bytes, bits 32 to 63: the blanks
RANK_FUNCTION int64_t rank_nested_marks(int64_t a) {
  uint64_t marks = 0;
  for (int k = 0; k < 32; ++k) {
    uint8_t c = ((const uint8_t*)a)[k];
    if (c == '|' || c == '^' || c == ',' || c == ':') marks |= 1ull << k;
    if (c == ' ' || (uint8_t)(c - 9) < 5) marks |= 1ull << (32 + k);
  }
  return (int64_t)marks;
}
// the digest of a text of up to 16 bytes, of whose two words more may have been read (`text/digest.py`)
RANK_FUNCTION uint64_t rank_first_bytes(uint64_t word, uint64_t n) { return n >= 8 ? word : word & ~(~0ull << (8 * n)); }
RANK_FUNCTION int64_t rank_short_digest(int64_t a, int64_t b, int64_t n, int64_t secret) {
  uint64_t low = rank_first_bytes((uint64_t)a, (uint64_t)n), high = rank_first_bytes((uint64_t)b, n < 8 ? 0 : (uint64_t)n - 8);
  uint64_t x = low ^ (uint64_t)secret, y = high ^ (uint64_t)secret * 0x9E3779B97F4A7C15ull;
  return (int64_t)(n <= 8 ? low : x * y ^ __umul64hi(x, y));
}
// how many of the first boundaries are passed by a number (`bucketize/boundaries.py`)
RANK_FUNCTION int64_t rank_count_passed(int64_t boundaries, int64_t n, double v) {
  int64_t passed = 0;
  for (int64_t k = 0; k < n; ++k) passed += ((const double*)boundaries)[k] <= v;
  return passed;
}
// 1 + the place of the last of up to 16 words that is the wanted one, 0 if none is
RANK_FUNCTION int64_t rank_last_equal(int64_t words, int64_t n, int64_t wanted) {
  for (; n > 0; --n)
    if (((const int64_t*)words)[n - 1] == wanted) break;
  return n;
}
// the second of the words of a pair, and 1 + the place of the last of up to 8 pairs that is the wanted one, 0 if none is (`word_pairs.py`)
RANK_FUNCTION uint64_t rank_high_word(uint64_t word, uint64_t n) { return rank_first_bytes(word, n < 8 ? 0 : n - 8) | n << 56; }
RANK_FUNCTION int64_t rank_last_pair(int64_t lows, int64_t highs, int64_t n, int64_t low, int64_t high) {
  int64_t at = n < 8 ? n : 8;
  for (; at > 0; --at)
    if (((const int64_t*)lows)[at - 1] == low && ((const int64_t*)highs)[at - 1] == high) break;
  return at;
}
// a word whose lowest n bits, 64 at most, are 1
RANK_FUNCTION int64_t rank_lowest_bits(int64_t n) { return n >= 64 ? -1 : ~(-1ll << n); }
// no text is read many at a time here: all are marked, and read one by one
RANK_FUNCTION void rank_decimals(int64_t, int64_t, int64_t, int64_t, int64_t groups, int64_t, int64_t marks) {
  for (int64_t k = 0; k < 8 * groups; ++k) ((uint8_t*)marks)[k] = 1;
}

// -- numbers side by side -----------------------------------------------------------------------------------------------------------
RANK_FUNCTION bool rank_is_valid(int64_t valid, int64_t bit) { return ((const uint8_t*)valid)[bit >> 3] >> (bit & 7) & 1; }
#define RANK_MASKED(name, type, put)                                                                                  \
  RANK_FUNCTION void rank_masked_##name(int64_t valid, int64_t bit, int64_t groups, type fill, int64_t out) {         \
    for (int64_t k = 0; k < 64 * groups; ++k)                                                                         \
      if (!rank_is_valid(valid, bit + k)) put(out + k * (int64_t)sizeof(type), fill);                                 \
  }
RANK_MASKED(float, float, rank_store_float)
RANK_MASKED(double, double, rank_store_double)
RANK_MASKED(i64, int64_t, rank_store_i64)
RANK_MASKED(i8, uint8_t, rank_store_i8)

// rows of vectors are not read several at a time here: they are said to differ in length
RANK_FUNCTION int64_t rank_even(int64_t, int64_t) { return -1; }
#define RANK_TILE(name, load, size)                                                                                   \
  RANK_FUNCTION void rank_tile_##name(int64_t data, int64_t stride, int64_t last, int64_t deep, int64_t out) {        \
    for (int64_t k = 0; k < deep; ++k)                                                                                \
      for (int64_t row = 0; row < 8; ++row)                                                                           \
        ((double*)out)[8 * k + row] = (double)load(data + ((row < last ? row : last) * stride + k) * size);           \
  }
RANK_TILE(i32, rank_load_int32, 4)
RANK_TILE(i64, rank_load_int64, 8)
RANK_TILE(float, rank_load_float32, 4)
RANK_TILE(double, rank_load_float64, 8)

// -- rows of tables: number k of the row at an address, divided by the row's scale ---------------------------------------------------
RANK_FUNCTION uint32_t rank_half(int64_t a) { return ((const uint8_t*)a)[0] | (uint32_t)((const uint8_t*)a)[1] << 8; }
RANK_FUNCTION float rank_fp32_at(int64_t a, int64_t k) { return ((const float*)a)[k]; }
// sign, exponent and mantissa at their places, then times 2^112 for the other bias: right for subnormal numbers too
RANK_FUNCTION float rank_fp16_at(int64_t a, int64_t k) {
  int32_t s = (int32_t)((uint32_t)(int32_t)(int16_t)rank_half(a + 2 * k) << 13);
  return __uint_as_float((uint32_t)s & 0x8FFFE000u) * 5.192296858534828e33f;
}
RANK_FUNCTION float rank_bf16_at(int64_t a, int64_t k) { return __uint_as_float(rank_half(a + 2 * k) << 16); }
RANK_FUNCTION float rank_scale_int8(int64_t a) { return __uint_as_float(((rank_half(a) & 65472u) << 13) + (78u << 23)); }
RANK_FUNCTION int32_t rank_zero_int8(int64_t a) { return (*(const uint8_t*)a & 63) << 2; }
RANK_FUNCTION float rank_int8_at(int64_t a, int64_t k, int32_t zero) { return (float)(((const uint8_t*)a)[2 + k] - zero); }
RANK_FUNCTION float rank_scale_int4(int64_t a) {
  uint32_t w = (uint32_t)(int32_t)*(const int8_t*)a << 21;
  return __uint_as_float((w & 0x8FE00000u) + (105u << 23));
}
RANK_FUNCTION float rank_int4_at(int64_t a, int64_t k) {
  uint32_t codes = ((const uint8_t*)a)[1 + k / 2];
  return (float)((int32_t)(codes << (k % 2 ? 24 : 28)) >> 28);
}
#endif
