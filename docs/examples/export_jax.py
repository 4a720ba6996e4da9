"""JAX: attention with 8 query heads and 2 key/value heads to attention.mlir, by one of two routes.

    python3 export_jax.py jaxlib      jaxlib's own passes, StableHLO to linalg; needs the package jax
    python3 export_jax.py iree        IREE's importer; needs the packages jax and iree-base-compiler

Also writes q.npy, k.npy, v.npy and expected.npy, JAX's own answer.
"""

import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

Q_HEADS, KV_HEADS, LENGTH, HEAD_DIM = 8, 2, 24, 64


def attention(q, k, v):
    """Causal attention over [batch, heads, length, head dim]; each K/V head serves four query heads."""
    k, v = (jnp.repeat(x, Q_HEADS // KV_HEADS, axis=1) for x in (k, v))
    scores = jnp.einsum("bhmd,bhnd->bhmn", q, k) / HEAD_DIM**0.5
    scores = jnp.where(jnp.tri(LENGTH, dtype=bool), scores, -jnp.inf)
    return jnp.einsum("bhmn,bhnd->bhmd", jax.nn.softmax(scores), v)


def lower_by_jaxlib(text):
    from jax._src.interpreters import mlir
    from jaxlib.mlir import ir, passmanager
    from jaxlib.mlir.dialects import stablehlo

    stablehlo.register_stablehlo_passes()
    with mlir.make_ir_context():
        module = ir.Module.parse(text)
        passes = passmanager.PassManager.parse("builtin.module(inline, stablehlo-legalize-to-linalg, canonicalize, cse)")
        passes.run(module.operation)
        return str(module)


def lower_by_iree(text):
    # The same as the command `iree-opt --iree-stablehlo-input-transformation-pipeline - < attention.stablehlo.mlir`.
    tool = pathlib.Path(sys.executable).with_name("iree-opt")
    return subprocess.run([tool, "--iree-stablehlo-input-transformation-pipeline", "-"], input=text, text=True,
                          stdout=subprocess.PIPE, check=True).stdout


def main():
    lower = {"jaxlib": lower_by_jaxlib, "iree": lower_by_iree}[sys.argv[1]]
    generator = np.random.default_rng(1)
    shapes = [(1, heads, LENGTH, HEAD_DIM) for heads in (Q_HEADS, KV_HEADS, KV_HEADS)]
    q, k, v = (generator.standard_normal(shape, dtype=np.float32) for shape in shapes)
    text = jax.jit(attention).lower(q, k, v).as_text()
    # 16-bit products that accumulate in f32 carry this attribute, which neither route knows.
    text = re.sub(r", algorithm = <[^>]*>", "", text)
    pathlib.Path("attention.mlir").write_text(lower(text))
    for name, array in (("q", q), ("k", k), ("v", v), ("expected", attention(q, k, v))):
        np.save(f"{name}.npy", np.asarray(array))


if __name__ == "__main__":
    main()
