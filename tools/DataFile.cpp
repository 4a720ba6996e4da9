#include "tools/DataFile.h"

#include <filesystem>
#include <stdexcept>

namespace gqa {

std::string executableDirectory() {
  std::error_code error;
  std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error)
    throw std::runtime_error("cannot find the running executable through /proc/self/exe: " + error.message());
  return executable.parent_path().string();
}

std::string dataFilePath(const std::string &name) {
  return (std::filesystem::path(executableDirectory()).parent_path() / "share" / "gqa" / name).string();
}

} // namespace gqa
