"""The KV cache."""

from __future__ import annotations

import ctypes
import dataclasses
import os
from typing import Optional, Sequence, Union

import numpy

from ._library import (AttendStruct, CacheConfigStruct, CacheLayerStruct, CacheViewStruct, Handle, RotaryStruct, library,
                       longs)
from ._tensors import Array, TensorView, empty_like_kind, numpy_dtype
from .artifact import Artifact, Context

_TYPES = ("f32", "f16", "bf16", "i8", "f8e4m3", "i4")
_STORAGES = ("contiguous", "paged", "ring")
_PAIRS = ("interleaved", "half_split")
_SCALINGS = ("unscaled", "llama3", "yarn", "linear")


def _number(names: Sequence[str], name: str, what: str) -> int:
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got '{name}'")
    return names.index(name)


@dataclasses.dataclass(frozen=True)
class Rotary:
    """A rotary embedding of the first `dim` elements of keys; runtime/cache/Rotary.h has the formulas."""

    dim: int
    pairs: str = "half_split"  # or "interleaved"
    theta: float = 10000.0
    scaling: str = "unscaled"  # or "llama3", "yarn", "linear"
    factor: float = 1.0
    original_context: float = 0.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 0.0
    no_ramp_rounding: bool = False

    def _struct(self) -> RotaryStruct:
        fields = dataclasses.asdict(self)
        fields["pairs"] = _number(_PAIRS, self.pairs, "rotary pairs")
        fields["scaling"] = _number(_SCALINGS, self.scaling, "rotary scaling")
        return RotaryStruct(**fields)


@dataclasses.dataclass(frozen=True)
class CacheLayer:
    """How a layer's keys and values are stored: `storage` "contiguous" takes `capacity` (tokens of a sequence), "ring"
    takes `window`, `sinks` and `slack`; types are f32, f16, bf16, i8, f8e4m3, i4."""

    num_kv_heads: int
    key_dim: int
    value_dim: Optional[int] = None  # key_dim
    type: str = "f32"
    value_type: Optional[str] = None  # type
    storage: Optional[str] = None  # contiguous if there is a capacity, ring if there is a window, else paged
    capacity: int = 0
    window: int = 0
    sinks: int = 0
    slack: int = 0
    key_channel_scales: Optional[numpy.ndarray] = None  # f32 [num_kv_heads, key_dim]
    rotary: Optional[Rotary] = None

    def _struct(self) -> CacheLayerStruct:
        storage = self.storage or ("contiguous" if self.capacity else "ring" if self.window else "paged")
        struct = CacheLayerStruct(
            num_kv_heads=self.num_kv_heads, key_dim=self.key_dim,
            value_dim=self.key_dim if self.value_dim is None else self.value_dim,
            key_type=_number(_TYPES, self.type, "type"), value_type=_number(_TYPES, self.value_type or self.type, "type"),
            storage=_number(_STORAGES, storage, "storage"), capacity=self.capacity, window=self.window,
            sinks=self.sinks, slack=self.slack)
        if self.rotary:
            struct.rotary = self.rotary._struct()
        if self.key_channel_scales is not None:
            scales = numpy.ascontiguousarray(self.key_channel_scales, numpy.float32)
            if scales.shape != (self.num_kv_heads, self.key_dim):
                raise ValueError(f"key_channel_scales must have shape {(self.num_kv_heads, self.key_dim)}, got "
                                 f"{scales.shape}")
            struct._scales = scales  # the cache copies them when it is created
            struct.key_channel_scales = scales.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        return struct


class KVCache(Handle):
    """Keys and values of many sequences in many layers. Sequences are named by positive integers.

    `max_sequences` are alive at a time; `max_tokens` in all of them together (not for contiguous layers). All memory is
    taken at once. Methods raise gqa.Error, and then nothing that was stored has changed.
    """

    _destroy = "gqa_cache_destroy"

    def __init__(self, layers: Sequence[CacheLayer], max_sequences: int, max_tokens: int = 0, page_size: int = 16,
                 context: Optional[Context] = None):
        super().__init__()
        self.context = context or Context()
        self.layers = tuple(layers)
        made = [layer._struct() for layer in layers]
        structs = (CacheLayerStruct * len(made))(*made)
        config = CacheConfigStruct(num_layers=len(made), layers=structs, max_sequences=max_sequences,
                                   max_tokens=max_tokens, page_size=page_size)
        self.context.call("gqa_cache_create", ctypes.byref(config), ctypes.byref(self.handle))

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values, empty pages included."""
        return library.gqa_cache_bytes(self.handle)

    def add(self) -> int:
        """Adds a sequence without tokens; its name."""
        sequence = ctypes.c_int64()
        self.context.call("gqa_cache_add", self.handle, ctypes.byref(sequence))
        return sequence.value

    def fork(self, source: int, length: int) -> int:
        """Adds a sequence that shares the first `length` tokens of `source`, without copying them; its name."""
        sequence = ctypes.c_int64()
        self.context.call("gqa_cache_fork", self.handle, source, length, ctypes.byref(sequence))
        return sequence.value

    def remove(self, sequence: int) -> None:
        self.context.call("gqa_cache_remove", self.handle, sequence)

    def truncate(self, sequence: int, length: int) -> None:
        """Forgets all but the first `length` tokens, in all layers."""
        self.context.call("gqa_cache_truncate", self.handle, sequence, length)

    def length(self, sequence: int, layer: int = 0) -> int:
        """Tokens of a sequence in a layer."""
        length = ctypes.c_int64()
        self.context.call("gqa_cache_length", self.handle, sequence, layer, ctypes.byref(length))
        return length.value

    def reserve(self, sequences: Sequence[int], counts: Sequence[int]) -> None:
        """Takes the pages for counts[i] more tokens of sequences[i], in all layers."""
        self._expect_same_length(sequences, counts)
        self.context.call("gqa_cache_reserve", self.handle, longs(sequences), longs(counts), len(sequences))

    def append(self, layer: int, sequences: Sequence[int], counts: Sequence[int], keys: Array, values: Array) -> None:
        """Appends counts[i] tokens to sequences[i]. `keys` is [tokens, num_kv_heads, key_dim] and `values` [tokens,
        num_kv_heads, value_dim], f32, f16 or bf16, the tokens of all sequences one after another."""
        self._expect_same_length(sequences, counts)
        key_view, value_view = TensorView(keys, "keys"), TensorView(values, "values")
        self.context.call("gqa_cache_append", self.handle, layer, longs(sequences), longs(counts), len(sequences),
                          ctypes.byref(key_view.struct), ctypes.byref(value_view.struct))

    def rotate(self, layer: int, positions: Sequence[int], rows: Array) -> None:
        """Rotates `rows` ([tokens, heads, key_dim]: queries) in place as the layer rotates keys, token t to position
        positions[t]."""
        view = TensorView(rows, "rows", is_written=True)
        if len(positions) != tuple(rows.shape)[0]:
            raise ValueError(f"positions ({len(positions)}) must be as many as tokens ({tuple(rows.shape)[0]})")
        self.context.call("gqa_cache_rotate", self.handle, layer, longs(positions), ctypes.byref(view.struct))

    def attend(self, artifact: Artifact, layer: int, sequences: Sequence[int], counts: Sequence[int], queries: Array,
               out: Optional[Array] = None, *, entry: str = "attention", lse: Optional[Array] = None,
               sinks: Optional[Array] = None, mask: Optional[Array] = None) -> Array:
        """Attention to what a layer stores, in place, by an artifact of `gqa-compile --for-cache`. The counts[i] last
        tokens of sequences[i], which have been appended, ask: decoding steps (1), chunks of prompts, and any mixture.

        `queries` is [tokens, heads, key_dim], rotated, the tokens of all sequences one after another; the result
        [tokens, heads, value_dim], in `out` if given. `lse` [tokens, heads], f32, is written; `sinks` [heads], f32, and `mask`
        [tokens, keys], bytes or booleans, are for entries that take them."""
        self._expect_same_length(sequences, counts)
        if out is None:
            value_dim = self._dims(layer)[1]
            result = artifact[entry].results[0]
            out = empty_like_kind(queries, result.type, (*tuple(queries.shape)[:2], value_dim))
        arrays = {"queries": queries, "output": out, "lse": lse, "sinks": sinks, "mask": mask}
        views = {name: TensorView(array, name, is_written=name in ("output", "lse"))
                 for name, array in arrays.items() if array is not None}
        struct = AttendStruct(**{name: ctypes.pointer(view.struct) for name, view in views.items()})
        self.context.call("gqa_cache_attend", self.handle, artifact.handle, entry.encode(), layer, longs(sequences),
                          longs(counts), len(sequences), ctypes.byref(struct))
        return out

    def read(self, layer: int, sequence: int, begin: int = 0, end: Optional[int] = None):
        """Copies of the keys and values of tokens begin to end, dequantised: f32 [tokens, num_kv_heads, dim] each."""
        end = self.length(sequence, layer) if end is None else end
        keys, values = (numpy.empty((max(end - begin, 0), self.layers[layer].num_kv_heads, dim), numpy.float32)
                        for dim in self._dims(layer))
        self.context.call("gqa_cache_read", self.handle, sequence, layer, begin,
                          ctypes.byref(TensorView(keys).struct), ctypes.byref(TensorView(values).struct))
        return keys, values

    def pages(self, layer: int, sequence: int) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
        """Keys and values of a sequence as views of the cache's memory, page by page, [num_kv_heads, tokens, dim]: what
        entries of artifacts attend to in place. A contiguous layer has one page. They show what is in the cache, and
        are valid while the cache lives and the sequence has these tokens. Not for quantised types."""
        view = CacheViewStruct()
        self.context.call("gqa_cache_get_view", self.handle, layer, ctypes.byref(view))
        needed, slots = ctypes.c_int64(), ctypes.c_int32()
        name = longs([sequence])

        def get_table(table, size):
            self.context.call("gqa_cache_get_table", self.handle, layer, name, 1, table, size, ctypes.byref(slots),
                              None, ctypes.byref(needed))

        get_table(None, 0)
        table = (ctypes.c_int32 * needed.value)()
        get_table(table, needed.value)
        pages = []
        for index, page in enumerate(table):
            tokens = min(view.page_size, slots.value - index * view.page_size)
            pages.append(tuple(self._page(view, part, page, tokens) for part in (view.keys, view.values)))
        return pages

    def save(self, sequence: int, path: Union[str, os.PathLike]) -> None:
        """Writes a sequence to a file, which appears complete or not at all."""
        self.context.call("gqa_cache_save", self.handle, sequence, os.fsencode(path))

    def load(self, path: Union[str, os.PathLike]) -> int:
        """Adds the sequence of a file to this cache, whose layers must have the same heads, types and windows."""
        sequence = ctypes.c_int64()
        self.context.call("gqa_cache_load", self.handle, os.fsencode(path), ctypes.byref(sequence))
        return sequence.value

    def _dims(self, layer: int) -> tuple[int, int]:
        if not 0 <= layer < len(self.layers):
            raise IndexError(f"layer {layer} is not one of the cache's {len(self.layers)}")
        described = self.layers[layer]
        return described.key_dim, described.key_dim if described.value_dim is None else described.value_dim

    def _page(self, view: CacheViewStruct, part, page: int, tokens: int) -> numpy.ndarray:
        name = _TYPES[part.type]
        if part.type > _TYPES.index("bf16"):
            raise TypeError(f"pages of quantised {name} keys or values are no arrays; read() dequantises")
        dtype = numpy_dtype(name)
        size = dtype.itemsize
        buffer = (ctypes.c_uint8 * (view.num_kv_heads * part.head_stride * size)).from_address(
            part.data + page * part.page_stride * size)
        buffer._cache = self  # keeps the memory alive
        return numpy.ndarray((view.num_kv_heads, tokens, part.dim), dtype, buffer,
                             strides=(part.head_stride * size, part.token_stride * size, size))

    @staticmethod
    def _expect_same_length(sequences: Sequence[int], counts: Sequence[int]) -> None:
        if len(sequences) != len(counts):
            raise ValueError(f"sequences ({len(sequences)}) and counts ({len(counts)}) must be as many")
