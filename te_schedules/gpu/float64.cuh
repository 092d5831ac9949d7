#ifndef RANK_FLOAT64
#define RANK_FLOAT64
// log, log2, log10, exp and pow of float64 as kernels for CPUs get them from the C library. CUDA's own are of another last bit: its log10(0.1)
// is -0.9999999999999999, its pow(10, -4) 9.999999999999999e-05. Nothing here is fused by the compiler: each operation is rounded by itself.
//
//     log    x = 2^k m, m next to 1: k ln2 + log(m), and log(m) = 2 atanh(s) = 2 s (1 + z/3 + z^2/5 + ...), s = (m - 1) / (m + 1), z = s^2
//
// in sums of two float64, whose relative error is some 2^-70; so the result is the nearest float64 but for one of some 100,000 numbers. The C
// library's log is within 0.52 of the last bit. Its log10 is a formula with float64's rounding around its log, which this one follows.
struct rank_pair { double high, low; };  // a sum; `low` is at most half of the last bit of `high`

// a + b without an error, where a is 0 or not smaller than b
RANK_FUNCTION rank_pair rank_pair_of(double a, double b) {
  double sum = __dadd_rn(a, b);
  return {sum, __dadd_rn(b, -__dadd_rn(sum, -a))};
}
RANK_FUNCTION rank_pair rank_pair_sum(rank_pair a, rank_pair b) {
  rank_pair sum = rank_pair_of(a.high, b.high);
  return rank_pair_of(sum.high, __dadd_rn(sum.low, __dadd_rn(a.low, b.low)));
}
RANK_FUNCTION rank_pair rank_pair_product(rank_pair a, rank_pair b) {
  double product = __dmul_rn(a.high, b.high), rest = __fma_rn(a.high, b.high, -product);
  return rank_pair_of(product, __fma_rn(a.high, b.low, __fma_rn(a.low, b.high, rest)));
}

// log(m) of m from 0.7 to 1.5
RANK_FUNCTION rank_pair rank_log_near_one(double m) {
  double f = __dadd_rn(m, -1.0);
  rank_pair divisor = rank_pair_of(2.0, f);
  double quotient = __ddiv_rn(f, divisor.high);
  double rest = __fma_rn(-quotient, divisor.low, __fma_rn(-quotient, divisor.high, f));
  rank_pair s = rank_pair_of(quotient, __ddiv_rn(rest, divisor.high)), z = rank_pair_product(s, s);
  double tail = 1.0 / 31;
#pragma unroll
  for (int n = 29; n >= 7; n -= 2) tail = __fma_rn(tail, z.high, 1.0 / n);
  const rank_pair third = {0x1.5555555555555p-2, 0x1.5555555555555p-56}, fifth = {0x1.999999999999ap-3, -0x1.999999999999ap-57};
  rank_pair series = rank_pair_sum(third, rank_pair_product(z, rank_pair_sum(fifth, rank_pair_product(z, {tail, 0.0}))));
  rank_pair twice = {2.0 * s.high, 2.0 * s.low};
  return rank_pair_sum(twice, rank_pair_product(twice, rank_pair_product(z, series)));
}

// x = 2^power m with 1 <= m < 2, of a finite x > 0
RANK_FUNCTION int rank_parts(double x, double* m) {
  int scale = x < 0x1p-1022 ? 54 : 0;
  if (scale) x = __dmul_rn(x, 0x1p54);
  uint64_t bits = (uint64_t)__double_as_longlong(x);
  *m = __longlong_as_double((long long)((bits & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull));
  return (int)(bits >> 52) - 1023 - scale;
}
RANK_FUNCTION bool rank_has_log(double x) { return x > 0.0 && x < __longlong_as_double(0x7FF0000000000000ll); }
// the logarithm, in any base, of a number that is not above 0, or not finite
RANK_FUNCTION double rank_log_of_others(double x) {
  if (x == 0.0) return __longlong_as_double((long long)0xFFF0000000000000ull);
  return x < 0.0 ? __longlong_as_double(0x7FF8000000000000ll) : x;
}
// the power of 2 of x, and the logarithm of what is left, from sqrt(1/2) to sqrt(2)
RANK_FUNCTION int rank_log_parts(double x, rank_pair* rest) {
  double m;
  int power = rank_parts(x, &m);
  bool upper = m > 0x1.6a09e667f3bcdp+0;
  *rest = rank_log_near_one(upper ? 0.5 * m : m);
  return power + upper;
}

// log(x) of a finite x > 0
RANK_FUNCTION rank_pair rank_log_pair(double x) {
  rank_pair rest;
  double power = (double)rank_log_parts(x, &rest);
  double product = __dmul_rn(power, 0x1.ef35793c76730p-45);  // ln2 in three parts; the first has 42 bits
  double below = __fma_rn(power, 0x1.f97b57a079a19p-103, __fma_rn(power, 0x1.ef35793c76730p-45, -product));
  rank_pair whole = rank_pair_sum(rank_pair_of(__dmul_rn(power, 0x1.62e42fefa3800p-1), product), {below, 0.0});
  return power == 0.0 ? rest : rank_pair_sum(whole, rest);
}
RANK_FUNCTION double rank_log(double x) { return rank_has_log(x) ? rank_log_pair(x).high : rank_log_of_others(x); }
RANK_FUNCTION double rank_log2(double x) {
  if (!rank_has_log(x)) return rank_log_of_others(x);
  rank_pair rest;
  double power = (double)rank_log_parts(x, &rest);
  rank_pair fraction = rank_pair_product(rest, {0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56});
  return power == 0.0 ? fraction.high : rank_pair_sum({power, 0.0}, fraction).high;
}
// with the C library's roundings: y log10(2) in two parts, of a whole y, and log(m) / ln10, where m is below 1 if y is negative
RANK_FUNCTION double rank_log10(double x) {
  if (!rank_has_log(x)) return rank_log_of_others(x);
  double m;
  int power = rank_parts(x, &m), negative = power < 0;
  double y = (double)(power + negative), ln = rank_log(negative ? 0.5 * m : m);
  double low = __dadd_rn(__dmul_rn(y, 3.69423907715893078616e-13), __dmul_rn(4.34294481903251816668e-01, ln));
  return __dadd_rn(low, __dmul_rn(y, 3.01029995663611771306e-01));
}

// e^t where that is a normal number: 2^k times e^r = 1 + r + r^2/2 + ..., with t = k ln2 + r, r from -0.35 to 0.35
RANK_FUNCTION double rank_exp_pair(rank_pair t) {
  double k = rint(__dmul_rn(t.high, 0x1.71547652b82fep+0)), near = __fma_rn(-k, 0x1.62e42fefa3800p-1, t.high);  // exact
  double product = __dmul_rn(k, 0x1.ef35793c76730p-45), high = __dadd_rn(near, -product), back = __dadd_rn(high, product);
  double lost = __dadd_rn(__dadd_rn(near, -back), -__dadd_rn(__dadd_rn(high, -back), product));
  double below = __fma_rn(k, 0x1.f97b57a079a19p-103, __fma_rn(k, 0x1.ef35793c76730p-45, -product));
  rank_pair r = rank_pair_of(high, __dadd_rn(lost, __dadd_rn(t.low, -below)));
  double tail = 1.0 / 19;
#pragma unroll
  for (int n = 18; n >= 6; --n) tail = __fma_rn(__dmul_rn(tail, r.high), 1.0 / n, 1.0 / n);  // 1/6 + r/(6 7) + r^2/(6 7 8) + ...
  tail = __fma_rn(__dmul_rn(tail, r.high), 1.0 / 120, 1.0 / 120);
  rank_pair series = rank_pair_sum({0x1.5555555555555p-5, 0x1.5555555555555p-59}, rank_pair_product(r, {tail, 0.0}));  // 1/24 + ...
  series = rank_pair_sum({0x1.5555555555555p-3, 0x1.5555555555555p-57}, rank_pair_product(r, series));
  series = rank_pair_sum({0.5, 0.0}, rank_pair_product(r, series));
  series = rank_pair_sum({1.0, 0.0}, rank_pair_product(r, series));
  series = rank_pair_sum({1.0, 0.0}, rank_pair_product(r, series));
  return __dmul_rn(series.high, __longlong_as_double((long long)(1023 + (int)k) << 52));
}
RANK_FUNCTION bool rank_is_usual(double x) { return fabs(x) >= 0x1p-1021 && fabs(x) <= 0x1p1023; }
// CUDA's where the result is 0, tiny, infinite or NaN
RANK_FUNCTION double rank_exp(double x) {
  double found = exp(x);
  return rank_is_usual(found) ? rank_exp_pair({x, 0.0}) : found;
}
RANK_FUNCTION double rank_pow(double x, double y) {
  double found = pow(x, y);
  if (!rank_is_usual(found) || fabs(x) == 1.0 || !rank_has_log(fabs(x))) return found;
  return copysign(rank_exp_pair(rank_pair_product(rank_log_pair(fabs(x)), {y, 0.0})), found);
}
#endif
