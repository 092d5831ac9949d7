#ifndef RANK_TENSOR_CORES
#define RANK_TENSOR_CORES
#include <math.h>
#include <stdint.h>
// Dense layers by `mma.sync.m16n8k16`: 32 threads multiply 16 rows of x by 8 columns of the weight, 16 inputs at a time, bf16 with float32
// sums. Which thread has which numbers is PTX's choice: lane l has rows l / 4 and l / 4 + 8, inputs 2 (l % 4) and the next, and those 8
// behind, of x; the same inputs of column l / 4 of the weight; columns 2 (l % 4) and the next of the sums.
//
// Compiled as C++ (by tests), the first thread of 32 does the work of all, lane by lane, and `rank_mma` says what the instruction does.
#ifdef __CUDACC__
#define RANK_HELD 1  // a thread holds its own lane's numbers
#define RANK_LANE(o) (thread & 31)
#else
#define RANK_HELD 32
#define RANK_LANE(o) (o)
#endif

static __device__ __forceinline__ uint32_t rank_bf16_pair(float low, float high) {
#ifdef __CUDACC__
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#else
  uint32_t halves[2];
  for (int k = 0; k < 2; ++k) {
    uint32_t bits = __float_as_uint(k ? high : low);
    bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    halves[k] = is_nan ? 0x7FFFu : (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
  }
  return halves[0] | halves[1] << 16;
#endif
}

static __device__ __forceinline__ void rank_mma(float (&c)[RANK_HELD][4], const uint32_t (&a)[RANK_HELD][4], const uint32_t (&b)[RANK_HELD][2]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3])
      : "r"(a[0][0]), "r"(a[0][1]), "r"(a[0][2]), "r"(a[0][3]), "r"(b[0][0]), "r"(b[0][1]));
#else
  float rows[16][16], columns[8][16];
  for (int l = 0; l < 32; ++l)
    for (int half = 0; half < 2; ++half)
      for (int r = 0; r < 4; ++r) {
        int k = 2 * (l % 4) + half + 8 * (r / 2);
        rows[l / 4 + 8 * (r % 2)][k] = __uint_as_float(a[l][r] >> 16 * half << 16);
        if (r % 2 == 0) columns[l / 4][k] = __uint_as_float(b[l][r / 2] >> 16 * half << 16);
      }
  for (int l = 0; l < 32; ++l)
    for (int r = 0; r < 4; ++r)
      for (int k = 0; k < 16; ++k) c[l][r] += rows[l / 4 + 8 * (r / 2)][k] * columns[2 * (l % 4) + r % 2][k];
#endif
}

static __device__ __forceinline__ float rank_activated(float v, int activation) {
  if (activation == 1) return v < 0.0f ? 0.0f : v;
  if (activation == 2) return 1.0f / (1.0f + expf(-v));
  return activation == 3 ? tanhf(v) : v;
}

// out[n, j] = activation(sum over k of x[n, k] w[k, j] + bias[j]) for 32 rows from `first` and 32 columns from 8 * `tile`; all 32 threads
// that share thread / 32 call it with the same numbers. w: `pack` of gpu/dense.py. activation: its place in ACTIVATIONS there.
static __device__ void rank_dense_bf16(const float* __restrict__ x, const int32_t* __restrict__ w, const float* __restrict__ bias,
                                       float* __restrict__ out, int64_t rows, int depth, int units, int64_t first, int tile, int activation,
                                       int thread) {
  const int steps = (depth + 15) / 16, tiles = (units + 7) / 8;
  if (first >= rows || tile >= tiles) return;
#ifndef __CUDACC__
  if (thread & 31) return;
#endif
  float c[2][4][RANK_HELD][4] = {};
  for (int step = 0; step < steps; ++step) {
    uint32_t a[2][RANK_HELD][4], b[4][RANK_HELD][2];
#pragma unroll
    for (int o = 0; o < RANK_HELD; ++o) {
      const int l = RANK_LANE(o), k = 16 * step + 2 * (l % 4);
#pragma unroll
      for (int r = 0; r < 8; ++r) {  // rows l / 4 + 0, 8, 16, 24, their inputs k and k + 8
        int64_t row = first + l / 4 + 8 * (r / 2);
        row = row < rows ? row : rows - 1;  // what comes of it is not written
        const int at = k + 8 * (r % 2);
        const float* of = x + row * depth + at;
        a[r / 4][o][r / 2 % 2 + 2 * (r % 2)] = rank_bf16_pair(at < depth ? of[0] : 0.0f, at + 1 < depth ? of[1] : 0.0f);
      }
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        const int from = tile + n < tiles ? tile + n : tiles - 1;
        const int32_t* words = w + ((int64_t(step) * tiles + from) * 32 + l) * 2;
        b[n][o][0] = (uint32_t)words[0];
        b[n][o][1] = (uint32_t)words[1];
      }
    }
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int n = 0; n < 4; ++n) rank_mma(c[m][n], a[m], b[n]);
  }
#pragma unroll
  for (int o = 0; o < RANK_HELD; ++o) {
    const int l = RANK_LANE(o);
#pragma unroll
    for (int k = 0; k < 32; ++k) {
      const int64_t row = first + l / 4 + 16 * (k / 16) + 8 * (k / 2 % 2);
      const int column = 8 * (tile + k / 4 % 4) + 2 * (l % 4) + k % 2;
      if (row < rows && column < units)
        out[row * units + column] = rank_activated(c[k / 16][k / 4 % 4][o][k % 4] + bias[column], activation);
    }
  }
}
#endif
