#include "runtime/AtomicFile.h"

#include "runtime/Context.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace gqa {

AtomicFile::AtomicFile(const std::string &path) : path(path), temporary(path + ".XXXXXX") {
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
