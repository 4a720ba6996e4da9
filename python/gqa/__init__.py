"""Compiled grouped-query attention and its KV cache, over the C interface of the gqa runtime (libgqa.so).

    import gqa, numpy

    artifact = gqa.Artifact("attention.so")          # what gqa-compile wrote
    attention = artifact["attention"]
    output = attention(query, key, value)            # NumPy arrays, PyTorch tensors, ...: no copies
    attention(query, key, value, out=output)         # the same, in place

    cache = gqa.KVCache([gqa.CacheLayer(num_kv_heads=8, key_dim=128, capacity=4096)], max_sequences=1)
    sequence = cache.add()
    cache.append(0, [sequence], [tokens], keys, values)
    layer = gqa.Artifact("layer.so")                 # of gqa-compile --for-cache
    output = cache.attend(layer, 0, [sequence], [tokens], queries)      # in place, on any storage and type

docs/python.md has more.

Failures raise gqa.Error, which has the status and the message of the C interface. Any Python thread may call anything:
calls with one context, which a cache has for itself unless it is given one, wait for each other, and others run meanwhile.

The library is $GQA_LIBRARY, or libgqa.so beside this package, in the build tree that the package lies in, or where the
system finds it.
"""

from ._library import Error, Status, version
from ._tensors import Array
from .artifact import Artifact, Context, Entry, TensorType, merge
from .cache import CacheLayer, KVCache, Rotary

__all__ = [
    "Array",
    "Artifact",
    "CacheLayer",
    "Context",
    "Entry",
    "Error",
    "KVCache",
    "Rotary",
    "Status",
    "TensorType",
    "merge",
    "version",
]
