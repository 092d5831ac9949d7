#ifndef RANK_DENSE
#define RANK_DENSE
#include <math.h>
#include <stdint.h>
// Dense layers: out[n, j] = activation(sum over k of x[n, k] w[k, j] + bias[j]), float32 with sums in float32.
//
// The smallest piece of work is 16 rows of x by 8 columns of the weight, of which the lanes of a warp have parts: lane l = 4 g + q has columns
// 2 q and the next of the sums of rows g and g + 8. That is PTX's choice for the sums of `mma.sync`, and here it is that of float32 too, so
// that all precisions are one piece of code. Of a step of K a lane reads four neighbours of rows g and g + 8 of x: on tensor cores the four
// from 4 q on of 16 inputs, in float32 all lanes the same four. Which input is which operand of the instruction is free as long as both
// sides agree; `pack` of gpu/dense.py has the weights in that order.
//
// The instructions themselves are PTX here; compiled as C++ (by tests) the emulator says what they do.
#define RANK_DEVICE static __device__ __forceinline__

enum rank_precision { RANK_FP32, RANK_BF16, RANK_FP16, RANK_TF32 };
// inputs of a step of K, and words of 32 bits of the weight that a lane reads for it and 8 columns
template <int P>
struct rank_step {
  static const int inputs = P == RANK_FP32 ? 4 : 16, words = P == RANK_FP32 ? 8 : P == RANK_TF32 ? 4 : 2;
};

#ifdef __CUDACC__
RANK_DEVICE uint32_t rank_bf16_pair(float low, float high) {
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
RANK_DEVICE uint32_t rank_fp16_pair(float low, float high) {  // what is too large is the largest
  uint32_t both;
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
RANK_DEVICE uint32_t rank_tf32(float v) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
  return bits;
}
// 16 or (tf32) 8 inputs: c += a b
template <int P>
RANK_DEVICE void rank_mma(float (&c)[4], const uint32_t* a, const uint32_t* b) {
#define RANK_MMA(kind)                                                                                                        \
  asm volatile("mma.sync.aligned." kind " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                             \
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                                        \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
  if constexpr (P == RANK_BF16) RANK_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
  if constexpr (P == RANK_FP16) RANK_MMA("m16n8k16.row.col.f32.f16.f16.f32");
  if constexpr (P == RANK_TF32) RANK_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}
#endif

// x[0], x[1]: four inputs of rows g and g + 8, as the operands of a step
template <int P>
RANK_DEVICE void rank_operands(const float (&x)[2][4], uint32_t (&a)[8]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if constexpr (P == RANK_FP32 || P == RANK_TF32) {
#pragma unroll
      for (int k = 0; k < 4; ++k) a[2 * k + r] = P == RANK_TF32 ? rank_tf32(x[r][k]) : __float_as_uint(x[r][k]);
    } else {
#pragma unroll
      for (int h = 0; h < 2; ++h)
        a[2 * h + r] = P == RANK_BF16 ? rank_bf16_pair(x[r][2 * h], x[r][2 * h + 1]) : rank_fp16_pair(x[r][2 * h], x[r][2 * h + 1]);
    }
  }
}

template <int P>
RANK_DEVICE void rank_products(float (&c)[4], const uint32_t (&a)[8], const uint32_t (&w)[rank_step<P>::words]) {
  if constexpr (P == RANK_FP32) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) c[i] = fmaf(__uint_as_float(a[2 * k + i / 2]), __uint_as_float(w[2 * k + i % 2]), c[i]);
  } else {
    rank_mma<P>(c, a, w);
    if constexpr (P == RANK_TF32) rank_mma<P>(c, a + 4, w + 2);
  }
}

// the inputs from `at` on of a row; 0 beyond the last
RANK_DEVICE void rank_four(const float* __restrict__ row, int at, int depth, float (&v)[4]) {
  if (depth % 4 == 0) {  // rows begin at multiples of 16 bytes
    float4 all = at < depth ? *(const float4*)(row + at) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
  } else {
#pragma unroll
    for (int k = 0; k < 4; ++k) v[k] = at + k < depth ? row[at + k] : 0.0f;
  }
}

RANK_DEVICE float rank_activated(float v, int activation) {
  if (activation == 1) return v < 0.0f ? 0.0f : v;
  if (activation == 2) return 1.0f / (1.0f + expf(-v));
  return activation == 3 ? tanhf(v) : v;
}

// Block number `block` of one form: R x C pieces of 16 M rows x 8 T columns side by side, each of S warps that deal the steps of K among
// themselves; their sums meet in shared memory, 32 * 4 * M * T numbers for each warp. activation: its place in ACTIVATIONS of gpu/dense.py.
template <int P, int M, int T, int R, int C, int S>
RANK_DEVICE void rank_dense_block(const float* __restrict__ x, const int32_t* __restrict__ w, const float* __restrict__ bias,
                                  float* __restrict__ out, int64_t rows, int depth, int units, int activation, int64_t block,
                                  float* sums) {
  constexpr int words = rank_step<P>::words, pairs = 2 * M * T;
  const int steps = (depth + rank_step<P>::inputs - 1) / rank_step<P>::inputs, tiles = (units + 7) / 8, across = (tiles + T * C - 1) / (T * C);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = warp % S, piece = warp / S;
  const int64_t first = (block / across * R + piece / C) * (16 * M) + lane / 4;  // the lane's
  const int tile = (int(block % across) * C + piece % C) * T;
  float c[M][T][4] = {};
  // how many steps' loads are under way: as many as fit into 128 registers (`_ahead` of gpu/dense_model.py)
  constexpr int ahead = M * T == 1 ? 4 : words == 2 ? 2 : 1;
#pragma unroll(ahead)
  for (int step = part; step < steps; step += S) {
    uint32_t a[M][8];
#pragma unroll
    for (int m = 0; m < M; ++m) {
      float v[2][4];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int64_t row = first + 16 * m + 8 * r;  // what comes of one that is not there is not written
        rank_four(x + (row < rows ? row : rows - 1) * depth, rank_step<P>::inputs * step + (P == RANK_FP32 ? 0 : 4 * (lane % 4)), depth, v[r]);
      }
      rank_operands<P>(v, a[m]);
    }
#pragma unroll
    for (int n = 0; n < T; ++n) {
      const int from = tile + n < tiles ? tile + n : tiles - 1, of = P == RANK_FP32 ? lane % 4 : lane;
      const int32_t* at = w + ((int64_t)step * tiles + from) * (P == RANK_FP32 ? 4 : 32) * words + of * words;
      uint32_t b[words];
      if constexpr (words == 2) {
        const uint2 two = *(const uint2*)at;
        b[0] = two.x, b[1] = two.y;
      } else {
#pragma unroll
        for (int k = 0; k < words; k += 4) {
          const uint4 four = *(const uint4*)(at + k);
          b[k] = four.x, b[k + 1] = four.y, b[k + 2] = four.z, b[k + 3] = four.w;
        }
      }
#pragma unroll
      for (int m = 0; m < M; ++m) rank_products<P>(c[m][n], a[m], b);
    }
  }
  if constexpr (S > 1) {
#pragma unroll
    for (int k = 0; k < 2 * pairs; ++k) sums[(warp * 2 * pairs + k) * 32 + lane] = c[k / 4 / T][k / 4 % T][k % 4];
    __syncthreads();
  }
#pragma unroll
  for (int k = 0; k < 2 * pairs; ++k) {
    if (S > 1 && k / 2 % S != part) continue;
    float v = c[k / 4 / T][k / 4 % T][k % 4];
    if constexpr (S > 1) {
      v = 0.0f;
#pragma unroll
      for (int s = 0; s < S; ++s) v += sums[((piece * S + s) * 2 * pairs + k) * 32 + lane];
    }
    const int64_t row = first + 16 * (k / 4 / T) + 8 * (k / 2 % 2);
    const int column = 8 * (tile + k / 4 % T) + 2 * (lane % 4) + k % 2;
    if (row < rows && column < units) out[row * units + column] = rank_activated(v + bias[column], activation);
  }
}

// The whole kernel: by the number of rows, small pieces that many warps share, larger ones, or four of those in a block (`GpuDense`).
template <int P, int WARPS>
static __device__ void rank_dense(const float* __restrict__ x, const int32_t* __restrict__ w, const float* __restrict__ bias,
                                  float* __restrict__ out, int64_t rows, int depth, int units, int activation, int small_rows,
                                  int middle_rows) {
  __shared__ float sums[WARPS * 1024];
  if (rows <= small_rows)
    rank_dense_block<P, 1, 1, 1, 1, WARPS>(x, w, bias, out, rows, depth, units, activation, blockIdx.x, sums);
  else if (rows <= middle_rows)
    rank_dense_block<P, 2, 4, 1, 1, WARPS>(x, w, bias, out, rows, depth, units, activation, blockIdx.x, sums);
  else
    rank_dense_block<P, 2, 4, 2, 2, WARPS / 4>(x, w, bias, out, rows, depth, units, activation, blockIdx.x, sums);
}

// Layers of few outputs, float32: a warp has a row, each lane every 32nd four of its inputs. w: (J, K), or with zeros behind K.
template <int J, int WARPS>
static __device__ void rank_dense_rows(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                                       float* __restrict__ out, int64_t rows, int depth, int padded, int activation) {
  const int lane = threadIdx.x % 32;
  const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
  if (row >= rows) return;  // all lanes of a warp
  float sums[J] = {};
#pragma unroll 4
  for (int at = 4 * lane; at < depth; at += 128) {
    float v[4];
    rank_four(x + row * depth, at, depth, v);
#pragma unroll
    for (int j = 0; j < J; ++j) {
      const float4 of = *(const float4*)(w + j * padded + at);
      sums[j] = fmaf(v[3], of.w, fmaf(v[2], of.z, fmaf(v[1], of.y, fmaf(v[0], of.x, sums[j]))));
    }
  }
#pragma unroll
  for (int j = 0; j < J; ++j)
#pragma unroll
    for (int other = 16; other > 0; other /= 2) sums[j] += __shfl_xor_sync(~0u, sums[j], other);
  if (lane == 0)
#pragma unroll
    for (int j = 0; j < J; ++j) out[row * J + j] = rank_activated(sums[j] + bias[j], activation);
}
#endif
