#include "passes/EmitArtifact.h"

#include "passes/BF16AsIntegers.h"
#include "runtime/ArtifactTrailer.h"

#include "lld/Common/Driver.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

LLD_HAS_DRIVER(elf)

namespace mlir::gqa {

namespace {

constexpr llvm::StringLiteral kDescriptionSymbol = "gqa_description";

llvm::Error makeError(const llvm::Twine &message) { return llvm::createStringError(message.str()); }

/// The JSON text of docs/design.md, "Artifact". `device` describes the kernels, if there are any.
std::string buildDescription(ModuleOp module, const Target &target, std::optional<llvm::json::Object> device) {
  llvm::json::Array entries;
  if (auto text = module->getAttrOfType<StringAttr>("gqa.description"))
    if (llvm::Expected<llvm::json::Value> parsed = llvm::json::parse(text.getValue()))
      entries = std::move(*parsed->getAsArray());
  for (llvm::json::Value &entry : entries)
    if (device)
      entry.getAsObject()->insert({"device", "cuda"});
  llvm::json::Object description{
      {"format", 1},
      {"compiler", "gqa " GQA_VERSION ", LLVM " LLVM_VERSION_STRING},
      {"target", llvm::json::Object{{"triple", target.triple}, {"cpu", target.cpu}, {"features", target.features}}},
      {"entries", std::move(entries)}};
  if (device)
    description.insert({"device", std::move(*device)});
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(description));
  return text;
}

void addDescription(llvm::Module &module, llvm::StringRef text) {
  llvm::Constant *data = llvm::ConstantDataArray::getString(module.getContext(), text);
  auto *global = new llvm::GlobalVariable(module, data->getType(), /*isConstant=*/true,
                                          llvm::GlobalValue::ExternalLinkage, data, kDescriptionSymbol);
  global->setSection(".gqa.description");
}

/// LLVM IR of the module, optimised for the target.
llvm::Expected<std::unique_ptr<llvm::Module>> translate(ModuleOp module, const Target &target,
                                                        llvm::TargetMachine &machine, llvm::LLVMContext &context,
                                                        const ArtifactParts &parts) {
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(module, context);
  if (!result)
    return makeError("the module cannot be translated to LLVM IR");
  result->setTargetTriple(llvm::Triple(target.triple));
  result->setDataLayout(machine.createDataLayout());
  for (llvm::Function &function : *result)
    if (!function.isDeclaration()) {
      function.addFnAttr("target-cpu", machine.getTargetCPU());
      function.addFnAttr("target-features", machine.getTargetFeatureString());
      function.addFnAttr("prefer-vector-width", std::to_string(target.vectorBits));
      function.addFnAttr("min-legal-vector-width", std::to_string(target.vectorBits));
    }
  std::optional<llvm::json::Object> device;
  if (parts.device)
    device = addImages(*result, *parts.device, *parts.gpu);
  addDescription(*result, buildDescription(module, target, std::move(device)));
  auto optimise = makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, &machine);
  if (llvm::Error error = optimise(result.get()))
    return std::move(error);
  moveBF16AsIntegers(*result, target.hasDot);
  return std::move(result);
}

llvm::Error generateCode(llvm::Module &module, llvm::TargetMachine &machine, llvm::raw_pwrite_stream &stream,
                         llvm::CodeGenFileType type) {
  llvm::legacy::PassManager manager;
  if (machine.addPassesToEmitFile(manager, stream, /*DwoOut=*/nullptr, type))
    return makeError("the target cannot write this kind of file");
  manager.run(module);
  return llvm::Error::success();
}

/// A file that is removed when this goes out of scope.
struct TemporaryFile {
  llvm::SmallString<128> path;
  ~TemporaryFile() {
    if (!path.empty())
      llvm::sys::fs::remove(path);
  }
};

llvm::Error writeFile(llvm::StringRef path, llvm::StringRef contents) {
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code);
  if (!code) {
    stream << contents;
    stream.close();
    code = stream.error();
    stream.clear_error();
  }
  if (code)
    return makeError("cannot write '" + path + "': " + code.message());
  return llvm::Error::success();
}

/// Links one object file to the bytes of a shared object.
llvm::Expected<std::string> link(llvm::StringRef object, llvm::ArrayRef<std::string> archives) {
  TemporaryFile input, output;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("gqa", "o", input.path))
    return makeError("cannot create a temporary file: " + code.message());
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("gqa", "so", output.path))
    return makeError("cannot create a temporary file: " + code.message());
  if (llvm::Error error = writeFile(input.path, object))
    return std::move(error);
  std::string errors;
  llvm::raw_string_ostream errorStream(errors);
  llvm::SmallVector<const char *> arguments = {"ld.lld", "-shared", "-Bsymbolic",        "-z",
                                               "relro",  "-o",      output.path.c_str(), input.path.c_str()};
  for (const std::string &archive : archives)
    arguments.push_back(archive.c_str());
  const lld::DriverDef drivers[] = {{lld::Gnu, &lld::elf::link}};
  lld::Result result = lld::lldMain(arguments, llvm::nulls(), errorStream, drivers);
  if (result.retCode != 0)
    return makeError("linking failed: " + llvm::StringRef(errors).split('\n').first);
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> image = llvm::MemoryBuffer::getFile(output.path);
  if (!image)
    return makeError("cannot read the linked file: " + image.getError().message());
  return (*image)->getBuffer().str();
}

} // namespace

llvm::Expected<std::string> emitText(ModuleOp module, const Target &target, EmitKind kind, const ArtifactParts &parts) {
  std::unique_ptr<llvm::TargetMachine> machine = target.createMachine();
  llvm::LLVMContext context;
  llvm::Expected<std::unique_ptr<llvm::Module>> llvmModule = translate(module, target, *machine, context, parts);
  if (!llvmModule)
    return llvmModule.takeError();
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  if (kind == EmitKind::llvmIR) {
    (*llvmModule)->print(stream, /*AAW=*/nullptr);
    return text.str().str();
  }
  auto type = kind == EmitKind::assembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  if (llvm::Error error = generateCode(**llvmModule, *machine, stream, type))
    return std::move(error);
  return text.str().str();
}

llvm::Error emitArtifact(ModuleOp module, const Target &target, std::string path, const ArtifactParts &parts) {
  llvm::Expected<std::string> object = emitText(module, target, EmitKind::object, parts);
  if (!object)
    return object.takeError();
  llvm::Expected<std::string> image = link(*object, parts.archives);
  if (!image)
    return image.takeError();
  std::string message = ::gqa::writeArtifact(path, *image);
  return message.empty() ? llvm::Error::success() : makeError(message);
}

} // namespace mlir::gqa
