"""The GoogleTest executables that gqa_add_unit_test built; every TEST counts as one test."""

import os
import sys

import lit.formats

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(config.gqa_source_root, "test"))
import lit_features

config.name = "gqa-unit"
config.test_format = lit.formats.GoogleTest(".", "-test")
config.test_source_root = os.path.join(config.gqa_binary_root, "test", "unit", "bin")
config.test_exec_root = config.test_source_root
lit_features.set_sanitizer_options(config)
