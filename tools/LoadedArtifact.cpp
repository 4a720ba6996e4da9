#include "tools/LoadedArtifact.h"

#include <new>
#include <stdexcept>

namespace gqa {
namespace {

gqa_context *createContext(int threads) {
  gqa_options options = {};
  options.num_threads = threads;
  gqa_context *context = gqa_context_create(&options);
  if (!context)
    throw std::bad_alloc();
  return context;
}

} // namespace

LoadedArtifact::LoadedArtifact(const std::string &path, int threads)
    : context(createContext(threads), &gqa_context_destroy), artifact(nullptr, &gqa_artifact_destroy) {
  gqa_artifact *loaded = nullptr;
  check(gqa_artifact_load(context.get(), path.c_str(), &loaded));
  artifact.reset(loaded);
  check(gqa_artifact_can_run(context.get(), loaded));
}

void LoadedArtifact::call(const std::string &entry, const std::vector<const DLTensor *> &inputs,
                          const std::vector<DLTensor *> &outputs) const {
  check(gqa_call(context.get(), artifact.get(), entry.c_str(), inputs.data(), static_cast<int32_t>(inputs.size()),
                 outputs.data(), static_cast<int32_t>(outputs.size())));
}

void LoadedArtifact::check(gqa_status status) const {
  if (status != GQA_OK)
    throw std::runtime_error(gqa_context_message(context.get()));
}

} // namespace gqa
