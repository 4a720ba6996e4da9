#include "passes/gpu/Ptxas.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

namespace mlir::gqa {

namespace {

std::optional<std::string> findPtxas() {
  if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName("ptxas"))
    return *path;
  auto findIn = [](llvm::StringRef root) -> std::optional<std::string> {
    llvm::SmallString<128> path(root);
    llvm::sys::path::append(path, "bin", "ptxas");
    if (llvm::sys::fs::can_execute(path))
      return path.str().str();
    return std::nullopt;
  };
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char *root = getenv(variable))
      if (std::optional<std::string> path = findIn(root))
        return path;
  return findIn("/usr/local/cuda");
}

/// A temporary file that is removed with this object.
struct Temporary {
  llvm::SmallString<128> path;
  std::optional<llvm::FileRemover> remover;

  llvm::Error create(llvm::StringRef suffix) {
    if (std::error_code code = llvm::sys::fs::createTemporaryFile("gqa", suffix, path))
      return llvm::createStringError("cannot create a temporary file: " + code.message());
    remover.emplace(path);
    return llvm::Error::success();
  }

  std::string read() const {
    llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> buffer = llvm::MemoryBuffer::getFile(path);
    return buffer ? (*buffer)->getBuffer().str() : "";
  }
};

/// The number before `unit` in `line`, or 0.
int64_t readNumber(llvm::StringRef line, llvm::StringRef unit) {
  size_t end = line.find((" " + unit).str());
  if (end == llvm::StringRef::npos)
    return 0;
  llvm::StringRef head = line.take_front(end);
  int64_t value = 0;
  head.drop_front(head.find_last_not_of("0123456789") + 1).getAsInteger(10, value);
  return value;
}

} // namespace

void parsePtxasReport(llvm::StringRef report, DeviceCode &code, const GpuTarget &target) {
  KernelReport *current = nullptr;
  llvm::SmallVector<llvm::StringRef> lines;
  report.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    if (auto [head, tail] = line.split("Compiling entry function '"); !tail.empty()) {
      auto it = llvm::find_if(
          code.kernels, [&, name = tail.split('\'').first](const KernelReport &kernel) { return kernel.name == name; });
      current = it == code.kernels.end() ? nullptr : &*it;
    } else if (line.contains("warning") || line.contains("C75")) {
      code.warnings.push_back(line.trim().str());
    } else if (current && line.contains("bytes spill stores")) {
      current->stackBytes = readNumber(line, "bytes stack frame");
      current->spillStoreBytes = readNumber(line, "bytes spill stores");
      current->spillLoadBytes = readNumber(line, "bytes spill loads");
    } else if (current && line.contains("registers")) {
      current->registers = readNumber(line, "registers");
      current->occupancy = target.getOccupancy(current->registers, current->threads, current->sharedBytes);
    }
  }
}

llvm::Error assemble(DeviceCode &code, const GpuTarget &target) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    return llvm::Error::success();
  Temporary input, output, report;
  if (llvm::Error error = input.create("ptx"))
    return error;
  if (llvm::Error error = output.create("cubin"))
    return error;
  if (llvm::Error error = report.create("txt"))
    return error;
  llvm::Error written = llvm::writeToOutput(input.path, [&](llvm::raw_ostream &os) {
    os << code.ptx;
    return llvm::Error::success();
  });
  if (written)
    return written;
  std::string arch = "-arch=" + target.arch;
  llvm::StringRef arguments[] = {*ptxas, arch, "-v", input.path, "-o", output.path};
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, report.path.str(), report.path.str()};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(*ptxas, arguments, /*Env=*/std::nullopt, redirects, /*SecondsToWait=*/0,
                                         /*MemoryLimit=*/0, &message);
  std::string text = report.read();
  if (status != 0)
    return llvm::createStringError("'" + *ptxas + "' failed: " + (message.empty() ? text : message));
  code.cubin = output.read();
  parsePtxasReport(text, code, target);
  return llvm::Error::success();
}

} // namespace mlir::gqa
