# cmake -DPTX=FILE -DOUTPUT=FILE -P EmbedPtx.cmake: writes the text of PTX, empty if there is no such file, as C++.
set(text "")
if(EXISTS "${PTX}")
  file(READ "${PTX}" text)
endif()
file(WRITE "${OUTPUT}" "#include \"runtime/cuda/CachePtx.h\"

namespace gqa::cuda {
const char kCachePtx[] = R\"ptx(${text})ptx\";
const int64_t kCachePtxBytes = sizeof kCachePtx - 1;
} // namespace gqa::cuda
")
