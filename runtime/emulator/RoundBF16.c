/* Where a CPU has no bf16, LLVM moves bf16 through f32 and calls this function of its own run-time library, which
 * artifacts do not link. The result travels in a register as _Float16 does. */
#include <stdint.h>
#include <string.h>

__attribute__((visibility("hidden"))) _Float16 __truncsfbf2(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000)
    bits |= 0x400000; /* a NaN stays one */
  else
    bits += 0x7fff + ((bits >> 16) & 1);
  uint16_t upper = (uint16_t)(bits >> 16);
  _Float16 result;
  memcpy(&result, &upper, sizeof result);
  return result;
}
