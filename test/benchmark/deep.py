"""How long decoders of 1 to 32 Llama layers take to compile: it should grow linearly.

    python3 test/benchmark/deep.py [--layers 1,2,4,8,16,32] [--json FILE]

The layer is exported once by torch-mlir (d_model 2048, 32/8 heads, MLP 8192, 128 tokens); the decoder calls it with
weights of its own for each layer, and gqa-compile inlines the calls. Needs torch and torch-mlir.
"""

import argparse
import re
import tempfile
import time

import llama
from artifact import compile_mlir
from timing import report

SHARED, WEIGHTS = 4, 9  # arguments of a layer: activations, mask, cos, sin; then weights


def make_decoder(layer, count):
    """A module with a function that runs `layer`, a module with one function @layer, `count` times."""
    signature = re.search(r"func.func @layer\((.*)\) -> (tensor<[^>]*>)", layer)
    types = re.findall(r"%arg\d+: (tensor<[^>]*>)", signature.group(1))
    shared, weights, result = types[:SHARED], types[SHARED:], signature.group(2)
    arguments = [f"%arg{i}: {t}" for i, t in enumerate(shared)]
    body, x = [], "%arg0"
    for number in range(count):
        names = [f"%w{number}_{i}" for i in range(WEIGHTS)]
        arguments += [f"{name}: {t}" for name, t in zip(names, weights)]
        operands = ", ".join([x, "%arg1", "%arg2", "%arg3", *names])
        body.append(f"    %x{number} = func.call @layer({operands}) : ({', '.join(types)}) -> {result}")
        x = f"%x{number}"
    main = "\n".join([f"  func.func @decoder({', '.join(arguments)}) -> {result} {{", *body,
                      f"    return {x} : {result}", "  }", "}"])
    layer = layer.replace("func.func @layer", "func.func private @layer").rstrip()
    return layer[:layer.rindex("}")] + main + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", default="1,2,4,8,16,32")
    parser.add_argument("--json")
    o = parser.parse_args()
    layer = llama.export_mlir(llama.LlamaLayer(32, 8, 64), llama.make_inputs(1, 128, 2048, 32, 8, 64, 8192), "layer")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, o.layers.split(",")):
            with open(f"{folder}/decoder.mlir", "w") as file:
                file.write(make_decoder(layer, count))
            start = time.perf_counter()
            compile_mlir(f"{folder}/decoder.mlir", f"{folder}/decoder.so")
            seconds = time.perf_counter() - start
            rows.append([count, seconds, seconds / count])
    report("gqa-compile of a decoder", ["layers", "s", "s per layer"], rows, o.json)


if __name__ == "__main__":
    main()
