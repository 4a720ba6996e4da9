#ifndef GQA_RUNTIME_CPUFEATURES_H
#define GQA_RUNTIME_CPUFEATURES_H

#include <string>
#include <vector>

namespace gqa {

/// Those of `required` (LLVM's feature names, as in an artifact's description) that this machine lacks. Features that
/// change no instruction that compiled kernels use, and names that this function does not know, do not count.
std::vector<std::string> findMissingCpuFeatures(const std::vector<std::string> &required);

/// The architecture of this machine as the first part of a target triple, e.g. "x86_64".
std::string getHostArchitecture();

} // namespace gqa

#endif // GQA_RUNTIME_CPUFEATURES_H
