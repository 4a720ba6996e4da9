#ifndef GQA_RUNTIME_CACHE_PACKEDROWS_H
#define GQA_RUNTIME_CACHE_PACKEDROWS_H

#include "runtime/cache/AttendMemory.h"

#include <dlpack/dlpack.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gqa::cache {

/// A tensor [tokens, ...] of the rows of many sequences, one after another: queries, outputs and the like.
class PackedRows {
public:
  /// Throws gqa::Failure (GQA_INVALID_ARGUMENT) unless `tensor` is on `device`, has extents `shape` (-1: any), rows of
  /// stride 1 and data. `what` begins the message.
  PackedRows(const DLTensor *tensor, const std::string &what, const std::vector<int64_t> &shape, DLDevice device);

  /// Throws unless elements are of the type that MLIR calls `name`, f32, f16, bf16 or i8 (any byte), and aligned.
  void requireType(const std::string &name) const;

  int64_t getTokens() const { return shape[0]; }
  const std::vector<int64_t> &getShape() const { return shape; }
  /// In elements.
  const std::vector<int64_t> &getStrides() const { return strides; }
  int64_t getElementBytes() const { return dtype.bits / 8; }
  char *getRow(int64_t token) const { return data + token * strides[0] * getElementBytes(); }

private:
  std::string what;
  char *data;
  DLDataType dtype;
  std::vector<int64_t> shape, strides;
};

/// The rows of some sequences, `count` of each: in place where one stride leads from sequence to sequence, else copied.
class RowGroup {
public:
  /// Sequence i has the rows from firstRows[i] on. A copy is taken from `memory`.
  RowGroup(const PackedRows &rows, const std::vector<int64_t> &firstRows, int64_t count, AttendMemory &memory);

  /// Fills the copy, if there is one, or writes it back.
  void gather() { move(/*isBack=*/false); }
  void scatter() { move(/*isBack=*/true); }

  void *getData() const { return copy ? copy : rows.getRow(firstRows[0]); }
  int64_t getNumSequences() const { return static_cast<int64_t>(firstRows.size()); }
  int64_t getCount() const { return count; }
  /// In elements.
  int64_t getSequenceStride() const { return sequenceStride; }
  int64_t getRowStride() const { return rowStride; }
  int64_t getHeadStride() const { return headStride; }

private:
  void move(bool isBack) const;

  const PackedRows &rows;
  const std::vector<int64_t> &firstRows;
  int64_t count;
  int64_t sequenceStride, rowStride, headStride;
  AttendMemory &memory;
  char *copy = nullptr;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_PACKEDROWS_H
