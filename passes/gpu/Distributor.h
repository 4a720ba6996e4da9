#ifndef GQA_PASSES_GPU_DISTRIBUTOR_H
#define GQA_PASSES_GPU_DISTRIBUTOR_H

#include "passes/gpu/Lane.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::gqa {

inline bool isTile(Value value) { return isa<RankedTensorType>(value.getType()); }
inline RankedTensorType getTileType(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Writes the code of one lane for the warp-level code of one kernel (gqa-gpu-distribute).
class Distributor {
public:
  Distributor(OpBuilder &b, func::FuncOp kernel) : b(b), lane(b, kernel.getLoc()) {}

  /// Distributes the ops of `block`, without its terminator, to the builder's place.
  LogicalResult distribute(Block &block);

  IRMapping mapping;

private:
  LogicalResult distribute(Operation *op);
  LogicalResult cloneScalar(Operation *op);
  LogicalResult distributeProduct(gqa_gpu::StartProductOp product);
  LogicalResult distributeWait(gqa_gpu::WaitProductsOp wait);
  LogicalResult distributeFor(scf::ForOp loop);
  LogicalResult distributeIf(scf::IfOp branch);
  SmallVector<Value> flatten(ValueRange values);
  void unflatten(ValueRange values, ValueRange flat);

  // DistributeLinalg.cpp
  FailureOr<Fragment> makeFragment(Value tile);
  LogicalResult distributeEmpty(tensor::EmptyOp empty);
  LogicalResult distributeFill(linalg::FillOp fill);
  LogicalResult distributeConstant(arith::ConstantOp constant);
  LogicalResult distributeScalar(tensor::FromElementsOp scalar);
  LogicalResult distributeGenerate(tensor::GenerateOp generate);
  LogicalResult distributeGeneric(linalg::GenericOp generic);
  LogicalResult distributeElementwise(linalg::GenericOp generic);
  LogicalResult distributeReduction(linalg::GenericOp generic);
  LogicalResult distributeContraction(linalg::GenericOp generic);

  // DistributeMemory.cpp
  struct RowAddress {
    Value offset, isValid;
  };
  template <typename OpTy> RowAddress getAddress(OpTy op, Value row);
  Value getColumnOffset(Value rowOffset);
  Value getWord(Value address, int64_t word);
  LogicalResult distributeSharedTile(gqa_gpu::SharedTileOp tile);
  LogicalResult distributeCopy(gqa_gpu::CopyRowsOp copy);
  /// The block's threads take `chunks` numbers (i32) in turn: where there are many, `atATime` per iteration of a loop.
  void forEachChunk(Location loc, int64_t chunks, int64_t threads, int64_t atATime, function_ref<void(Value)> body);
  LogicalResult distributeLoad(gqa_gpu::LoadRowsOp load);
  LogicalResult distributeStore(gqa_gpu::StoreRowsOp store);
  LogicalResult distributePut(gqa_gpu::PutTileOp put);
  LogicalResult distributeGet(gqa_gpu::GetTileOp get);

  // DistributeConversion.cpp
  LogicalResult distributeConversion(gqa_gpu::ConvertRowsOp op);

  OpBuilder &b;
  Lane lane;
  llvm::DenseMap<Value, Fragment> fragments;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_DISTRIBUTOR_H
