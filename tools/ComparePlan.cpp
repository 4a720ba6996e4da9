#include "tools/ComparePlan.h"

#include "tools/AttentionModule.h"

#include <algorithm>
#include <cmath>

namespace gqa {

static double largest(const std::vector<int64_t> &values) { return *std::max_element(values.begin(), values.end()); }

double ComparePlan::maxQueryElements() const { return 1.0 * heads.heads * largest(prefill) * heads.headDim; }

double ComparePlan::maxKeyElements() const {
  return largest(heads.kvHeads) * std::max(largest(prefill), largest(decode)) * heads.headDim;
}

AttentionWork ComparePlan::work(Phase phase, int64_t kvHeads, int64_t tokens) const {
  AttentionWork work;
  work.heads = heads.heads;
  work.kvHeads = kvHeads;
  work.headDim = heads.headDim;
  work.queries = phase == Phase::prefill ? tokens : 1;
  work.keys = tokens;
  work.causal = phase == Phase::prefill;
  return work;
}

AttentionProblem ComparePlan::problem(Phase phase, int64_t kvHeads, int64_t tokens) const {
  AttentionProblem problem;
  AttentionWork shape = work(phase, kvHeads, tokens);
  problem.extents = {1, kvHeads, heads.heads / kvHeads, shape.queries, shape.keys, heads.headDim, heads.headDim};
  for (Operand *operand : {&problem.query, &problem.key, &problem.value, &problem.output})
    operand->type = type;
  problem.scale = 1 / std::sqrt(static_cast<float>(heads.headDim));
  problem.causal = shape.causal;
  if (shape.causal)
    problem.alignment = Alignment::topLeft;
  return problem;
}

std::string ComparePlan::moduleText() const {
  std::string text;
  for (int64_t kvHeads : heads.kvHeads) {
    text += printAttentionFunction(problem(Phase::prefill, kvHeads, 1), functionName(Phase::prefill, kvHeads),
                                   {Dim::m, Dim::n});
    text += printAttentionFunction(problem(Phase::decode, kvHeads, 1), functionName(Phase::decode, kvHeads), {Dim::n});
  }
  return text;
}

std::string ComparePlan::functionName(Phase phase, int64_t kvHeads) {
  return std::string(getName(phase)) + "_" + std::to_string(kvHeads);
}

std::string describeLeftOut(const HeadOptions &heads) {
  if (!heads.model)
    return "";
  std::string text;
  auto add = [&](bool present, const char *name) {
    if (present)
      text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(heads.model->window, "windows");
  add(heads.model->softcap, "softcap");
  add(heads.model->sinks, "sinks");
  return text;
}

} // namespace gqa
