"""rows-without-keys.py PREFIX: operands and answers of ../rows-without-keys.mlir."""

import sys

import numpy as np

HEADS, ROWS, KEYS, DIM = 2, 9, 130, 16
prefix = sys.argv[1]
generator = np.random.default_rng(5)
q, k, v = (generator.standard_normal(shape, dtype=np.float32)
           for shape in ((1, HEADS, ROWS, DIM), (1, KEYS, DIM), (1, KEYS, DIM)))

visible = generator.random((ROWS, KEYS)) < 0.7
visible[[0, 4, 8]] = False  # rows without keys, the first and the last among them
visible[1] = True
visible[2] = np.arange(KEYS) == KEYS - 1


def attend(bias):
    """softmax(0.25 q k^T + bias) v in float64; 0 where all scores are -inf."""
    scores = 0.25 * np.einsum("bhmd,bnd->bhmn", q.astype(np.float64), k[:, :, :].astype(np.float64))
    scores = (scores.astype(np.float32) + bias.astype(np.float32)).astype(np.float64)
    highest = scores.max(axis=-1, keepdims=True)
    weights = np.where(np.isneginf(highest), 0.0, np.exp(scores - np.where(np.isneginf(highest), 0.0, highest)))
    total = weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhmn,bnd->bhmd", weights / np.where(total == 0.0, 1.0, total), v.astype(np.float64)).astype(np.float32)


def as_bf16(array):
    """The upper halves, which are all there is to numbers such as these."""
    return (array.view(np.uint32) >> 16).astype(np.uint16).view("V2")


least = np.array(0xFF7F0000, np.uint32).view(np.float32)  # of bf16; of f32, it would round to -inf there
bias = np.where(visible, np.float32(0), least).astype(np.float32)
bias[8] = -np.inf
wide = bias.copy()
wide[4] = np.finfo(np.float32).min
wide[3][~visible[3]] = np.finfo(np.float32).min
answers = attend(bias)
assert np.array_equal(answers, attend(wide)) and np.allclose(answers[0, :, [0, 4]], v[0].mean(axis=0), atol=1e-6)
assert not answers[0, :, 8].any()
for name, array in (("q", q), ("k", k), ("v", v), ("bias", wide), ("bf16", as_bf16(bias)), ("biased", answers),
                    ("mask", visible), ("masked", attend(np.where(visible, np.float32(0), np.float32(-np.inf))))):
    np.save(f"{prefix}.{name}.npy", array)
