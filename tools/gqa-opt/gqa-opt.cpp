// gqa-opt: mlir-opt with the gqa dialect, passes and pipelines, and everything upstream.

#include "dialect/GQADialect.h"
#include "dialect/gpu/GQAGpuDialect.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "passes/gpu/GpuPasses.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  mlir::gqa::registerGQAPasses();
  mlir::gqa::registerGQAGpuPasses();
  mlir::gqa::registerPipelines();
  registry.insert<mlir::gqa::GQADialect, mlir::gqa_gpu::GQAGpuDialect>();
  mlir::gqa_gpu::registerBufferization(registry);
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "gqa compiler driver\n", registry));
}
