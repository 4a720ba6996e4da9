#include "tools/OutputFile.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace gqa {
namespace {

[[noreturn]] void fail(const std::string &path, int error) {
  throw std::runtime_error("cannot write '" + path + "': " + std::strerror(error));
}

/// A device or a pipe, such as /dev/stdout: written in place.
bool isSpecial(const std::string &path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

std::string directoryOf(const std::string &path) {
  fs::path directory = fs::path(path).parent_path();
  return directory.empty() ? "." : directory.string();
}

bool writeAll(int file, const std::string &text) {
  size_t done = 0;
  while (done < text.size()) {
    ssize_t count = ::write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return false;
    done += count;
  }
  return true;
}

void writeStream(const std::string &path, const std::string &text, std::FILE *stream) {
  bool good = stream && std::fwrite(text.data(), 1, text.size(), stream) == text.size();
  if (!good || std::fflush(stream))
    fail(path, errno);
}

} // namespace

void checkWritable(const std::string &path) {
  if (path == "-")
    return;
  struct stat status;
  if (::stat(directoryOf(path).c_str(), &status))
    fail(path, errno);
  if (!S_ISDIR(status.st_mode))
    fail(path, ENOTDIR);
  if (path.empty() || fs::is_directory(path))
    fail(path, EISDIR);
  if (::access((isSpecial(path) ? path : directoryOf(path)).c_str(), W_OK))
    fail(path, errno);
}

void writeOutput(const std::string &path, const std::string &text) {
  if (path == "-")
    return writeStream("standard output", text, stdout);
  checkWritable(path);
  if (isSpecial(path)) {
    std::FILE *stream = std::fopen(path.c_str(), "w");
    writeStream(path, text, stream);
    std::fclose(stream);
    return;
  }
  std::string temporary = directoryOf(path) + "/." + fs::path(path).filename().string() + ".XXXXXX";
  int file = ::mkstemp(temporary.data());
  if (file < 0)
    fail(path, errno);
  mode_t mask = ::umask(0);
  ::umask(mask);
  bool good = writeAll(file, text) && !::fchmod(file, 0666 & ~mask);
  int error = errno;
  if (::close(file) && good) {
    good = false;
    error = errno;
  }
  if (good && ::rename(temporary.c_str(), path.c_str())) {
    good = false;
    error = errno;
  }
  if (good)
    return;
  ::unlink(temporary.c_str());
  fail(path, error);
}

} // namespace gqa
