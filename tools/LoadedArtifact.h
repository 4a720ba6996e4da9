#ifndef GQA_TOOLS_LOADEDARTIFACT_H
#define GQA_TOOLS_LOADEDARTIFACT_H

#include "runtime/gqa.h"

#include <memory>
#include <string>
#include <vector>

namespace gqa {

/// An artifact with a context of its own. Failures throw std::runtime_error with the context's message.
class LoadedArtifact {
public:
  /// `threads`: 0 for as many as OpenMP gives.
  LoadedArtifact(const std::string &path, int threads);

  void call(const std::string &entry, const std::vector<const DLTensor *> &inputs,
            const std::vector<DLTensor *> &outputs) const;

  gqa_context *getContext() const { return context.get(); }
  const gqa_artifact *getArtifact() const { return artifact.get(); }

private:
  void check(gqa_status status) const;

  std::unique_ptr<gqa_context, void (*)(gqa_context *)> context;
  std::unique_ptr<gqa_artifact, void (*)(gqa_artifact *)> artifact;
};

} // namespace gqa

#endif // GQA_TOOLS_LOADEDARTIFACT_H
