#ifndef GQA_TOOLS_COMPARECHECK_H
#define GQA_TOOLS_COMPARECHECK_H

#include "tools/Reference.h"

namespace gqa {

/// Rows of one attention with what they should be: some of them, since the reference takes its time, chosen by rule.
class SampledReference {
public:
  /// `count` rows: query positions at equal steps up to the last one, heads by the golden ratio, which meets all
  /// evenly.
  SampledReference(const AttentionProblem &problem, const AttentionInputs &inputs, int count);

  /// Greatest error of `output`, dense in the layout of the problem, over the rows. Throws std::runtime_error, naming
  /// `what`, if rounding does not explain it.
  double check(const TensorView &output, const std::string &what) const;

  int size() const { return static_cast<int>(rows.size()); }

private:
  struct Row {
    PerDim index;
    AttentionRow reference, naive;
    RowMagnitude magnitude;
  };
  const AttentionProblem &problem;
  std::vector<Row> rows;
};

} // namespace gqa

#endif // GQA_TOOLS_COMPARECHECK_H
