"""Inputs and expected results of other-ops.mlir, as PREFIX.*.npy."""

import math
import sys

import numpy

prefix = sys.argv[1]


def save(name, array):
    numpy.save(f"{prefix}.{name}.npy", array)


generator = numpy.random.default_rng(1)
x = generator.standard_normal((4, 37), dtype=numpy.float32)
image = generator.standard_normal((1, 8, 8, 4), dtype=numpy.float32)
weights = numpy.exp(x - x.max(axis=1, keepdims=True))

save("x", x)
save("max", x.max(axis=1))
save("index", x.argmax(axis=1).astype(numpy.int64))
save("softmax", weights / weights.sum(axis=1, keepdims=True))
save("image", image)
save("windows", image.reshape(1, 4, 2, 4, 2, 4).max(axis=(2, 4)))

erf = numpy.vectorize(math.erf)
halves = generator.standard_normal((4, 48)).astype(numpy.float16)
save("erf", erf(x).astype(numpy.float32))
save("halves", halves)
save("erf_of_halves", erf(halves).astype(numpy.float16))

matrix = generator.standard_normal((16, 16), dtype=numpy.float32) / 4
save("matrix", matrix)
save("power", numpy.linalg.matrix_power(matrix.astype(numpy.float64), 4).astype(numpy.float32))

exact, exact_matrix = x.astype(numpy.float64), matrix.astype(numpy.float64)
save("sum_of_exponentials", numpy.exp(exact).sum(axis=1).astype(numpy.float32))
save("sum_of_squares", (exact * exact).sum(axis=1).astype(numpy.float32))
save("products", (numpy.exp(exact_matrix) @ -exact_matrix).astype(numpy.float32))
save("positive", x.T > 0)
save("kept", numpy.where(x > 0, x, 0))
save("backwards", numpy.ascontiguousarray(x[:, ::-1]))
save("column", x[..., None])
save("exponentials", numpy.exp(x)[..., None])
