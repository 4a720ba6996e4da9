#include "runtime/Artifact.h"

#include "runtime/ArtifactTrailer.h"
#include "runtime/Context.h"
#include "runtime/CpuFeatures.h"
#include "runtime/DeviceType.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace gqa {

static TensorDescription parseTensor(const nlohmann::json &json) {
  TensorDescription tensor;
  tensor.type = json.at("type").get<std::string>();
  for (const nlohmann::json &dim : json.at("shape")) {
    DimDescription description;
    if (dim.is_number_integer())
      description.extent = dim.get<int64_t>();
    else
      description.symbol = dim.get<std::string>();
    tensor.shape.push_back(description);
  }
  return tensor;
}

static AttentionDescription parseAttention(const nlohmann::json &json) {
  AttentionDescription attention;
  auto parseOperands = [](const nlohmann::json &operands) {
    std::map<std::string, AttentionOperand> parsed;
    for (const auto &[name, operand] : operands.items())
      parsed[name] = {operand.at("index").get<size_t>(), operand.at("dims").get<std::vector<std::string>>()};
    return parsed;
  };
  attention.arguments = parseOperands(json.at("arguments"));
  attention.results = parseOperands(json.at("results"));
  if (json.contains("ring_slots")) {
    attention.ringSinks = json.at("ring_sinks").get<int64_t>();
    attention.ringSlots = json.at("ring_slots").get<int64_t>();
  }
  return attention;
}

static EntryDescription parseEntry(const nlohmann::json &json) {
  EntryDescription entry;
  entry.name = json.at("name").get<std::string>();
  for (const nlohmann::json &argument : json.at("arguments"))
    entry.arguments.push_back(parseTensor(argument));
  for (const nlohmann::json &result : json.at("results"))
    entry.results.push_back(parseTensor(result));
  if (json.contains("attention"))
    entry.attention = parseAttention(json.at("attention"));
  if (json.contains("device")) {
    std::string device = json.at("device").get<std::string>();
    if (device != "cuda")
      fail(GQA_UNSUPPORTED_TARGET,
           "entry '" + entry.name + "' runs on '" + device + "', which this runtime does not know");
    entry.isForDevice = true;
  }
  return entry;
}

static std::vector<cuda::KernelDescription> parseKernels(const nlohmann::json &device) {
  std::vector<cuda::KernelDescription> kernels;
  for (const nlohmann::json &kernel : device.at("kernels"))
    kernels.push_back(
        {kernel.at("name").get<std::string>(), kernel.at("image").get<int>(), kernel.at("shared_bytes").get<int>()});
  return kernels;
}

std::string print(const TensorDescription &tensor) {
  std::string text = tensor.type + "[";
  for (size_t dim = 0; dim < tensor.shape.size(); ++dim) {
    const DimDescription &description = tensor.shape[dim];
    text += (dim ? ", " : "") + (description.extent ? std::to_string(*description.extent) : description.symbol);
  }
  return text + "]";
}

static std::string readFile(const std::string &path) {
  // A device such as /dev/zero has no end. Directories fail below, by name.
  std::error_code error;
  if (std::filesystem::is_character_file(path, error))
    fail(GQA_IO_ERROR, "cannot read '" + path + "': it is no regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    fail(errno == ENOENT ? GQA_NOT_FOUND : GQA_IO_ERROR, "cannot open '" + path + "': " + std::strerror(errno));
  std::ostringstream contents;
  contents << stream.rdbuf();
  if (stream.bad() || contents.bad())
    fail(GQA_IO_ERROR, "cannot read '" + path + "'");
  return contents.str();
}

} // namespace gqa

void gqa_artifact::Closer::operator()(void *library) const { dlclose(library); }

gqa_artifact::gqa_artifact(const std::string &path) : path(path) {
  std::string problem = gqa::checkTrailer(gqa::readFile(path));
  if (!problem.empty())
    gqa::fail(GQA_BAD_ARTIFACT, "'" + path + "' is " + problem);
  // dlopen searches the library path for names without a slash.
  std::string location = path.find('/') == std::string::npos ? "./" + path : path;
  library.reset(dlopen(location.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!library)
    gqa::fail(GQA_BAD_ARTIFACT, "'" + path + "' cannot be loaded: " + dlerror());
  const char *text = static_cast<const char *>(dlsym(library.get(), "gqa_description"));
  if (!text)
    gqa::fail(GQA_BAD_ARTIFACT, "'" + path + "' has no description");
  description = text;
  parseDescription();
  cpuProblem = findCpuProblem();
}

void gqa_artifact::parseDescription() {
  try {
    nlohmann::json json = nlohmann::json::parse(description);
    if (int format = json.at("format").get<int>(); format != 1)
      gqa::fail(GQA_BAD_ARTIFACT,
                "'" + path + "' has format " + std::to_string(format) + ", but this runtime knows format 1");
    triple = json.at("target").at("triple").get<std::string>();
    features = json.at("target").at("features").get<std::vector<std::string>>();
    for (const nlohmann::json &entry : json.at("entries"))
      entries.push_back(gqa::parseEntry(entry));
    auto *images = static_cast<const gqa_device_image *>(dlsym(library.get(), "gqa_device_images"));
    if (json.contains("device") && images)
      deviceCode = std::make_unique<gqa::cuda::DeviceCode>(images, gqa::parseKernels(json.at("device")));
  } catch (const nlohmann::json::exception &exception) {
    gqa::fail(GQA_BAD_ARTIFACT, "'" + path + "' has a broken description: " + exception.what());
  }
  for (gqa::EntryDescription &entry : entries)
    findCode(entry);
}

void gqa_artifact::findCode(gqa::EntryDescription &entry) {
  auto find = [&](const char *prefix) {
    return reinterpret_cast<gqa_entry>(dlsym(library.get(), (prefix + entry.name).c_str()));
  };
  entry.run = find("gqa_run_");
  entry.shape = find("gqa_shape_");
  entry.workspace = find("gqa_workspace_");
  if (!entry.run || !entry.shape)
    gqa::fail(GQA_BAD_ARTIFACT, "'" + path + "' lists entry '" + entry.name + "' but has no code for it");
  if (entry.isForDevice && !deviceCode)
    gqa::fail(GQA_BAD_ARTIFACT, "'" + path + "' has no kernels for entry '" + entry.name + "'");
}

const gqa::EntryDescription *gqa_artifact::findEntry(const std::string &name) const {
  for (const gqa::EntryDescription &entry : entries)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

const gqa::EntryDescription &gqa_artifact::getEntry(const std::string &name) const {
  if (const gqa::EntryDescription *entry = findEntry(name))
    return *entry;
  std::string names;
  for (const gqa::EntryDescription &entry : entries) {
    names += (names.empty() ? "" : ", ") + entry.name;
  }
  gqa::fail(GQA_NOT_FOUND, "'" + path + "' has no entry '" + name + "'; it has: " + names);
}

std::string gqa_artifact::findCpuProblem() const {
  std::string architecture = triple.substr(0, triple.find('-'));
  if (architecture != gqa::getHostArchitecture())
    return "'" + path + "' is for " + architecture + ", but this machine is " + gqa::getHostArchitecture();
  std::string names;
  for (const std::string &name : gqa::findMissingCpuFeatures(features))
    names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "" : "'" + path + "' needs CPU features that this machine lacks: " + names;
}

void gqa_artifact::checkCpu() const {
  if (!cpuProblem.empty())
    gqa::fail(GQA_UNSUPPORTED_TARGET, cpuProblem);
}

void gqa_artifact::checkDevice(const gqa::cuda::Device &device) const {
  if (!deviceCode)
    gqa::fail(GQA_INVALID_ARGUMENT, "'" + path + "' has no code for a device: it runs on the CPU");
  try {
    deviceCode->checkCanRun(device);
  } catch (const gqa::Failure &failure) {
    gqa::fail(failure.status, "'" + path + "' " + failure.message);
  }
}

extern "C" {

GQA_API gqa_status gqa_artifact_load(gqa_context *context, const char *path, gqa_artifact **artifact) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!path || !artifact)
      gqa::fail(GQA_INVALID_ARGUMENT, "path and artifact must not be null");
    *artifact = nullptr;
    *artifact = new gqa_artifact(path);
  });
}

GQA_API void gqa_artifact_destroy(gqa_artifact *artifact) { delete artifact; }

GQA_API const char *gqa_artifact_description(const gqa_artifact *artifact) {
  return artifact ? artifact->description.c_str() : "";
}

GQA_API gqa_status gqa_artifact_can_run(gqa_context *context, const gqa_artifact *artifact) {
  if (!context || !artifact)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    artifact->checkCpu();
    if (artifact->deviceCode)
      artifact->checkDevice(*context->getDevice(0));
  });
}

GQA_API gqa_status gqa_artifact_can_run_on(gqa_context *context, const gqa_artifact *artifact, DLDevice device) {
  if (!context || !artifact)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    artifact->checkCpu();
    if (gqa::getDeviceType(device) == kDLCUDA)
      artifact->checkDevice(*context->getDevice(device.device_id));
    else if (gqa::getDeviceType(device) != kDLCPU)
      gqa::fail(GQA_INVALID_ARGUMENT, "device type " + std::to_string(gqa::getDeviceType(device)) +
                                          " is neither the CPU (" + std::to_string(kDLCPU) + ") nor CUDA (" +
                                          std::to_string(kDLCUDA) + ")");
    else if (artifact->deviceCode)
      gqa::fail(GQA_UNSUPPORTED_TARGET, "'" + artifact->path + "' runs on a CUDA device, not on the CPU");
  });
}

GQA_API int32_t gqa_artifact_num_entries(const gqa_artifact *artifact) {
  return artifact ? static_cast<int32_t>(artifact->entries.size()) : 0;
}

GQA_API const char *gqa_artifact_entry_name(const gqa_artifact *artifact, int32_t index) {
  if (index < 0 || index >= gqa_artifact_num_entries(artifact))
    return nullptr;
  return artifact->entries[static_cast<size_t>(index)].name.c_str();
}

} // extern "C"
