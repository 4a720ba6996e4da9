// What an artifact needs and what its entries take, as values of C.

#include "runtime/Artifact.h"
#include "runtime/Context.h"
#include "runtime/ElementNames.h"

namespace gqa {
namespace {

/// The attention's name of an operand of the entry; "" if it is none.
const char *findName(const std::map<std::string, AttentionOperand> &operands, size_t index) {
  for (const auto &[name, operand] : operands)
    if (operand.index == index)
      return name.c_str();
  return "";
}

gqa_tensor_type describe(const TensorDescription &tensor, const char *name) {
  if (tensor.shape.size() > GQA_MAX_RANK)
    fail(GQA_INTERNAL_ERROR, "rank " + std::to_string(tensor.shape.size()) + " is larger than GQA_MAX_RANK");
  gqa_tensor_type type = {};
  type.name = name;
  type.type = tensor.type.c_str();
  type.dtype = getElementType(tensor.type);
  type.rank = static_cast<int32_t>(tensor.shape.size());
  for (size_t dim = 0; dim < tensor.shape.size(); ++dim) {
    type.shape[dim] = tensor.shape[dim].extent.value_or(-1);
    type.symbols[dim] = tensor.shape[dim].symbol.c_str();
  }
  return type;
}

gqa_status query(gqa_context *context, const gqa_artifact *artifact, const char *name, bool isResult, int32_t index,
                 gqa_tensor_type *type) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!artifact || !name || !type)
      fail(GQA_INVALID_ARGUMENT, "artifact, entry and type must not be null");
    const EntryDescription &entry = artifact->getEntry(name);
    const std::vector<TensorDescription> &tensors = isResult ? entry.results : entry.arguments;
    if (index < 0 || static_cast<size_t>(index) >= tensors.size())
      fail(GQA_NOT_FOUND, "entry '" + entry.name + "' has " + std::to_string(tensors.size()) +
                              (isResult ? " results" : " arguments") + ", so no number " + std::to_string(index));
    static const std::map<std::string, AttentionOperand> none;
    const auto &operands = !entry.attention ? none : isResult ? entry.attention->results : entry.attention->arguments;
    *type = describe(tensors[static_cast<size_t>(index)], findName(operands, static_cast<size_t>(index)));
  });
}

} // namespace
} // namespace gqa

extern "C" {

GQA_API gqa_status gqa_entry_size(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                  int32_t *num_arguments, int32_t *num_results) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!artifact || !entry)
      gqa::fail(GQA_INVALID_ARGUMENT, "artifact and entry must not be null");
    const gqa::EntryDescription &found = artifact->getEntry(entry);
    if (num_arguments)
      *num_arguments = static_cast<int32_t>(found.arguments.size());
    if (num_results)
      *num_results = static_cast<int32_t>(found.results.size());
  });
}

GQA_API gqa_status gqa_entry_argument(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                      int32_t index, gqa_tensor_type *type) {
  return gqa::query(context, artifact, entry, /*isResult=*/false, index, type);
}

GQA_API gqa_status gqa_entry_result(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                    int32_t index, gqa_tensor_type *type) {
  return gqa::query(context, artifact, entry, /*isResult=*/true, index, type);
}

GQA_API const char *gqa_artifact_target(const gqa_artifact *artifact) {
  return artifact ? artifact->triple.c_str() : nullptr;
}

GQA_API int32_t gqa_artifact_num_cpu_features(const gqa_artifact *artifact) {
  return artifact ? static_cast<int32_t>(artifact->features.size()) : 0;
}

GQA_API const char *gqa_artifact_cpu_feature(const gqa_artifact *artifact, int32_t index) {
  if (index < 0 || index >= gqa_artifact_num_cpu_features(artifact))
    return nullptr;
  return artifact->features[static_cast<size_t>(index)].c_str();
}

} // extern "C"
