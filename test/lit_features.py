"""What this machine and this build can run, as lit features (`REQUIRES: avx512bf16`, `UNSUPPORTED: asan`)."""

import ctypes
import json
import os
import shutil
import subprocess


def cpu_flags():
    """The flags of the first CPU in /proc/cpuinfo (x86: `flags`, AArch64: `Features`), in the kernel's spelling."""
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            for line in cpuinfo:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):
                    return set(value.split())
    except OSError:
        pass
    return set()


def load_cuda():
    """The CUDA driver, or None."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def has_gpu():
    """True if the CUDA driver is installed and finds at least one device."""
    cuda = load_cuda()
    if not cuda:
        return False
    count = ctypes.c_int(0)
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def compiles_for_gpu(tools_dir):
    """True if gqa-compile makes code for GPUs."""
    try:
        done = subprocess.run([os.path.join(tools_dir, "gqa-compile"), "--help"], capture_output=True, text=True)
    except OSError:
        return False
    return "--gpu" in done.stdout


# Feature name -> flag of /proc/cpuinfo.
CPU_FEATURES = {
    "avx2": "avx2",
    "avx512f": "avx512f",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avx512vnni": "avx512_vnni",
    "amx": "amx_tile",
}

# Feature name -> the Python packages that the commands for a frontend in docs/frontends.md import or run, or that tests of
# the Python package take arrays from.
FRONTENDS = {
    "pytorch": ["numpy", "torch"],
    "torch": ["torch", "torch_mlir"],
    "jax": ["jax"],
    "jax-iree": ["jax", "iree.compiler"],
    "onnx": ["onnx", "iree.compiler"],
}

SANITIZER_FEATURES = {"address": "asan", "undefined": "ubsan", "thread": "tsan"}


def has_ptxas():
    """True if gqa-compile would find CUDA's assembler."""
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    return bool(shutil.which("ptxas")) or any(os.access(os.path.join(root, "bin", "ptxas"), os.X_OK) for root in roots if root)


def features(build_compiler, sanitize):
    """The features of a build with or without compiler and with `sanitize` (comma-separated sanitizers)."""
    flags = cpu_flags()
    found = {feature for feature, flag in CPU_FEATURES.items() if flag in flags}
    found |= {feature for name, feature in SANITIZER_FEATURES.items() if name in sanitize.split(",")}
    if build_compiler:
        found.add("compiler")
    if has_ptxas():
        found.add("ptxas")
    if load_cuda():
        found.add("cuda-driver")
    if has_gpu():
        found.add("gpu")
    return found


def frontend_features(python):
    """The frontends whose packages `python` finds; it looks for them without importing them."""
    script = (
        "import importlib.util, json, sys\n"
        "def has(name):\n"
        "    try:\n"
        "        return importlib.util.find_spec(name) is not None\n"
        "    except ImportError:\n"
        "        return False\n"
        "print(' '.join(f for f, names in json.loads(sys.argv[1]).items() if all(map(has, names))))\n"
    )
    try:
        result = subprocess.run([python, "-c", script, json.dumps(FRONTENDS)], capture_output=True, text=True)
    except OSError:
        return set()
    return set(result.stdout.split())


def set_sanitizer_options(config):
    """Passes the caller's sanitizer options on to the tests, or the suite's defaults.

    AddressSanitizer's are part of the programs (tools/setup/sanitizer_options.c). OpenMP's runtime is not instrumented;
    its tool Archer tells ThreadSanitizer what synchronises.
    """
    archer = os.path.join(config.gqa_llvm_tools_dir, "..", "lib", "libarcher.so")
    defaults = {
        "address": {"ASAN_OPTIONS": ""},
        "undefined": {"UBSAN_OPTIONS": "print_stacktrace=1"},
        "thread": {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1", "OMP_TOOL_LIBRARIES": archer},
    }
    for sanitizer in config.gqa_sanitize.split(","):
        for name, value in defaults.get(sanitizer, {}).items():
            config.environment[name] = os.environ.get(name, value)
