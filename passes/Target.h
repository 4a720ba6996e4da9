#ifndef GQA_PASSES_TARGET_H
#define GQA_PASSES_TARGET_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>
#include <vector>

namespace mlir::gqa {

/// The one description of the CPU that code is made for. Tile shapes and instruction choices are computed from it.
struct Target {
  std::string triple;
  std::string cpu;                   ///< LLVM's name, e.g. "znver4" or "x86-64-v3"
  std::vector<std::string> features; ///< enabled subtarget features, LLVM's names
  int64_t vectorBits = 128;
  int64_t registers = 16; ///< vector registers
  bool hasScale = false;  ///< one instruction scales floats by powers of two
  bool hasMatrixTiles =
      false;                ///< registers of 16 x 64 bytes, products of pairs of bf16 and of bytes on them (Intel AMX)
  bool hasDot = false;      ///< pairs of bf16 are multiplied and added to f32 in one instruction
  bool hasShortDot = false; ///< pairs of 16-bit integers are multiplied and added to i32 in one instruction

  /// The target called `cpu`; "native" is the machine that this runs on. Fails with a message for an unknown CPU.
  static llvm::Expected<Target> get(llvm::StringRef cpu);

  /// LLVM's code generator for it.
  std::unique_ptr<llvm::TargetMachine> createMachine() const;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_TARGET_H
