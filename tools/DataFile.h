#ifndef GQA_TOOLS_DATAFILE_H
#define GQA_TOOLS_DATAFILE_H

#include <string>

namespace gqa {

/// Path of the file `name` that ships with the tools, in `../share/gqa` as seen from the running executable: the build
/// tree and the install tree have the same layout.
std::string dataFilePath(const std::string &name);

/// Directory of the running executable, links resolved. Throws std::runtime_error where /proc is missing.
std::string executableDirectory();

} // namespace gqa

#endif // GQA_TOOLS_DATAFILE_H
