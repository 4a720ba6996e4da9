"""Inputs of repeats-by-index.mlir, and attention in which query head h reads K/V head TABLE[h], as PREFIX.TABLE.npy."""

import sys

import numpy

prefix, tables = sys.argv[1], sys.argv[2:]
generator = numpy.random.default_rng(1)
q = generator.standard_normal((1, 6, 5, 8), dtype=numpy.float32)
k, v = generator.standard_normal((2, 1, 2, 70, 8), dtype=numpy.float32)
for name, array in {"q": q, "k": k, "v": v}.items():
    numpy.save(f"{prefix}.{name}.npy", array)

for table in tables:
    heads = [int(digit) for digit in table]
    scores = 0.25 * numpy.einsum("bhmd,bhnd->bhmn", q.astype(numpy.float64), k[:, heads].astype(numpy.float64))
    weights = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    numpy.save(f"{prefix}.{table}.npy", numpy.einsum("bhmn,bhnd->bhmd", weights, v[:, heads]).astype(numpy.float32))
