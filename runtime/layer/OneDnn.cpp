#include "runtime/layer/OneDnn.h"

#include <dlfcn.h>
#include <stdexcept>
#include <string>

namespace gqa::layer {

OneDnn::OneDnn() {
  const std::string name = "libdnnl.so." + std::to_string(DNNL_VERSION_MAJOR);
  // Never closed: its functions may run until the process ends.
  void *library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error("projections need oneDNN: " + std::string(dlerror()));
  auto find = [&](const char *function) {
    void *address = dlsym(library, function);
    if (!address)
      throw std::runtime_error(name + " has no function " + function);
    return address;
  };
#define GQA_ONEDNN_FIND(function) function = reinterpret_cast<decltype(function)>(find("dnnl_" #function));
  GQA_ONEDNN_FUNCTIONS(GQA_ONEDNN_FIND)
  GQA_ONEDNN_DESCRIPTORS(GQA_ONEDNN_FIND)
#undef GQA_ONEDNN_FIND
}

const OneDnn &OneDnn::get() {
  static const OneDnn functions;
  return functions;
}

void checkOneDnn(dnnl_status_t status) {
  if (status == dnnl_success)
    return;
  throw std::runtime_error(status == dnnl_out_of_memory ? "oneDNN is out of memory"
                                                        : "oneDNN failed with status " + std::to_string(status));
}

} // namespace gqa::layer
