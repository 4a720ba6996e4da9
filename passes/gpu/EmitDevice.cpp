#include "passes/gpu/EmitDevice.h"
#include "passes/gpu/KernelOperands.h"
#include "passes/gpu/Ptxas.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm-c/Target.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Target/TargetMachine.h"

namespace mlir::gqa {

namespace {

constexpr llvm::StringLiteral kTriple = "nvptx64-nvidia-cuda";

std::unique_ptr<llvm::TargetMachine> createMachine(const GpuTarget &target, std::string &error) {
  static const bool isInitialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)isInitialized;
  llvm::Triple triple{kTriple};
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(triple, target.arch, target.ptxFeature, options, /*RM=*/std::nullopt,
                                   /*CM=*/std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

int64_t getNumber(Operation *op, StringRef name) { return op->getAttrOfType<IntegerAttr>(name).getInt(); }

/// Makes parameters that are tensor maps 128 bytes that the kernel gets by value, and counts them.
int64_t markTensorMaps(LLVM::LLVMFuncOp function) {
  constexpr int64_t kMapBytes = 128, kMapAlignment = 64;
  Builder b(function.getContext());
  int64_t count = 0;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    if (!function.getArgAttr(i, KernelOperands::kTensorMapAttr))
      continue;
    ++count;
    function.removeArgAttr(i, b.getStringAttr(KernelOperands::kTensorMapAttr));
    function.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(),
                        TypeAttr::get(LLVM::LLVMArrayType::get(b.getI8Type(), kMapBytes)));
    function.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(kMapAlignment));
    function.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(), b.getUnitAttr());
  }
  return count;
}

/// Makes functions with a number of threads kernels, and reports them.
std::vector<KernelReport> markKernels(ModuleOp device) {
  std::vector<KernelReport> reports;
  Builder b(device.getContext());
  for (auto function : device.getOps<LLVM::LLVMFuncOp>()) {
    if (!function->hasAttr("gqa_gpu.threads"))
      continue;
    KernelReport report;
    report.name = function.getName().str();
    report.threads = getNumber(function, "gqa_gpu.threads");
    report.sharedBytes = getNumber(function, "gqa_gpu.shared_bytes");
    function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
    function->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(),
                      b.getDenseI32ArrayAttr({static_cast<int32_t>(report.threads), 1, 1}));
    report.numTensorMaps = markTensorMaps(function);
    // Registers can only be moved between warpgroups where a multiprocessor has one block at least, for certain. In
    // other kernels the number keeps ptxas from spilling for the sake of more blocks than shared memory has room for.
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
    if (auto reason = function->getAttrOfType<StringAttr>(kFallbackAttr)) {
      report.fallback = reason.getValue().str();
      function->removeAttr(kFallbackAttr);
    }
    if (function->hasAttr(kComingAttr))
      report.coming = getNumber(function, kComingAttr);
    function->removeAttr(kComingAttr);
    function->removeAttr("gqa_gpu.threads");
    function->removeAttr("gqa_gpu.shared_bytes");
    reports.push_back(report);
  }
  return reports;
}

llvm::Expected<std::string> generatePtx(ModuleOp device, const GpuTarget &target) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return llvm::createStringError("no code generator for " + kTriple + ": " + error);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = translateModuleToLLVMIR(device, context);
  if (!module)
    return llvm::createStringError("the kernels cannot be translated to LLVM IR");
  module->setTargetTriple(llvm::Triple(kTriple));
  module->setDataLayout(machine->createDataLayout());
  auto optimise = makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, machine.get());
  if (llvm::Error failure = optimise(module.get()))
    return std::move(failure);
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager manager;
  if (machine->addPassesToEmitFile(manager, stream, /*DwoOut=*/nullptr, llvm::CodeGenFileType::AssemblyFile))
    return llvm::createStringError("the target cannot write PTX");
  manager.run(*module);
  return text.str().str();
}

} // namespace

llvm::Expected<DeviceCode> compileDevice(ModuleOp module, const GpuTarget &target, bool isAssembled) {
  auto device = module.lookupSymbol<ModuleOp>("gqa_device");
  device->remove();
  OwningOpRef<ModuleOp> owner(device);
  DeviceCode code;
  code.kernels = markKernels(device);
  for (const KernelReport &kernel : code.kernels)
    if (kernel.sharedBytes > target.maxSharedBytes)
      return llvm::createStringError(
          llvm::formatv("kernel '{0}' needs {1} bytes of shared memory, but a block of {2} has {3}; give its attention "
                        "a smaller gqa_gpu.schedule",
                        kernel.name, kernel.sharedBytes, target.arch, target.maxSharedBytes));
  llvm::Expected<std::string> ptx = generatePtx(device, target);
  if (!ptx)
    return ptx.takeError();
  code.ptx = *ptx;
  if (isAssembled)
    if (llvm::Error error = assemble(code, target))
      return std::move(error);
  return code;
}

llvm::json::Object addImages(llvm::Module &module, const DeviceCode &code, const GpuTarget &target) {
  llvm::LLVMContext &context = module.getContext();
  llvm::Type *i32 = llvm::Type::getInt32Ty(context), *i64 = llvm::Type::getInt64Ty(context);
  auto *pointer = llvm::PointerType::get(context, 0);
  // gqa_device_image
  auto *type = llvm::StructType::get(context, {i32, i32, i32, i32, pointer, i64});
  auto number = [](llvm::Type *of, int64_t value) { return llvm::ConstantInt::get(of, value); };
  llvm::SmallVector<llvm::Constant *> images;
  llvm::json::Array described, kernels;
  auto add = [&](llvm::StringRef kind, int64_t kindNumber, const std::string &data, bool isTerminated) {
    llvm::Constant *bytes = llvm::ConstantDataArray::getString(context, data, /*AddNull=*/isTerminated);
    auto *global = new llvm::GlobalVariable(module, bytes->getType(), /*isConstant=*/true,
                                            llvm::GlobalValue::InternalLinkage, bytes, "gqa_" + kind);
    global->setAlignment(llvm::Align(64));
    for (const KernelReport &kernel : code.kernels)
      kernels.push_back(llvm::json::Object{{"name", kernel.name},
                                           {"image", static_cast<int64_t>(images.size())},
                                           {"shared_bytes", kernel.sharedBytes},
                                           {"tensor_maps", kernel.numTensorMaps},
                                           {"threads", kernel.threads},
                                           {"registers", kernel.registers}});
    images.push_back(llvm::ConstantStruct::get(type, {number(i32, kindNumber), number(i32, target.capability),
                                                      number(i32, target.isSpecific), number(i32, 0), global,
                                                      number(i64, static_cast<int64_t>(data.size()))}));
    described.push_back(
        llvm::json::Object{{"kind", kind}, {"arch", target.arch}, {"bytes", static_cast<int64_t>(data.size())}});
  };
  if (!code.cubin.empty())
    add("cubin", 1, code.cubin, /*isTerminated=*/false);
  add("ptx", 2, code.ptx, /*isTerminated=*/true);
  images.push_back(llvm::Constant::getNullValue(type));
  auto *array = llvm::ArrayType::get(type, images.size());
  new llvm::GlobalVariable(module, array, /*isConstant=*/true, llvm::GlobalValue::ExternalLinkage,
                           llvm::ConstantArray::get(array, images), "gqa_device_images");
  return llvm::json::Object{{"kind", "cuda"}, {"images", std::move(described)}, {"kernels", std::move(kernels)}};
}

std::string explain(const DeviceCode &code, const GpuTarget &target) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (code.cubin.empty()) {
    os << "no ptxas in PATH, CUDA_HOME, CUDA_PATH or /usr/local/cuda: PTX only, which the driver assembles\n";
  }
  for (const KernelReport &kernel : code.kernels) {
    os << llvm::formatv("{0} for {1}: {2} threads, {3} bytes of shared memory", kernel.name, target.arch,
                        kernel.threads, kernel.sharedBytes);
    if (!code.cubin.empty())
      os << llvm::formatv(", {0} registers, {1} bytes of stack, {2} spilled, {3} blocks per multiprocessor ({4} %)",
                          kernel.registers, kernel.stackBytes, kernel.spillStoreBytes + kernel.spillLoadBytes,
                          kernel.occupancy, 100 * kernel.occupancy * kernel.threads / target.maxThreads);
    // By Little's law, latency times bandwidth: at 4 TB/s, 132 multiprocessors and about 1 us, 30 KiB for each.
    if (!code.cubin.empty() && kernel.coming != 0)
      os << llvm::formatv(", {0} KiB of keys and values on their way", kernel.occupancy * kernel.coming / 1024);
    os << "\n";
    if (!kernel.fallback.empty())
      os << "  as for sm_80: " << kernel.fallback << "\n";
  }
  for (const std::string &warning : code.warnings)
    os << "ptxas: " << warning << "\n";
  return text;
}

} // namespace mlir::gqa
