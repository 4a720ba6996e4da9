// seal-artifact IN.so OUT.so: makes an artifact of a shared object by the trailer that loaders ask for.

#include "runtime/ArtifactTrailer.h"

#include <cstdio>
#include <fstream>
#include <sstream>

int main(int argc, char **argv) {
  std::ifstream stream(argc == 3 ? argv[1] : "", std::ios::binary);
  std::ostringstream image;
  image << stream.rdbuf();
  std::string problem = stream ? gqa::writeArtifact(argv[2], image.str()) : "cannot read the shared object";
  if (!problem.empty())
    std::fprintf(stderr, "seal-artifact: %s\n", problem.c_str());
  return problem.empty() ? 0 : 1;
}
