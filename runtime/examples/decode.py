"""Prefill and decoding on a KV cache that compiled attention reads in place, in Python, on NumPy arrays or PyTorch tensors.

    gqa-compile --for-cache heads=4,kv-heads=2,head-dim=64,type=f16,query-type=f32 -o layer.so
    PYTHONPATH=python python3 runtime/examples/decode.py layer.so [torch]

Two sequences of one layer, in pages of 16 tokens of f16: their prompts go in one call, then single tokens of both, and a
third sequence that continues the first prompt without a copy of it. decode.c does the like in C, on a contiguous cache.
"""

import sys

import gqa
import numpy

HEADS, KV_HEADS, DIM, PROMPTS, STEPS = 4, 2, 64, (5, 19), 3

if sys.argv[2:] == ["torch"]:
    import torch

    def as_array(array):
        return torch.from_numpy(array)
else:

    def as_array(array):
        return array


artifact = gqa.Artifact(sys.argv[1])
cache = gqa.KVCache([gqa.CacheLayer(KV_HEADS, DIM, type="f16")], max_sequences=3, max_tokens=64, page_size=16)


names = {}  # of sequences, for printing


def attend(sequences, counts):
    """Appends counts[i] tokens to sequences[i] and lets their queries attend to all tokens of their sequence so far."""
    first = [cache.length(sequence) for sequence in sequences]
    tokens = numpy.concatenate([numpy.arange(begin, begin + count) for begin, count in zip(first, counts)])
    keys = numpy.zeros((len(tokens), KV_HEADS, DIM), numpy.float32)
    values = numpy.empty_like(keys)
    values[:] = tokens[:, None, None]
    queries = numpy.zeros((len(tokens), HEADS, DIM), numpy.float32)
    cache.append(0, sequences, counts, as_array(keys), as_array(values))
    outputs = cache.attend(artifact, 0, sequences, counts, as_array(queries))
    end = 0
    for sequence, count in zip(sequences, counts):
        end += count
        output = outputs[end - 1]
        length = cache.length(sequence)
        print(f"{names[sequence]}, {length} tokens: output {output[0, 0]:.3f} to {output[-1, -1]:.3f}")


# The keys are 0 and the value of token t is t: the output of token t is the mean of 0 to t.
first, second = cache.add(), cache.add()
names.update({first: "first", second: "second"})
attend([first, second], PROMPTS)
branch = cache.fork(first, PROMPTS[0])
names[branch] = "branch"
for _ in range(STEPS):
    attend([first, second, branch], [1, 1, 1])
