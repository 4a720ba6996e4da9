#ifndef GQA_RUNTIME_LAYER_ONEDNN_H
#define GQA_RUNTIME_LAYER_ONEDNN_H

#include <dnnl.h>

namespace gqa::layer {

/// The functions of oneDNN that projections need, from a library that is loaded when the first layer is made: programs
/// that make none, as gqa-run on a machine that only runs artifacts, do not need it installed. Versions 2 and 3, which
/// differ in how descriptors are made.
struct OneDnn {
  /// Throws std::runtime_error if the library cannot be loaded.
  static const OneDnn &get();

#define GQA_ONEDNN_FUNCTIONS(apply)                                                                                    \
  apply(engine_create) apply(stream_create) apply(stream_wait) apply(memory_create) apply(memory_destroy)              \
      apply(primitive_create) apply(primitive_execute) apply(primitive_destroy) apply(primitive_desc_destroy)
#if DNNL_VERSION_MAJOR >= 3
#define GQA_ONEDNN_DESCRIPTORS(apply)                                                                                  \
  apply(memory_desc_create_with_strides) apply(memory_desc_destroy) apply(matmul_primitive_desc_create)
#else
#define GQA_ONEDNN_DESCRIPTORS(apply)                                                                                  \
  apply(memory_desc_init_by_strides) apply(matmul_desc_init) apply(primitive_desc_create)
#endif

#define GQA_ONEDNN_DECLARE(name) decltype(&dnnl_##name) name = nullptr;
  GQA_ONEDNN_FUNCTIONS(GQA_ONEDNN_DECLARE)
  GQA_ONEDNN_DESCRIPTORS(GQA_ONEDNN_DECLARE)
#undef GQA_ONEDNN_DECLARE

private:
  OneDnn();
};

/// Throws std::runtime_error unless `status` is dnnl_success.
void checkOneDnn(dnnl_status_t status);

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_ONEDNN_H
