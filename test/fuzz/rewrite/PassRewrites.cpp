#include "test/fuzz/rewrite/Rewrites.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

namespace mlir::gqa {

/// Runs on a copy: upstream's specialisation of generics may make an invalid op and fail.
static bool run(StringRef pipeline, ModuleOp module) {
  OwningOpRef<ModuleOp> copy = module.clone();
  ScopedDiagnosticHandler silence(module.getContext(), [](Diagnostic &) { return success(); });
  PassManager manager(module.getContext());
  if (failed(parsePassPipeline(pipeline, manager)) || failed(manager.run(*copy)))
    return false;
  module.getBodyRegion().takeBody(copy->getBodyRegion());
  return true;
}

void addPassRewrites(std::vector<Rewrite> &rewrites) {
  for (StringRef pipeline :
       {"canonicalize", "cse", "inline", "func.func(linalg-generalize-named-ops)",
        "func.func(linalg-specialize-generic-ops)", "func.func(linalg-fold-unit-extent-dims)",
        "func.func(linalg-fuse-elementwise-ops)", "func.func(linalg-inline-scalar-operands)",
        "func.func(tosa-to-linalg-named),func.func(tosa-to-linalg),func.func(tosa-to-arith,tosa-to-tensor)"})
    rewrites.push_back(
        {pipeline.str(), [pipeline](Program &program, Random &) { return run(pipeline, program.module); }});
}

} // namespace mlir::gqa
