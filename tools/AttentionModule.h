#ifndef GQA_TOOLS_ATTENTIONMODULE_H
#define GQA_TOOLS_ATTENTIONMODULE_H

#include "tools/AttentionProblem.h"

#include <set>

/// MLIR text for attention problems.
namespace gqa {

/// The operands that the function of a problem takes, in the order of its arguments: query, key, value, then those of
/// bias, mask, kv_len, offset, sink, block_table, key_scale, value_scale and length that the problem has.
struct NamedOperand {
  const char *name;
  const Operand *operand;
};
std::vector<NamedOperand> getArguments(const AttentionProblem &problem);

/// The results of the function: output, then lse if the problem has it.
std::vector<NamedOperand> getResults(const AttentionProblem &problem);

/// "tensor<2x?x64xf32>", where the dimensions in `dynamicDims` have no extent.
std::string printType(const AttentionProblem &problem, const Operand &operand, const std::set<Dim> &dynamicDims);

/// A public function `@name` that computes the problem with one gqa.attention. `dynamicDims` may have b, m, n,
/// page, block and slot. `schedule`: a GPU's, as an attribute; "": the compiler's choice.
std::string printAttentionFunction(const AttentionProblem &problem, const std::string &name,
                                   const std::set<Dim> &dynamicDims, const std::string &schedule = "");

} // namespace gqa

#endif // GQA_TOOLS_ATTENTIONMODULE_H
