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

// a status, 1 + row + 2^40 rule: of those that threads write the last row stays, and of its rules the first, as in a loop over rows, which
// tests a row's elements before their values (`feature/kind.py`)
RANK_FUNCTION uint64_t rank_status_order(uint64_t v) { return v == 0 ? 0 : ((v - 1) & 0xFFFFFFFFFFull) << 8 | (255 - ((v - 1) >> 40)); }
RANK_FUNCTION void rank_store_last(int64_t a, int64_t v) {
  unsigned long long* p = (unsigned long long*)a;
  unsigned long long found = *(volatile unsigned long long*)p;
  while (rank_status_order(found) < rank_status_order((uint64_t)v)) {
    unsigned long long expected = found;
    if ((found = atomicCAS(p, expected, (unsigned long long)v)) == expected) return;
  }
}

// an address as an argument that wants a pointer of any type
struct rank_pointer {
  int64_t address;
  template <typename T>
  __device__ operator T*() const { return (T*)address; }
};
RANK_FUNCTION rank_pointer rank_pointer_to(int64_t a) { return rank_pointer{a}; }

// Memory that a thread takes for itself (`thread_memory.owner`). `owner` leads to local memory of it:
//   last piece of the heap | address of a status | refusal | bytes in use | RANK_OWN_BYTES, pieces one behind the other
// A piece has 16 bytes in front of it: its whole size there, or, if it is of the device's heap, the pieces that were taken before and behind it.
// A thread for which the heap has no more gives back all that it has, refuses its row and ends; no other waits for it.
#define RANK_OWN_BYTES 2048
#ifdef __CUDACC__
RANK_FUNCTION void rank_end_thread() { asm volatile("exit;"); }
#endif
static __device__ __noinline__ int64_t rank_take_memory(int64_t owner, int64_t size) {
  int64_t* o = (int64_t*)owner;
  const uint64_t whole = (((uint64_t)size + 15) & ~15ull) + 16;
  if ((uint64_t)size < RANK_OWN_BYTES && (uint64_t)o[3] + whole <= RANK_OWN_BYTES) {
    int64_t* piece = o + 4 + o[3] / 8;
    piece[0] = (int64_t)whole, o[3] += (int64_t)whole;
    return (int64_t)(piece + 2);
  }
  int64_t* piece = (uint64_t)size < 1ull << 40 ? (int64_t*)malloc((uint64_t)size + 16) : nullptr;
  if (piece == nullptr) {
    for (int64_t* each = (int64_t*)o[0]; each != nullptr;) {
      int64_t* before = (int64_t*)each[0];
      free(each);
      each = before;
    }
    rank_store_last(o[1], o[2]);
    rank_end_thread();
  }
  piece[0] = o[0], piece[1] = 0;
  if (o[0] != 0) ((int64_t*)o[0])[1] = (int64_t)piece;
  o[0] = (int64_t)piece;
  return (int64_t)(piece + 2);
}
static __device__ __noinline__ void rank_give_memory(int64_t owner, int64_t a) {
  int64_t *o = (int64_t*)owner, *piece = (int64_t*)a - 2;
  if (piece >= o + 4 && piece < o + 4 + RANK_OWN_BYTES / 8) {  // what is not the last one stays until the thread ends
    if (piece + piece[0] / 8 == o + 4 + o[3] / 8) o[3] -= piece[0];
    return;
  }
  if (piece[0] != 0) ((int64_t*)piece[0])[1] = piece[1];
  if (piece[1] != 0)
    ((int64_t*)piece[1])[0] = piece[0];
  else
    o[0] = piece[0];
  free(piece);
}

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

// -- rows of tables -----------------------------------------------------------------------------------------------------------------
// Of a row of `dim` numbers a thread, which is lane `lane` of `lanes` that share the row, has pieces lane, lane + lanes, ... of `piece`
// numbers: reads of neighbours are neighbours. A row divided by its scale and less its zero is what a piece is read as.
RANK_FUNCTION uint32_t rank_half(int64_t a) { return ((const uint8_t*)a)[0] | (uint32_t)((const uint8_t*)a)[1] << 8; }
RANK_FUNCTION float rank_scale_int8(int64_t a) { return __uint_as_float(((rank_half(a) & 65472u) << 13) + (78u << 23)); }
RANK_FUNCTION int32_t rank_zero_int8(int64_t a) { return (*(const uint8_t*)a & 63) << 2; }
RANK_FUNCTION float rank_scale_int4(int64_t a) {
  uint32_t w = (uint32_t)(int32_t)*(const int8_t*)a << 21;
  return __uint_as_float((w & 0x8FE00000u) + (105u << 23));
}

// 1, 2 or 4 words at a multiple of their size, in one read
template <int count>
RANK_FUNCTION void rank_read_words(int64_t a, uint32_t* words) {
  if constexpr (count == 4) {
    uint4 v = __ldg((const uint4*)a);
    words[0] = v.x, words[1] = v.y, words[2] = v.z, words[3] = v.w;
  } else if constexpr (count == 2) {
    uint2 v = __ldg((const uint2*)a);
    words[0] = v.x, words[1] = v.y;
  } else {
    words[0] = __ldg((const uint32_t*)a);
  }
}
// words at any address, by reads of the aligned words that have a byte of them
template <int count>
RANK_FUNCTION void rank_read_bytes(int64_t a, uint32_t* words) {
  const uint32_t* p = (const uint32_t*)(a & ~3);
  int bits = (int)(a & 3) * 8;
  uint32_t low = __ldg(p);
#pragma unroll
  for (int k = 0; k < count; ++k) {
    uint32_t high = bits != 0 || k + 1 < count ? __ldg(p + k + 1) : 0;
    words[k] = (uint32_t)(((uint64_t)high << 32 | low) >> bits);
    low = high;
  }
}
struct rank_fp32 {
  template <int piece>
  __device__ __forceinline__ static void read(int64_t row, int k, int32_t, float* v) {
    uint32_t words[piece];
    rank_read_words<piece>(row + 4 * k, words);
    for (int i = 0; i < piece; ++i) v[i] = __uint_as_float(words[i]);
  }
};
template <int piece>
RANK_FUNCTION void rank_read_halves(int64_t a, uint32_t* halves) {
  if constexpr (piece == 1) {
    halves[0] = __ldg((const uint16_t*)a);
  } else {
    uint32_t words[piece / 2];
    rank_read_words<piece / 2>(a, words);
    for (int i = 0; i < piece; ++i) halves[i] = i % 2 ? words[i / 2] >> 16 : words[i / 2] & 0xFFFFu;
  }
}
// sign, exponent and mantissa at their places, then times 2^112 for the other bias: right for subnormal numbers too
struct rank_fp16 {
  template <int piece>
  __device__ __forceinline__ static void read(int64_t row, int k, int32_t, float* v) {
    uint32_t halves[piece];
    rank_read_halves<piece>(row + 2 * k, halves);
    for (int i = 0; i < piece; ++i) {
      uint32_t s = (uint32_t)(int32_t)(int16_t)halves[i] << 13;
      v[i] = __uint_as_float(s & 0x8FFFE000u) * 5.192296858534828e33f;
    }
  }
};
struct rank_bf16 {
  template <int piece>
  __device__ __forceinline__ static void read(int64_t row, int k, int32_t, float* v) {
    uint32_t halves[piece];
    rank_read_halves<piece>(row + 2 * k, halves);
    for (int i = 0; i < piece; ++i) v[i] = __uint_as_float(halves[i] << 16);
  }
};
struct rank_int8 {
  template <int piece>
  __device__ __forceinline__ static void read(int64_t row, int k, int32_t zero, float* v) {
    uint32_t words[piece / 4];
    rank_read_bytes<piece / 4>(row + 2 + k, words);
    for (int i = 0; i < piece; ++i) v[i] = (float)((int32_t)(words[i / 4] >> 8 * (i % 4) & 255u) - zero);
  }
};
struct rank_int4 {
  template <int piece>
  __device__ __forceinline__ static void read(int64_t row, int k, int32_t, float* v) {
    uint32_t words[piece / 8];
    rank_read_bytes<piece / 8>(row + 1 + k / 2, words);
    for (int i = 0; i < piece; ++i) v[i] = (float)((int32_t)(words[i / 8] << (28 - 4 * (i % 8))) >> 28);
  }
};
__device__ constexpr int rank_unrolled(int pieces, int piece) { return pieces * piece <= 128 ? pieces : 1; }

template <int count>
RANK_FUNCTION void rank_fill(float* sums, float value) {
#pragma unroll
  for (int k = 0; k < count; ++k) sums[k] = value;
}
// a thread's sums and `share` times the numbers of its pieces, rounded once, or the largest of both
template <typename numbers, int piece, int lanes, int dim, bool largest>
RANK_FUNCTION void rank_add_row(float* sums, int64_t row, int lane, float share, int32_t zero) {
  constexpr int pieces = (dim + piece * lanes - 1) / (piece * lanes);
#pragma unroll rank_unrolled(pieces, piece)
  for (int j = 0; j < pieces; ++j) {
    int k = (j * lanes + lane) * piece;
    if (k < dim) {
      float v[piece];
      numbers::template read<piece>(row, k, zero, v);
#pragma unroll
      for (int i = 0; i < piece; ++i) {
        float* sum = sums + j * piece + i;
        *sum = largest ? fmaxf(*sum, v[i] * share) : fmaf(v[i], share, *sum);
      }
    }
  }
}
// the sums of the numbers of a thread to a row of the output at `out`, divided; zeros for the divisor 0
template <int piece, int lanes, int dim>
RANK_FUNCTION void rank_put_row(const float* sums, int64_t out, int lane, float divisor) {
  constexpr int pieces = (dim + piece * lanes - 1) / (piece * lanes), wide = piece < 4 ? piece : 4;
#pragma unroll rank_unrolled(pieces, piece)
  for (int j = 0; j < pieces; ++j)
#pragma unroll
    for (int part = 0; part < piece; part += wide) {
      int k = (j * lanes + lane) * piece + part;
      if (k >= dim) break;
      float v[wide];
#pragma unroll
      for (int i = 0; i < wide; ++i) {
        float sum = sums[j * piece + part + i];
        v[i] = divisor == 1.0f ? sum : divisor == 0.0f ? 0.0f : sum / divisor;
      }
      int64_t a = out + 4 * k;
      if constexpr (wide == 4) {
        if (k + 4 <= dim && (a & 15) == 0) {
          *(float4*)a = make_float4(v[0], v[1], v[2], v[3]);
          continue;
        }
      }
      if constexpr (wide >= 2) {
        if (k + wide <= dim && (a & 7) == 0) {
          for (int i = 0; i < wide; i += 2) *(float2*)(a + 4 * i) = make_float2(v[i], v[i + 1]);
          continue;
        }
      }
      for (int i = 0; i < wide; ++i)
        if (k + i < dim) ((float*)a)[i] = v[i];
    }
}
#endif
