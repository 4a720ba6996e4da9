#ifndef GQA_TOOLS_MEDIAN_H
#define GQA_TOOLS_MEDIAN_H

#include <algorithm>
#include <cassert>
#include <vector>

namespace gqa {

/// The middle of `values`, of which there is at least one; the mean of the two middle ones of an even number.
inline double median(std::vector<double> values) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

} // namespace gqa

#endif // GQA_TOOLS_MEDIAN_H
