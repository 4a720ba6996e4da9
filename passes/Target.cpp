#include "passes/Target.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"

namespace mlir::gqa {

static const llvm::Target *lookupBackend(llvm::StringRef triple, std::string &error) {
  static const bool isInitialized = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)isInitialized;
  return llvm::TargetRegistry::lookupTarget(llvm::Triple(triple.str()), error);
}

llvm::Expected<Target> Target::get(llvm::StringRef cpu) {
  Target target;
  target.triple = llvm::sys::getDefaultTargetTriple();
  target.cpu = cpu == "native" ? llvm::sys::getHostCPUName().str() : cpu.str();

  std::string error;
  const llvm::Target *backend = lookupBackend(target.triple, error);
  if (!backend)
    return llvm::createStringError("no code generator for '" + target.triple + "': " + error);
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      backend->createMCSubtargetInfo(llvm::Triple(target.triple), target.cpu, /*Features=*/""));
  if (!info || !info->isCPUStringValid(target.cpu))
    return llvm::createStringError("unknown target CPU '" + target.cpu + "' for " + target.triple);

  // A virtual machine may hide features that its CPU's name implies, and LLVM takes a CPU that is newer than itself for
  // an older one: where the machine says what it has, that counts.
  llvm::StringMap<bool> host;
  if (cpu == "native")
    host = llvm::sys::getHostCPUFeatures();
  for (const llvm::SubtargetFeatureKV &feature : info->getAllProcessorFeatures()) {
    auto it = host.find(feature.Key);
    bool isPresent = it != host.end() ? it->second : info->checkFeatures(std::string("+") + feature.Key);
    if (isPresent)
      target.features.push_back(feature.Key);
  }
  auto has = [&](llvm::StringRef name) { return llvm::is_contained(target.features, name); };
  // The code generator ends the program where it meets this.
  if (llvm::Triple(target.triple).getArch() == llvm::Triple::x86_64 && !has("64bit"))
    return llvm::createStringError("target CPU '" + target.cpu + "' has no 64-bit mode, which " + target.triple +
                                   " needs");
  if (has("avx512f") && has("avx512vl") && has("avx512bw") && has("avx512dq")) {
    target.vectorBits = 512;
    target.registers = 32;
    target.hasScale = true;
    target.hasDot = has("avx512bf16");
    target.hasShortDot = has("avx512vnni");
    target.hasMatrixTiles = target.hasDot && has("amx-tile") && has("amx-bf16") && has("amx-int8");
  } else if (has("avx2") && has("fma")) {
    target.vectorBits = 256;
  } else if (has("neon")) {
    target.registers = 32;
  }
  return target;
}

std::unique_ptr<llvm::TargetMachine> Target::createMachine() const {
  std::string error;
  const llvm::Target *backend = lookupBackend(triple, error);
  std::string enabled = llvm::join(llvm::map_range(features, [](const std::string &name) { return "+" + name; }), ",");
  // Explicit vectors are as wide as they are meant to be.
  if (vectorBits == 512)
    enabled += ",-prefer-256-bit";
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(llvm::Triple(triple), cpu, enabled, options, llvm::Reloc::PIC_,
                                   /*CodeModel=*/std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

} // namespace mlir::gqa
