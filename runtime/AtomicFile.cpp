#include "runtime/AtomicFile.h"

#include "runtime/Context.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace gqa {

AtomicFile::AtomicFile(const std::string &path) : path(path), temporary(path + ".XXXXXX") {
  // Renaming a file over a device would destroy the device.
  struct stat existing;
  if (stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode) && !S_ISDIR(existing.st_mode))
    gqa::fail(GQA_IO_ERROR, "cannot write '" + path + "': it is no regular file");
  int descriptor = mkstemp(temporary.data());
  if (descriptor < 0)
    fail();
  file = fdopen(descriptor, "wb");
  if (file)
    return;
  int reason = errno;
  close(descriptor);
  unlink(temporary.c_str());
  errno = reason;
  fail();
}

AtomicFile::~AtomicFile() {
  if (!file)
    return;
  std::fclose(file);
  unlink(temporary.c_str());
}

void AtomicFile::fail() const { gqa::fail(GQA_IO_ERROR, "cannot write '" + path + "': " + std::strerror(errno)); }

void AtomicFile::write(const void *bytes, size_t size) {
  if (std::fwrite(bytes, 1, size, file) != size)
    fail();
}

void AtomicFile::commit() {
  if (std::fflush(file) != 0 || fsync(fileno(file)) != 0 || std::rename(temporary.c_str(), path.c_str()) != 0)
    fail();
  // What is on the disk is complete by now, whatever closing says.
  std::fclose(file);
  file = nullptr;
}

} // namespace gqa
