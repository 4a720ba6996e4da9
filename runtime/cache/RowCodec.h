#ifndef GQA_RUNTIME_CACHE_ROWCODEC_H
#define GQA_RUNTIME_CACHE_ROWCODEC_H

#include "runtime/cache/ElementType.h"

namespace gqa::cache {

/// Writes the `dim` floats of `row` as `type` to `out` (getRowBytes(type, dim) bytes).
///
/// Quantised types store q[d] = round(row[d] / s[d]), so that row[d] ~ s[d] * q[d]. Without `channelScales`, s is the
/// same for all d: max |row| / getLargest(type), returned through `scale` (0 for a row of zeros). With them, s is
/// channelScales[d], what is out of range is clamped, and `scale` is not touched.
///
/// A row with a NaN or an infinity gets the scale NaN: it reads back as NaN throughout, and no other row changes. With
/// channel scales a NaN becomes 0 in integer types.
void encodeRow(ElementType type, const float *row, int64_t dim, const float *channelScales, void *out, float *scale);

/// Reads a row back: the inverse of encodeRow up to rounding. `scale` is not used by types that are not quantised.
void decodeRow(ElementType type, const void *in, int64_t dim, const float *channelScales, float scale, float *row);

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ROWCODEC_H
