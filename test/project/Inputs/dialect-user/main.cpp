// Another project that parses a gqa.attention and prints the type of its key.
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

static const char *const source = R"(
func.func @decode(%q: tensor<2x8x4x128xf16>, %k: tensor<2x8x?x128xf16>, %v: tensor<2x8x?x128xf16>,
                  %init: tensor<2x8x4x128xf16>) -> tensor<2x8x4x128xf16> {
  %o = gqa.attention scale 0.125
    query(%q[b, hkv, g, dqk] : tensor<2x8x4x128xf16>)
    key(%k[b, hkv, n, dqk] : tensor<2x8x?x128xf16>)
    value(%v[b, hkv, n, dv] : tensor<2x8x?x128xf16>)
    outs(%init[b, hkv, g, dv] : tensor<2x8x4x128xf16>)
  return %o : tensor<2x8x4x128xf16>
})";

int main() {
  mlir::MLIRContext context;
  context.loadDialect<mlir::gqa::GQADialect, mlir::func::FuncDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  if (!module)
    return 1;
  module->walk([](mlir::gqa::AttentionOp op) { llvm::outs() << "key: " << op.getKey().getType() << "\n"; });
  return 0;
}
