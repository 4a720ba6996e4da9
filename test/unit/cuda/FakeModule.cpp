#include "test/unit/cuda/FakeModule.h"

#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <regex>

namespace fakecuda {

using gqa::cuda::kSuccess;
using gqa::cuda::Result;

FakeModule::~FakeModule() {
  for (void *library : {bodies, artifact})
    if (library)
      dlclose(library);
}

Result FakeModule::load(const void *image, int capability, const std::string &kernels, std::string &log) {
  auto *bytes = static_cast<const unsigned char *>(image);
  if (std::memcmp(bytes, ELFMAG, SELFMAG) == 0)
    return loadCubin(bytes, capability);
  Result result = loadPtx(reinterpret_cast<const char *>(bytes), capability, kernels, log);
  if (result == kSuccess)
    findEmulatedKernels(image);
  return result;
}

/// What `gqa-compile --with-emulated-kernels` has put beside the image.
void FakeModule::findEmulatedKernels(const void *image) {
  Dl_info place;
  if (!dladdr(image, &place) || !place.dli_fname)
    return;
  artifact = dlopen(place.dli_fname, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (!artifact)
    return;
  auto emulate = reinterpret_cast<decltype(&gqa_emulate_launch)>(dlsym(artifact, "gqa_emulate_launch"));
  for (auto &[name, function] : functions) {
    function->emulated = reinterpret_cast<gqa_emulated_kernel>(dlsym(artifact, (name + "_emulated").c_str()));
    function->emulate = emulate;
    if (!emulate)
      function->emulated = nullptr;
  }
}

static size_t getParameterBytes(const std::string &type, const std::string &count) {
  size_t bits = std::stoul(type.substr(1));
  return bits / 8 * (count.empty() ? 1 : std::stoul(count));
}

Result FakeModule::loadPtx(const std::string &text, int capability, std::string path, std::string &log) {
  static const std::regex target(R"(^\s*\.target\s+sm_([0-9]+)(a?))", std::regex::multiline);
  std::smatch match;
  if (text.find(".version") == std::string::npos || !std::regex_search(text, match, target)) {
    log = "ptxas fatal   : Missing .version directive at start of file\nptxas fatal   : Ptx assembly aborted\n";
    return kInvalidPtx;
  }
  int made = std::stoi(match[1]);
  if (made > capability || (match[2] == "a" && made != capability))
    return kNoBinaryForGpu;
  constexpr char kMark[] = "//! kernels: ";
  if (text.compare(0, sizeof kMark - 1, kMark) == 0)
    path = text.substr(sizeof kMark - 1, text.find('\n') - (sizeof kMark - 1));
  if (!path.empty()) {
    bodies = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!bodies) {
      log = dlerror();
      return kInvalidPtx;
    }
  }
  return readFunctions(text) ? kSuccess : kInvalidPtx;
}

bool FakeModule::readFunctions(const std::string &text) {
  static const std::regex parameter(
      R"(\.param\s+(?:\.align\s+[0-9]+\s+)?\.([a-z][0-9]+)(?:\s+\.ptr[^,]*?)?\s+[\w$]+(?:\[([0-9]+)\])?)");
  for (size_t at = text.find(".entry"); at != std::string::npos; at = text.find(".entry", at + 1)) {
    size_t begin = text.find_first_not_of(" \t\n", at + 6), open = text.find('(', begin);
    size_t close = text.find(')', open);
    if (close == std::string::npos)
      return false;
    auto function = std::make_unique<Function>();
    function->name = text.substr(begin, open - begin);
    while (!function->name.empty() && std::isspace(static_cast<unsigned char>(function->name.back())))
      function->name.pop_back();
    std::string list = text.substr(open, close - open);
    for (std::sregex_iterator it(list.begin(), list.end(), parameter), end; it != end; ++it)
      function->parameterBytes.push_back(getParameterBytes((*it)[1], (*it)[2]));
    if (bodies)
      function->body = reinterpret_cast<Body>(dlsym(bodies, function->name.c_str()));
    functions[function->name] = std::move(function);
  }
  return true;
}

Result FakeModule::loadCubin(const unsigned char *image, int capability) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof header);
  constexpr int kMachineCuda = 190;
  if (header.e_machine != kMachineCuda)
    return kInvalidPtx;
  // The capability is in the flags: in bits 8 to 15 since CUDA 13, in bits 0 to 7 before.
  int low = static_cast<int>(header.e_flags & 0xff), high = static_cast<int>(header.e_flags >> 8 & 0xff);
  if (low != capability && high != capability)
    return kNoBinaryForGpu;
  std::vector<Elf64_Shdr> sections(header.e_shnum);
  std::memcpy(sections.data(), image + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  const char *names = reinterpret_cast<const char *>(image + sections[header.e_shstrndx].sh_offset);
  for (const Elf64_Shdr &section : sections) {
    std::string name = names + section.sh_name;
    if (name.compare(0, 6, ".text.") != 0)
      continue;
    auto function = std::make_unique<Function>();
    function->name = name.substr(6);
    functions[function->name] = std::move(function);
  }
  return kSuccess;
}

gqa::cuda::FunctionHandle FakeModule::get(const std::string &name) {
  auto it = functions.find(name);
  return it == functions.end() ? nullptr : reinterpret_cast<gqa::cuda::FunctionHandle>(it->second.get());
}

FakeModule::Function *FakeModule::find(gqa::cuda::FunctionHandle handle) {
  for (auto &[name, function] : functions)
    if (reinterpret_cast<gqa::cuda::FunctionHandle>(function.get()) == handle)
      return function.get();
  return nullptr;
}

} // namespace fakecuda
