"""Prefill and decoding with a compiled attention and a KV cache, in Python; decode.c does the same in C.

    gqa-compile attention.mlir -o attention.so
    PYTHONPATH=python python3 runtime/examples/decode.py attention.so
"""

import sys

import gqa
import numpy

KV_HEADS, GROUP, DIM, PROMPT, TOKENS = 2, 2, 64, 5, 8

attention = gqa.Artifact(sys.argv[1])["attention"]
cache = gqa.KVCache([gqa.CacheLayer(KV_HEADS, DIM, capacity=TOKENS)], max_sequences=1)
sequence = cache.add()


def attend(first: int, count: int) -> None:
    """Appends `count` tokens and lets their queries attend to all tokens so far, where the cache has them."""
    keys = numpy.zeros((count, KV_HEADS, DIM), numpy.float32)
    values = numpy.broadcast_to(numpy.arange(first, first + count, dtype=numpy.float32)[:, None, None], keys.shape)
    cache.append(0, [sequence], [count], keys, numpy.ascontiguousarray(values))
    queries = numpy.zeros((KV_HEADS, GROUP, count, DIM), numpy.float32)
    [(all_keys, all_values)] = cache.pages(0, sequence)  # views of the cache
    outputs = attention(queries, all_keys, all_values)
    for t in range(count):
        print(f"token {first + t}: output {outputs[0, 0, t, 0]:.3f} to {outputs[-1, -1, t, -1]:.3f}")


# The keys are 0 and the value of token t is t: the output of token t is the mean of 0 to t.
attend(0, PROMPT)
for token in range(PROMPT, TOKENS):
    attend(token, 1)
