#ifndef GQA_TEST_UNIT_CUDA_FAKECUDA_H
#define GQA_TEST_UNIT_CUDA_FAKECUDA_H

#include "runtime/cuda/DriverTypes.h"

#include <cstdint>
#include <string>
#include <vector>

/// A libcuda.so.1 without a GPU. A test that links it is given it by dlopen("libcuda.so.1"); programs find it through
/// LD_LIBRARY_PATH.
///
/// It is strict where the driver is: calls need a current context; handles must be alive; copies stay within
/// allocations; launches keep to the limits of the device, and to the parameters that the PTX declares. Device memory
/// is host memory that can only be accessed while work of a stream runs, so that host code that reads through a device
/// pointer crashes. Work on streams waits in line until something synchronises, as on a device that is busy; what is
/// started while a stream is captured goes into the graph instead, and what may not be called then fails.
///
/// Kernels do nothing, unless the first line of the PTX reads `//! kernels: FILE.so`, or options name a file: then they
/// are functions of that shared object, `void name(const unsigned grid[3], const unsigned block[3], void
/// **parameters)`; or unless the artifact that the PTX lies in has them for the emulator, too (`gqa-compile
/// --with-emulated-kernels`): then that runs them, so that results are those of a device.
///
/// The environment variable GQA_FAKE_CUDA ("devices=0 capability=80 fail=7 trace=FILE") sets the same for programs.
namespace fakecuda {

struct Options {
  int devices = 1;
  int capability = 90;
  int64_t memory = int64_t(1) << 34; ///< bytes
  int initResult = 0;                ///< of cuInit
  std::string kernels;               ///< shared object with kernels of modules that name none
};

struct Launch {
  std::string kernel;
  unsigned grid[3], block[3], cluster[3];
  unsigned sharedBytes;
  bool isProgrammatic;
  void *stream;
  std::vector<std::vector<uint8_t>> parameters; ///< values, where the PTX declares their sizes
};

/// Forgets everything, and starts with these options.
void reset(const Options &options = {});

/// Lets the call number `index` from now (0: the next one) fail with `error`. What gives something back is not counted.
void failAt(int index, int error);

/// Whether a call failed because of failAt.
bool hasFailed();

/// The functions called so far, in order; cuGetErrorName and cuGetErrorString are left out.
const std::vector<std::string> &getCalls();
void clearCalls();

/// The kernels launched so far (not those captured), in order.
const std::vector<Launch> &getLaunches();

/// What was created and not given back, e.g. "2 allocations, 1 module"; "" if nothing. Retained contexts count.
std::string describeLeaks();

/// What the host did wrong beyond what calls report: context stacks that do not balance.
int getContextDepth();

/// Capture, for tests that look at what is captured. Captured work is run by launchGraph, in order.
void beginCapture(gqa::cuda::StreamHandle stream);
/// The number of kernels, copies and fills that were captured; -1 if the capture was invalidated.
int endCapture(gqa::cuda::StreamHandle stream);
void launchGraph();

/// Runs all that waits on streams.
void finish();

} // namespace fakecuda

#endif // GQA_TEST_UNIT_CUDA_FAKECUDA_H
