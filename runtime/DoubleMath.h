#ifndef GQA_RUNTIME_DOUBLEMATH_H
#define GQA_RUNTIME_DOUBLEMATH_H

#include <stdint.h>

/// exp and log in double, to about the last bit, with the same bits on the host and on a device, whose code includes
/// this and has no library. Polynomials and reductions are those of fdlibm's e_exp.c and e_log.c.
namespace gqa {

inline double scaleByPower(double x, int64_t exponent) {
  uint64_t bits = static_cast<uint64_t>(1023 + exponent) << 52;
  double power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return x * power;
}

/// exp(x) for x <= 0; NaN for NaN.
inline double computeExp(double x) {
#pragma STDC FP_CONTRACT OFF
  if (x != x || x == 0)
    return x != x ? x : 1;
  if (x < -746)
    return 0;
  double k = __builtin_rint(x * 0x1.71547652b82fep+0);
  double high = x - k * 6.93147180369123816490e-01, low = k * 1.90821492927058770002e-10;
  double r = high - low, t = r * r;
  double c =
      r -
      t * (1.66666666666666019037e-01 +
           t * (-2.77777777770155933842e-03 +
                t * (6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  double y = 1 - ((low - r * c / (2 - c)) - high);
  auto exponent = static_cast<int64_t>(k);
  return exponent >= -1000 ? scaleByPower(y, exponent) : scaleByPower(scaleByPower(y, exponent + 1000), -1000);
}

/// log(x) for finite x >= 2^-1022; NaN for NaN.
inline double computeLog(double x) {
#pragma STDC FP_CONTRACT OFF
  if (x != x)
    return x;
  uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = scaleByPower(x, -exponent); // in [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  double f = m - 1, s = f / (2 + f), z = s * s, w = z * z;
  double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  double odd = z * (6.666666666666735130e-01 +
                    w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  double half = 0.5 * f * f, k = static_cast<double>(exponent);
  return k * 6.93147180369123816490e-01 - ((half - (s * (half + (even + odd)) + k * 1.90821492927058770002e-10)) - f);
}

} // namespace gqa

#endif // GQA_RUNTIME_DOUBLEMATH_H
