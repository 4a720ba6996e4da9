#ifndef GQA_RUNTIME_ARTIFACT_H
#define GQA_RUNTIME_ARTIFACT_H

#include "runtime/cuda/DeviceCode.h"
#include "runtime/gqa.h"
#include "runtime/gqa_host.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gqa {

/// One dimension of an entry's argument or result: an extent, or a symbol that stands for one.
struct DimDescription {
  std::optional<int64_t> extent;
  std::string symbol; ///< "?" if nothing is known of it
};

struct TensorDescription {
  std::string type; ///< MLIR's name: f32, bf16, i1, index, ...
  std::vector<DimDescription> shape;
};

/// An argument or result of an entry that is one attention op, and the dimensions that it lists.
struct AttentionOperand {
  size_t index;
  std::vector<std::string> dims;
};

/// What an entry says of the one attention that it is.
struct AttentionDescription {
  std::map<std::string, AttentionOperand> arguments, results; ///< by the op's names: query, key, ..., output, lse
  std::optional<int64_t> ringSinks, ringSlots;
};

struct EntryDescription {
  std::string name;
  std::vector<TensorDescription> arguments, results;
  std::optional<AttentionDescription> attention;
  gqa_entry run = nullptr, shape = nullptr;
  gqa_entry workspace = nullptr; ///< null if it needs none
  bool isForDevice = false;      ///< takes memory of a CUDA device and runs there
};

/// "f32[1, 32, s0, 128]".
std::string print(const TensorDescription &tensor);

} // namespace gqa

struct gqa_artifact {
  /// Throws gqa::Failure.
  explicit gqa_artifact(const std::string &path);

  /// The entry called `name`; throws gqa::Failure.
  const gqa::EntryDescription &getEntry(const std::string &name) const;

  /// The same, or null if there is none.
  const gqa::EntryDescription *findEntry(const std::string &name) const;

  /// Throws gqa::Failure if this machine's CPU lacks what the code needs.
  void checkCpu() const;

  /// Throws gqa::Failure if `device` cannot run the kernels.
  void checkDevice(const gqa::cuda::Device &device) const;

  std::string path;
  std::string description;
  std::string triple;
  std::vector<std::string> features;
  std::vector<gqa::EntryDescription> entries;
  std::unique_ptr<gqa::cuda::DeviceCode> deviceCode; ///< null if no entry is for a device

private:
  void parseDescription();
  std::string findCpuProblem() const;
  void findCode(gqa::EntryDescription &entry);

  struct Closer {
    void operator()(void *library) const;
  };
  /// Why this machine's CPU cannot run the code; empty if it can. Found once: in a virtual machine, asking the CPU what
  /// it has takes tens of microseconds, as long as a step of decoding.
  std::string cpuProblem;
  std::unique_ptr<void, Closer> library;
};

#endif // GQA_RUNTIME_ARTIFACT_H
