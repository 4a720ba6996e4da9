#ifndef GQA_TOOLS_OUTPUTFILE_H
#define GQA_TOOLS_OUTPUTFILE_H

#include <string>

namespace gqa {

/// Throws std::runtime_error, naming path and cause, if a file cannot be written there. For use before long work.
void checkWritable(const std::string &path);

/// Writes `text` to the file `path` as a whole or not at all ("-": to standard output). Throws std::runtime_error.
void writeOutput(const std::string &path, const std::string &text);

} // namespace gqa

#endif // GQA_TOOLS_OUTPUTFILE_H
