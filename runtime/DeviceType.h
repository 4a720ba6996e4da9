#ifndef GQA_RUNTIME_DEVICETYPE_H
#define GQA_RUNTIME_DEVICETYPE_H

#include <dlpack/dlpack.h>

#include <cstring>

namespace gqa {

/// A caller's device type as a number: later versions of DLPack have more of them than the enumeration here.
inline int32_t getDeviceType(const DLDevice &device) {
  int32_t type;
  static_assert(sizeof(type) == sizeof(device.device_type));
  std::memcpy(&type, &device.device_type, sizeof(type));
  return type;
}

} // namespace gqa

#endif // GQA_RUNTIME_DEVICETYPE_H
