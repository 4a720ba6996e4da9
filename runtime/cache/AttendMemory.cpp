#include "runtime/cache/AttendMemory.h"

#include <cstring>

namespace gqa::cache {

void *HostAttendMemory::take(int64_t bytes) {
  buffers.emplace_back(static_cast<size_t>(std::max<int64_t>(bytes, 1)));
  return buffers.back().data();
}

void HostAttendMemory::put(int32_t *to, const std::vector<int32_t> &words) {
  std::copy(words.begin(), words.end(), to);
}

void HostAttendMemory::move(const RowMove &rows, bool isBack) {
  char *copied = rows.copied;
  for (int64_t first : *rows.firstRows)
    for (int64_t row = 0; row < rows.count; ++row)
      for (int64_t head = 0; head < rows.heads; ++head, copied += rows.headBytes) {
        char *packed = rows.packed + (first + row) * rows.rowStride + head * rows.headStride;
        std::memcpy(isBack ? packed : copied, isBack ? copied : packed, static_cast<size_t>(rows.headBytes));
      }
}

void *WorkspaceMeasure::take(int64_t bytes) {
  // The first address is no null pointer, even where there is no workspace.
  char *address = (begin ? begin : reinterpret_cast<char *>(kAlignment)) + used;
  used += (std::max<int64_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  most = std::max(most, used);
  return address;
}

} // namespace gqa::cache
