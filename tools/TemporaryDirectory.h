#ifndef GQA_TOOLS_TEMPORARYDIRECTORY_H
#define GQA_TOOLS_TEMPORARYDIRECTORY_H

#include <string>

namespace gqa {

/// A new directory for files that nobody needs afterwards; goes away with all that is in it.
class TemporaryDirectory {
public:
  /// Throws std::runtime_error.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory &) = delete;
  TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;

  std::string file(const std::string &name) const { return path + "/" + name; }

private:
  std::string path;
};

} // namespace gqa

#endif // GQA_TOOLS_TEMPORARYDIRECTORY_H
