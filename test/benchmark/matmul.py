"""Matrix products beside OpenBLAS's sgemm, in one process.

    python3 test/benchmark/matmul.py [--threads 2] [--json FILE] [CASE...]

A case is M x K x N, with `t` behind it if the right-hand side lies as [N, K], and an element type: 512x2048x8192t:bf16.
OpenBLAS always computes in f32. Limits: `% peak` is of the best f32 rate that either side reached; for M = 1, GB/s of
the right-hand side says how close a product is to the memory's rate.
"""

import argparse
import ctypes
import os
import re
import sys
import tempfile
import time

os.environ.pop("OPENBLAS_CORETYPE", None)  # its own choice of kernel
os.environ.setdefault("KMP_BLOCKTIME", "0")  # idle threads leave the cores to the other side

import numpy as np

from artifact import Artifact, compile_mlir
from timing import interleave, report

CASES = ["2048x2048x2048", "2048x2048x2048t", "512x2048x2048t", "512x2048x512t", "512x2048x8192t", "512x8192x2048t",
         "1x2048x8192t", "1x2048x8192", "4x2048x8192t", "4x2048x8192", "333x777x555", "2048x2048x2048:bf16",
         "512x2048x8192t:bf16", "1x2048x8192t:bf16", "512x2048x8192t:f16"]

FUNCTION = """
func.func @{name}(%a: tensor<{a}x{type}>, %b: tensor<{b}x{type}>) -> tensor<{c}xf32> {{
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty({dynamic}) : tensor<{c}xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<{c}xf32>) -> tensor<{c}xf32>
  %r = linalg.matmul {maps} ins(%a, %b : tensor<{a}x{type}>, tensor<{b}x{type}>) outs(%init : tensor<{c}xf32>)
    -> tensor<{c}xf32>
  return %r : tensor<{c}xf32>
}}
"""
TRANSPOSED = """indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
                                 affine_map<(m, n, k) -> (m, n)>]"""


class Product:
    def __init__(self, case):
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)(t?)(?::(f32|f16|bf16))?", case)
        if not match:
            sys.exit(f"not a case: {case}")
        self.case = case
        self.m, self.k, self.n = (int(extent) for extent in match.group(1, 2, 3))
        self.transposed, self.type = bool(match.group(4)), match.group(5) or "f32"
        self.name = "product_" + re.sub(r"\W", "_", case)

    def mlir(self):
        b = (self.n, self.k) if self.transposed else (self.k, self.n)
        return FUNCTION.format(name=self.name, type=self.type, a=f"{self.m}x{self.k}", b=f"{b[0]}x{b[1]}",
                               c=f"{self.m}x{self.n}", dynamic="", maps=TRANSPOSED if self.transposed else "")

    def data(self, generator):
        a = generator.standard_normal((self.m, self.k), "f")
        b = generator.standard_normal((self.n, self.k) if self.transposed else (self.k, self.n), "f")
        if self.type == "bf16":
            import ml_dtypes
            return a.astype(ml_dtypes.bfloat16), b.astype(ml_dtypes.bfloat16)
        return (a, b) if self.type == "f32" else (a.astype("e"), b.astype("e"))


def load_openblas(threads):
    library = ctypes.CDLL("libopenblas.so.0")
    library.openblas_get_corename.restype = ctypes.c_char_p
    library.openblas_set_num_threads(threads)
    return library


def bind_sgemm(library, a, b, c, transposed):
    pointer = lambda x: x.ctypes.data_as(ctypes.c_void_p)
    m, k, n = a.shape[0], a.shape[1], c.shape[1]
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    if m == 1:  # callers of BLAS use the product of a matrix and a vector here
        rows, columns = b.shape
        return lambda: library.cblas_sgemv(101, 111 if transposed else 112, rows, columns, one, pointer(b), columns,
                                           pointer(a), 1, zero, pointer(c), 1)
    return lambda: library.cblas_sgemm(101, 111, 112 if transposed else 111, m, n, k, one, pointer(a), k, pointer(b),
                                       b.shape[1], zero, pointer(c), n)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--cpu-time", action="store_true", help="of all threads; say --threads 1 with it")
    parser.add_argument("--json")
    options = parser.parse_args()
    blas = load_openblas(options.threads)
    products = [Product(case) for case in options.cases]
    generator = np.random.default_rng(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/products.mlir", "w") as file:
            file.write("".join(product.mlir() for product in products))
        compile_mlir(f"{folder}/products.mlir", f"{folder}/products.so")
        artifact = Artifact(f"{folder}/products.so", options.threads)
        for product in products:
            a, b = product.data(generator)
            wide_a, wide_b = a.astype("f"), b.astype("f")
            ours, theirs = (np.zeros((product.m, product.n), "f") for _ in range(2))
            best = interleave({"gqa": artifact.bind(product.name, [a, b], [ours]),
                               "openblas": bind_sgemm(blas, wide_a, wide_b, theirs, product.transposed)},
                              options.seconds, time.process_time if options.cpu_time else time.perf_counter)
            error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            assert error < 1e-5, f"{product.case}: error {error}"
            flops = 2e-6 * product.m * product.k * product.n
            rows.append([product.case, best["gqa"], best["openblas"], flops / best["gqa"], flops / best["openblas"],
                         100 * best["openblas"] / best["gqa"], b.nbytes / best["gqa"] * 1e-6, error])
    report(f"{options.threads} threads; OpenBLAS kernel {blas.openblas_get_corename().decode()}",
           ["m x k x n", "ms", "OpenBLAS ms", "GFLOP/s", "OpenBLAS", "% of OpenBLAS", "GB/s of rhs", "error"], rows,
           options.json)


if __name__ == "__main__":
    main()
