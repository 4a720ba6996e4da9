"""The shell tests: everything in test/ except unit/, which has a configuration of its own.

Tools are found through PATH, so a RUN line reads `gqa-opt %s | FileCheck %s`. Files in a directory `Inputs` are not
tests. Substitutions: %cmake, %cc, %cxx, %python, %frontends_python, %llvm_libs, %source_root, %binary_root.
"""

import os
import sys

import lit.formats

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(config.gqa_source_root, "test"))
import lit_features

config.name = "gqa"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "Inputs"]
config.test_source_root = os.path.join(config.gqa_source_root, "test")
config.test_exec_root = os.path.join(config.gqa_binary_root, "test")
config.available_features |= lit_features.features(config.gqa_build_compiler, config.gqa_sanitize)
if config.gqa_build_compiler and lit_features.compiles_for_gpu(config.gqa_tools_dir):
    config.available_features.add("gpu-compiler")

# The Python that has JAX, PyTorch or ONNX, for the commands in docs/frontends.md.
frontends_python = os.environ.get("GQA_FRONTENDS_PYTHON", config.gqa_python)
config.available_features |= lit_features.frontend_features(frontends_python)

# Without psutil lit has no time limit; the set-up installs it.
if lit_config.maxIndividualTestTimeIsSupported:
    lit_config.maxIndividualTestTime = 900

if not config.gqa_build_compiler:
    config.suffixes = [".test"]  # the others are MLIR

config.environment["PATH"] = os.pathsep.join([config.gqa_tools_dir, config.gqa_llvm_tools_dir, os.environ["PATH"]])
lit_features.set_sanitizer_options(config)

# Programs that tests compile use the library of this build, and its sanitizers.
sanitize = f" -fsanitize={config.gqa_sanitize}" if config.gqa_sanitize else ""

config.substitutions += [
    ("%cmake", config.gqa_cmake),
    ("%cc", config.gqa_c_compiler + sanitize),
    ("%cxx", config.gqa_cxx_compiler + sanitize),
    ("%python", config.gqa_python),
    ("%frontends_python", frontends_python),
    ("%llvm_libs", os.path.join(config.gqa_llvm_tools_dir, "..", "lib")),
    ("%source_root", config.gqa_source_root),
    ("%binary_root", config.gqa_binary_root),
]
