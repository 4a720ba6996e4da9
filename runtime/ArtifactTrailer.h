#ifndef GQA_RUNTIME_ARTIFACTTRAILER_H
#define GQA_RUNTIME_ARTIFACTTRAILER_H

#include <cstddef>
#include <string>
#include <string_view>

/// The 32 bytes behind an artifact's ELF image, by which a loader knows that the file is whole and ours before anything
/// of it runs: magic `GQAARTF1`, length of the image (u64, little endian), its XXH64 (u64), 8 zero bytes.
namespace gqa {

constexpr std::size_t kTrailerSize = 32;

/// The trailer of `image`.
std::string makeTrailer(std::string_view image);

/// Checks a whole file. Returns an empty string, or what is wrong with it.
std::string checkTrailer(std::string_view file);

/// Writes `image` and its trailer to `path`: to a temporary file beside it first, so the file appears whole or not at
/// all. Returns an empty string, or what went wrong.
std::string writeArtifact(const std::string &path, std::string_view image);

} // namespace gqa

#endif // GQA_RUNTIME_ARTIFACTTRAILER_H
