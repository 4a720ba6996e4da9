#ifndef GQA_TOOLS_COMPILERPROCESS_H
#define GQA_TOOLS_COMPILERPROCESS_H

#include <stdexcept>
#include <string>
#include <vector>

namespace gqa {

/// The compiler ended by itself as a compiler must not: a signal, or without saying why.
struct CompilerCrash : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Starts the gqa-compile that lies beside the running executable: compiles the file `module` to the artifact
/// `artifact`. Throws std::runtime_error with the compiler's first line of error, or CompilerCrash.
void compileArtifact(const std::string &module, const std::string &artifact, const std::vector<std::string> &options);

} // namespace gqa

#endif // GQA_TOOLS_COMPILERPROCESS_H
