#include "runtime/ArtifactTrailer.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

namespace gqa {

static constexpr std::string_view kMagic = "GQAARTF1";

static void putU64(std::string &text, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8)
    text.push_back(static_cast<char>(value >> shift));
}

static uint64_t getU64(std::string_view text) {
  uint64_t value = 0;
  for (int byte = 7; byte >= 0; --byte)
    value = value << 8 | static_cast<unsigned char>(text[byte]);
  return value;
}

std::string makeTrailer(std::string_view image) {
  std::string trailer(kMagic);
  putU64(trailer, image.size());
  putU64(trailer, XXH64(image.data(), image.size(), /*seed=*/0));
  putU64(trailer, 0);
  return trailer;
}

std::string checkTrailer(std::string_view file) {
  if (file.size() < kTrailerSize || file.substr(file.size() - kTrailerSize, kMagic.size()) != kMagic)
    return "not a gqa artifact, or truncated";
  std::string_view trailer = file.substr(file.size() - kTrailerSize);
  std::string_view image = file.substr(0, file.size() - kTrailerSize);
  uint64_t length = getU64(trailer.substr(8));
  if (length != image.size())
    return "damaged: it should have " + std::to_string(length) + " bytes of code, but has " +
           std::to_string(image.size());
  if (getU64(trailer.substr(16)) != XXH64(image.data(), image.size(), /*seed=*/0))
    return "damaged: the checksum does not match its contents";
  if (getU64(trailer.substr(24)) != 0)
    return "damaged: its reserved bytes are not 0";
  return "";
}

static bool writeAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string writeArtifact(const std::string &path, std::string_view image) {
  // Renaming a file over a device would destroy the device.
  struct stat existing;
  if (stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode) && !S_ISDIR(existing.st_mode))
    return "cannot write '" + path + "': it is no regular file";
  std::string temporary = path + ".XXXXXX";
  auto describe = [&] { return "cannot write '" + path + "': " + std::strerror(errno); };
  int file = mkstemp(temporary.data());
  if (file < 0)
    return describe();
  std::string message;
  if (!writeAll(file, image) || !writeAll(file, makeTrailer(image)) || fchmod(file, 0755) != 0)
    message = describe();
  if (close(file) != 0 && message.empty())
    message = describe();
  if (message.empty() && rename(temporary.c_str(), path.c_str()) != 0)
    message = describe();
  if (!message.empty())
    unlink(temporary.c_str());
  return message;
}

} // namespace gqa
