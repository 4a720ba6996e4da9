#ifndef GQA_TOOLS_CACHEDDECODE_H
#define GQA_TOOLS_CACHEDDECODE_H

#include "runtime/cuda/Resources.h"
#include "tools/DecodePlan.h"
#include "tools/LoadedArtifact.h"
#include "tools/SeededData.h"

#include <memory>

namespace gqa {

/// Where a case is measured, if not on the CPU: a device, a stream, and memory that empties the L2 cache. Throws
/// gqa::Failure.
struct DecodeDevice {
  explicit DecodeDevice(const std::shared_ptr<const cuda::Device> &device);

  /// Seconds between events of what `start` starts on the stream, with the L2 cache empty.
  template <typename Start> double time(Start start) const {
    stream.fill(cold.getPointer(), 0, cold.getBytes());
    begin.record(stream);
    start();
    end.record(stream);
    end.synchronize();
    return end.getSecondsSince(begin);
  }

  std::shared_ptr<const cuda::Device> device;
  cuda::Stream stream;
  cuda::Memory cold;
  cuda::Event begin, end;
};

/// A DLTensor [tokens, heads, dim] of f16, with memory of its own, on a device if there is one.
class HalfRows {
public:
  HalfRows(int64_t tokens, int64_t heads, int64_t dim, const DecodeDevice *place);
  HalfRows(const HalfRows &) = delete;

  void setTokens(int64_t tokens) { shape[0] = tokens; }
  /// Makes the tensor begin at another row.
  void setBegin(int64_t row) {
    tensor.byte_offset = static_cast<uint64_t>(row * shape[1] * shape[2]) * sizeof(uint16_t);
  }
  DLTensor *get() { return &tensor; }

  /// Row `row` as floats.
  std::vector<float> read(int64_t row);

private:
  int64_t shape[3];
  ElementBuffer buffer;
  const DecodeDevice *place;
  cuda::Memory memory;
  DLTensor tensor = {};
};

/// The cache of one case, full of pseudo-random tokens, and its decoding step.
class CachedDecode {
public:
  /// `entry` of `artifact` attends; `place`: on a device, null: on the CPU. Throws std::runtime_error or gqa::Failure,
  /// as the other functions do.
  CachedDecode(const DecodePlan &plan, const DecodeCase &layout, std::string entry, const LoadedArtifact &artifact,
               const DecodeDevice *place = nullptr);
  ~CachedDecode();

  /// One step of all sequences; seconds. On a device a CUDA graph, captured at the first step, is launched.
  double decode();

  /// Compares the last step with attention in double to what is stored: the first and the last head of the first and
  /// the last sequence. Throws std::runtime_error if they differ by more than f16 explains.
  void checkResults();

  /// Seconds that as many keys would take if 256 of them were all: what is left when memory costs nothing.
  double decodeInCaches();

  /// Bytes of keys, values and scales that a step reads if it reads each once.
  double countBytes() const;

private:
  void check(gqa_status status) const;
  void create();
  void scatterPages();
  void fill();
  void append(gqa_sequence sequence, int64_t number);
  int64_t countCopies() const { return layout.sharesPrefix ? 1 : layout.sequences; }
  void prepareDevice();
  double attend(const std::vector<gqa_sequence> &names);
  void capture(const std::vector<gqa_sequence> &names, gqa_attend_arguments &arguments);
  void start(const std::vector<gqa_sequence> &names, const gqa_attend_arguments &arguments);
  void checkRow(int64_t sequence, int64_t head, const std::vector<float> &keys, const std::vector<float> &values);

  const DecodePlan &plan;
  const DecodeCase &layout;
  std::string entry;
  const LoadedArtifact &artifact;
  const DecodeDevice *place;
  std::unique_ptr<gqa_cache, void (*)(gqa_cache *)> cache;
  std::unique_ptr<HalfRows> queries, output;
  std::vector<gqa_sequence> sequences;
  std::vector<gqa_sequence> shortOnes; ///< one sequence of kShort tokens, many times

  // On a device: the workspace, the table and lengths that attention reads, and the captured step.
  cuda::Memory workspace, table, lengths;
  std::unique_ptr<cuda::Graph> graph;
  int64_t tableShape[2] = {0, 0};
  DLTensor tableView = {}, lengthsView = {};
};

} // namespace gqa

#endif // GQA_TOOLS_CACHEDDECODE_H
