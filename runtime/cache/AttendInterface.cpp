// The C interface of attention to a cache: gqa_cache_attend, its workspace, and tables on a device.

#include "runtime/Context.h"
#include "runtime/TensorChecker.h"
#include "runtime/cache/Attend.h"
#include "runtime/cache/CacheHandle.h"
#include "runtime/cache/TensorArgument.h"

namespace gqa::cache {

namespace {

int64_t countWorkspaceBytes(const AttendRequest &request) {
  WorkspaceMeasure measure(request.cache->getDevice());
  attend(request, measure);
  return measure.getBytes();
}

void runAttend(const AttendRequest &request) {
  request.check();
  if (!request.cache->device) {
    HostAttendMemory memory;
    return attend(request, memory);
  }
  gqa_context &context = *request.context;
  const cuda::AttendProgram &program = context.getAttendProgram(request.cache->getDevice().device_id);
  if (int64_t bytes = countWorkspaceBytes(request); bytes > context.workspaceBytes)
    fail(GQA_INVALID_ARGUMENT, "gqa_cache_attend needs a workspace of " + std::to_string(bytes) +
                                   " bytes, but the context has " + std::to_string(context.workspaceBytes) +
                                   ": see gqa_cache_attend_workspace_size, gqa_context_set_workspace");
  WorkspaceMemory memory(program, static_cast<cuda::StreamHandle>(context.stream), context.workspace);
  attend(request, memory);
}

/// One of the tensors of gqa_cache_put_table: i32, dense, on the cache's device; null if it is.
int32_t *checkTarget(const DLTensor *tensor, const TensorDescription &expected, const char *what, DLDevice device) {
  if (!tensor)
    return nullptr;
  TensorChecker(TensorChecker::Place::Cuda).check(tensor, expected, what);
  checkDevice(*tensor, what, device);
  if (tensor->ndim == 2 && tensor->strides && tensor->shape[0] > 1 && tensor->strides[0] != tensor->shape[1])
    fail(GQA_INVALID_ARGUMENT, std::string(what) + " must be dense");
  return reinterpret_cast<int32_t *>(static_cast<char *>(tensor->data) + tensor->byte_offset);
}

void putTable(gqa_context &context, const gqa_cache &cache, int32_t layer, const gqa_sequence *sequences,
              int32_t numSequences, const DLTensor *table, const DLTensor *kvLengths, const DLTensor *lengths) {
  if (!cache.device)
    fail(GQA_INVALID_ARGUMENT, "the cache is in CPU memory, where gqa_cache_get_table writes tables");
  DimDescription batch = {numSequences, ""};
  int32_t *tableData = checkTarget(table, {"i32", {batch, {std::nullopt, "?"}}}, "table", cache.getDevice());
  int32_t *slotData = checkTarget(kvLengths, {"i32", {batch}}, "kv_lengths", cache.getDevice());
  int32_t *tokenData = checkTarget(lengths, {"i32", {batch}}, "lengths", cache.getDevice());
  auto size = static_cast<size_t>(std::max(numSequences, 0));
  int64_t row = table ? table->shape[1] : 0;
  std::vector<int32_t> pages(size * static_cast<size_t>(row), 0), slots(size);
  std::vector<int64_t> tokens(size);
  if (gqa_status status =
          gqa_cache_get_table(&context, &cache, layer, sequences, numSequences, table ? pages.data() : nullptr, row,
                              slots.data(), tokens.data(), nullptr);
      status != GQA_OK)
    fail(status, std::string(context.message));
  const cuda::AttendProgram &program = context.getAttendProgram(cache.getDevice().device_id);
  auto put = [&](int32_t *to, const std::vector<int32_t> &words) {
    if (to)
      program.put(static_cast<cuda::StreamHandle>(context.stream), to, words.data(),
                  static_cast<int64_t>(words.size()));
  };
  put(tableData, pages);
  put(slotData, slots);
  put(tokenData, std::vector<int32_t>(tokens.begin(), tokens.end()));
}

} // namespace
} // namespace gqa::cache

extern "C" {

GQA_API gqa_status gqa_cache_attend(gqa_context *context, const gqa_cache *cache, const gqa_artifact *artifact,
                                    const char *entry, int32_t layer, const gqa_sequence *sequences,
                                    const int64_t *counts, int32_t num_sequences,
                                    const gqa_attend_arguments *arguments) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    gqa::cache::runAttend({context, cache, artifact, entry, layer, sequences, counts, num_sequences, arguments});
  });
}

GQA_API gqa_status gqa_cache_attend_workspace_size(gqa_context *context, const gqa_cache *cache,
                                                   const gqa_artifact *artifact, const char *entry, int32_t layer,
                                                   const gqa_sequence *sequences, const int64_t *counts,
                                                   int32_t num_sequences, const gqa_attend_arguments *arguments,
                                                   int64_t *bytes) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    gqa::cache::AttendRequest request = {context,   cache,  artifact,      entry,    layer,
                                         sequences, counts, num_sequences, arguments};
    request.check();
    if (!bytes)
      gqa::fail(GQA_INVALID_ARGUMENT, "bytes must not be null");
    *bytes = 0;
    if (!cache->device)
      return;
    context->getAttendProgram(cache->getDevice().device_id);
    *bytes = gqa::cache::countWorkspaceBytes(request);
  });
}

GQA_API gqa_status gqa_cache_put_table(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                       const gqa_sequence *sequences, int32_t num_sequences, DLTensor *table,
                                       DLTensor *kv_lengths, DLTensor *lengths) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!cache)
      gqa::fail(GQA_INVALID_ARGUMENT, "cache must not be null");
    gqa::cache::putTable(*context, *cache, layer, sequences, num_sequences, table, kv_lengths, lengths);
  });
}

} // extern "C"
