#include "tools/TemporaryDirectory.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <stdlib.h>

namespace fs = std::filesystem;

namespace gqa {

TemporaryDirectory::TemporaryDirectory() {
  std::error_code error;
  path = (fs::temp_directory_path(error) / "gqa-XXXXXX").string();
  if (error || !mkdtemp(path.data()))
    throw std::runtime_error("cannot make a temporary directory '" + path +
                             "': " + (error ? error.message() : std::strerror(errno)));
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

} // namespace gqa
