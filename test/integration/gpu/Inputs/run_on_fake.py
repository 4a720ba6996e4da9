"""Runs each function of a directory of gqa-device-check on the fake driver, as capability 8.0 and 9.0, and checks what
reached the driver: one module per artifact, launches and nothing that waits between them.

Usage: run_on_fake.py DIR FAKE-CUDA-DIR
"""

import json
import os
import subprocess
import sys

directory, fake = sys.argv[1:]

with open(os.path.join(directory, "functions.json")) as file:
    names = [function["name"] for function in json.load(file)]
launches = 0
for capability in (80, 90):
    for name in names:
        trace = os.path.join(directory, f"{name}.{capability}.trace")
        done = subprocess.run(
            ["gqa-device-check", "run", directory, "--only", name, "--call", "0", "--small"],
            capture_output=True, text=True,
            env={**os.environ, "LD_LIBRARY_PATH": fake, "GQA_FAKE_CUDA": f"capability={capability} trace={trace}"})
        report = json.loads(done.stdout)
        # Kernels did nothing, so results are wrong; any error of the driver would have come first.
        error = report["failure"]["error"]
        assert "nan" in error or "rror" in error and "cuda" not in error, f"{name} on {capability}: {error}"
        with open(trace) as file:
            calls = file.read().splitlines()
        kernels = [call for call in calls if call.startswith("launch ")]
        assert kernels, f"{name} launched nothing"
        assert all("grid 0" not in kernel for kernel in kernels)
        # A cache on a device brings its own two.
        modules = 3 if name.startswith("decode_cache") else 1
        assert calls.count("cuModuleLoadDataEx") == modules, calls
        launches += len(kernels)
print(f"{len(names)} functions, {launches} launches")
