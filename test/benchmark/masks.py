"""What a mask argument costs: prefill of gqa.attention with and without one, in turns, in one process.

    python3 test/benchmark/masks.py [--tokens 2048] [--types f32,bf16] [--threads 2] [--json FILE]

32 query heads on 8 K/V heads of 128. Masks are random but for the diagonal, so that nothing can be skipped.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("KMP_BLOCKTIME", "0")

import numpy as np

from artifact import Artifact, compile_mlir
from timing import interleave, report

# name: (dimensions, element type) of the argument
VARIANTS = {"none": None, "causal": None, "mask_mn_i1": ("m, n", "i1"), "mask_bmn_i1": ("b, m, n", "i1"),
            "bias_mn": ("m, n", "float"), "bias_bmn": ("b, m, n", "float")}

FUNCTION = """
func.func @{name}(%q: tensor<1x8x4x{s}x128x{t}>, %k: tensor<1x8x{s}x128x{t}>, %v: tensor<1x8x{s}x128x{t}>{argument})
    -> tensor<1x8x4x{s}x128x{t}> {{
  %init = tensor.empty() : tensor<1x8x4x{s}x128x{t}>
  %o = gqa.attention scale 0.0883883461 {attributes}
      query(%q[b, hkv, g, m, dqk] : tensor<1x8x4x{s}x128x{t}>)
      key(%k[b, hkv, n, dqk] : tensor<1x8x{s}x128x{t}>) value(%v[b, hkv, n, dv] : tensor<1x8x{s}x128x{t}>)
      {operand} outs(%init[b, hkv, g, m, dv] : tensor<1x8x4x{s}x128x{t}>)
  return %o : tensor<1x8x4x{s}x128x{t}>
}}
"""


def make_function(name, variant, tokens, element):
    argument = operand = ""
    if variant:
        dims, kind = variant
        shape = f"{tokens}x{tokens}" if dims == "m, n" else f"1x{tokens}x{tokens}"
        tensor = f"tensor<{shape}x{element if kind == 'float' else kind}>"
        argument = f", %x: {tensor}"
        operand = f"{'bias' if kind == 'float' else 'mask'}(%x[{dims}] : {tensor})"
    return FUNCTION.format(name=name, s=tokens, t=element, argument=argument, operand=operand,
                           attributes="causal align top_left" if name == "causal" else "")


def make_mask(variant, tokens, dtype, generator):
    dims, kind = variant
    mask = generator.random((tokens, tokens)) < 0.5
    np.fill_diagonal(mask, True)
    if dims != "m, n":
        mask = mask[None]
    return mask if kind == "i1" else np.where(mask, 0, -1e4).astype(dtype)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--types", default="f32,bf16")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--cpu-time", action="store_true", help="of all threads; say --threads 1 with it")
    parser.add_argument("--json")
    o = parser.parse_args()
    rows = []
    for element in o.types.split(","):
        if element == "bf16":
            import ml_dtypes
            dtype = ml_dtypes.bfloat16
        else:
            dtype = {"f32": "f", "f16": "e"}[element]
        generator = np.random.default_rng(1)
        s = o.tokens
        inputs = [generator.standard_normal(shape, "f").astype(dtype)
                  for shape in ((1, 8, 4, s, 128), (1, 8, s, 128), (1, 8, s, 128))]
        output = np.zeros(inputs[0].shape, dtype)
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/masks.mlir", "w") as file:
                file.write("".join(make_function(name, variant, s, element) for name, variant in VARIANTS.items()))
            compile_mlir(f"{folder}/masks.mlir", f"{folder}/masks.so")
            artifact = Artifact(f"{folder}/masks.so", o.threads)
            calls = {}
            for name, variant in VARIANTS.items():
                masks = [make_mask(variant, s, dtype, generator)] if variant else []
                calls[name] = artifact.bind(name, inputs + masks, [output])
            best = interleave(calls, o.seconds, time.process_time if o.cpu_time else time.perf_counter)
        gflops = 4e-6 * 32 * s * s * 128
        rows += [[f"{element} {name}", ms, gflops / ms, 100 * (ms / best["none"] - 1)] for name, ms in best.items()]
    report(f"prefill of {o.tokens} tokens, 32/8 heads of 128, {o.threads} threads (causal does half of the work)",
           ["mask", "ms", "GFLOP/s", "% over none"], rows, o.json)


if __name__ == "__main__":
    main()
