#include "tools/CompareCheck.h"

#include <cmath>
#include <stdexcept>

namespace gqa {

SampledReference::SampledReference(const AttentionProblem &problem, const AttentionInputs &inputs, int count)
    : problem(problem), rows(count) {
  const double goldenRatio = 0.6180339887498949;
  int64_t group = problem.getExtent(Dim::g);
  int64_t heads = problem.getExtent(Dim::hkv) * group;
  for (int i = 0; i < count; ++i) {
    auto head = static_cast<int64_t>(std::fmod(i * goldenRatio, 1) * heads);
    PerDim &index = rows[i].index;
    index = {};
    at(index, Dim::hkv) = head / group;
    at(index, Dim::g) = head % group;
    at(index, Dim::m) = (problem.getExtent(Dim::m) - 1) * (i + 1) / count;
  }
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < count; ++i) {
    Row &row = rows[i];
    row.reference = computeReferenceRow(problem, inputs, row.index);
    row.naive = computeNaiveRow(problem, inputs, row.index);
    row.magnitude = computeRowMagnitude(problem, inputs, row.index);
  }
}

double SampledReference::check(const TensorView &output, const std::string &what) const {
  ErrorRule rule(problem.value.type, problem.output.type);
  for (const Row &row : rows) {
    AttentionRow actual;
    int64_t offset = 0;
    for (int dim = 0; dim < kNumDims; ++dim)
      offset += row.index[dim] * output.strides[dim];
    for (int64_t d = 0; d < problem.getExtent(Dim::dv); ++d)
      actual.output.push_back(readElement(output, offset + d * at(output.strides, Dim::dv)));
    rule.add(actual, row.reference, row.naive, row.magnitude, /*hasLse=*/false);
  }
  if (!rule.holds())
    throw std::runtime_error(what + ": " + rule.describe());
  return rule.getOutputError();
}

} // namespace gqa
