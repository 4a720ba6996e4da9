#ifndef GQA_TEST_UNIT_CUDA_FAKEMODULE_H
#define GQA_TEST_UNIT_CUDA_FAKEMODULE_H

#include "runtime/cuda/DriverTypes.h"
#include "runtime/emulator/Emulator.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fakecuda {

constexpr gqa::cuda::Result kNoBinaryForGpu = 209, kInvalidPtx = 218;

/// A module that the fake driver loaded: PTX, of which it reads versions, names and parameters, or a cubin, of which it
/// reads the architecture and the names.
class FakeModule {
public:
  using Body = void (*)(const unsigned *grid, const unsigned *block, void **parameters);
  struct Function {
    std::string name;
    std::vector<size_t> parameterBytes;
    int sharedBytes = 48 * 1024; // that launches may ask for
    Body body = nullptr;
    gqa_emulated_kernel emulated = nullptr;
    decltype(&gqa_emulate_launch) emulate = nullptr; ///< runs it
  };

  FakeModule() = default;
  ~FakeModule();
  FakeModule(const FakeModule &) = delete;

  /// `kernels`: shared object with the kernels of PTX that names none; may be empty. `log` gets what is wrong.
  gqa::cuda::Result load(const void *image, int capability, const std::string &kernels, std::string &log);

  /// The function of this name; null if there is none.
  gqa::cuda::FunctionHandle get(const std::string &name);

  Function *find(gqa::cuda::FunctionHandle handle);

private:
  gqa::cuda::Result loadPtx(const std::string &text, int capability, std::string path, std::string &log);
  gqa::cuda::Result loadCubin(const unsigned char *image, int capability);
  bool readFunctions(const std::string &text);
  void findEmulatedKernels(const void *image);

  std::map<std::string, std::unique_ptr<Function>> functions;
  void *bodies = nullptr;   // the shared object with kernels
  void *artifact = nullptr; // the shared object that the image lies in, if it has emulated kernels
};

} // namespace fakecuda

#endif // GQA_TEST_UNIT_CUDA_FAKEMODULE_H
