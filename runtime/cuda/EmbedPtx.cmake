# cmake -DNAME=Cache -DPTX=FILE -DOUTPUT=FILE -P EmbedPtx.cmake: writes the text of PTX, empty if there is no such file,
# as C++.
set(text "")
if(EXISTS "${PTX}")
  file(READ "${PTX}" text)
endif()
file(WRITE "${OUTPUT}" "#include \"runtime/cuda/CachePtx.h\"

namespace gqa::cuda {
const char k${NAME}Ptx[] = R\"ptx(${text})ptx\";
const int64_t k${NAME}PtxBytes = sizeof k${NAME}Ptx - 1;
} // namespace gqa::cuda
")
