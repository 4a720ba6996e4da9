#ifndef GQA_TOOLS_COMPARERESULT_H
#define GQA_TOOLS_COMPARERESULT_H

#include "tools/ComparePlan.h"
#include "tools/DeviceLimits.h"
#include "tools/LayerPlan.h"
#include "tools/MachineLimits.h"

#include <optional>

namespace gqa {

/// One compiled form of one attention.
struct FormResult {
  double seconds = 0; // median
  double error = 0;   // greatest |output - float64 reference| over the rows that were checked
};

struct CaseResult {
  Phase phase = Phase::prefill;
  int64_t kvHeads = 0;
  int64_t tokens = 0;
  int calls = 0; // that the medians are over
  FormResult fused;
  std::optional<FormResult> unfused; // missing where its scores would not fit into memory

  double speedUp() const { return unfused->seconds / fused.seconds; }
};

/// Where a comparison ran, if not on the CPU.
struct DeviceResult {
  std::string name;
  DeviceLimits limits;
  std::string noUnfused; // why there is no unfused form
};

struct CompareResult {
  ComparePlan plan;
  MachineLimits limits;
  double readerMiB = 0;           // read before each decode call, all threads together
  int arithmeticMeasurements = 0; // that the arithmetic limits are medians of
  int dramReads = 0;
  int rowsChecked = 0;           // per case and form
  std::vector<CaseResult> cases; // phase by phase, length by length, variants in the plan's order

  std::optional<DeviceResult> device; // then the limits are those of its large product and copy
  std::optional<LayerResult> layers;  // whole layers, if the plan has projections

  /// True where the arithmetic limit is that of bf16 dot products: the type and the CPU have them.
  bool hasDots() const { return plan.type == ElementType::bf16 && limits.bf16Gflops > 0; }
  double flopLimit() const { return hasDots() ? limits.bf16Gflops : limits.fmaGflops; }
  const char *flopLimitName() const { return device ? "GEMM" : hasDots() ? "bf16" : "FMA"; }
  const char *byteLimitName() const { return device ? "copy" : "DRAM"; }
};

} // namespace gqa

#endif // GQA_TOOLS_COMPARERESULT_H
