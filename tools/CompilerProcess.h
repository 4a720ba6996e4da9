#ifndef GQA_TOOLS_COMPILERPROCESS_H
#define GQA_TOOLS_COMPILERPROCESS_H

#include <string>
#include <vector>

namespace gqa {

/// Starts the gqa-compile that lies beside the running executable: compiles the file `module` to the artifact
/// `artifact`. Throws std::runtime_error with the compiler's first line of error.
void compileArtifact(const std::string &module, const std::string &artifact, const std::vector<std::string> &options);

} // namespace gqa

#endif // GQA_TOOLS_COMPILERPROCESS_H
