"""Inputs of norms.mlir and, in f64, what it should give."""

import sys

import numpy as np

prefix = sys.argv[1]
generator = np.random.default_rng(7)
save = lambda name, array: np.save(f"{prefix}.{name}.npy", np.asarray(array, "f"))

x = generator.standard_normal((1, 5, 203)).astype("f")
save("x", x)
wide = x.astype("d")
save("norm", wide / np.sqrt((wide**2).mean(-1, keepdims=True)))
save("matrix", x[0])
save("lowest", x[0].min(-1))

w = generator.standard_normal((71, 203)).astype("f")
save("w", w)
for rows in (0, 1, 5):
    x = generator.standard_normal((rows, 203)).astype("f")
    save(f"x{rows}", x)
    save(f"y{rows}", x.astype("d") @ w.astype("d").T)
