#ifndef GQA_RUNTIME_ATOMICFILE_H
#define GQA_RUNTIME_ATOMICFILE_H

#include <cstddef>
#include <cstdio>
#include <string>

namespace gqa {

/// A file that appears under its name complete or not at all: it is written under a temporary name beside it, flushed
/// to the disk, and renamed. Only its owner may read it.
class AtomicFile {
public:
  /// Throws gqa::Failure (GQA_IO_ERROR), as all functions do.
  explicit AtomicFile(const std::string &path);
  ~AtomicFile(); ///< removes the temporary file if commit() has not been reached
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  void write(const void *bytes, size_t size);
  void commit();

private:
  [[noreturn]] void fail() const;

  std::string path, temporary;
  std::FILE *file = nullptr;
};

} // namespace gqa

#endif // GQA_RUNTIME_ATOMICFILE_H
