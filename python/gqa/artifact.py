"""Artifacts, and calls of their entries."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import threading
from typing import Optional, Sequence, Union

from ._library import Handle, Options, check, checked, library
from ._tensors import Array, TensorView, empty_like_kind, pointers, view_all


class Context(Handle):
    """Threads of calls, and the last message. `num_threads`: 0 for as many as OpenMP gives. Calls by several Python
    threads wait for each other."""

    _destroy = "gqa_context_destroy"

    def __init__(self, num_threads: int = 0):
        super().__init__()
        self._lock = threading.Lock()
        options = Options(num_threads=checked(num_threads, ctypes.c_int32))
        self.handle = ctypes.c_void_p(library.gqa_context_create(ctypes.byref(options)))
        if not self.handle:
            raise ValueError(f"cannot make a context with {num_threads} threads")

    def call(self, function: str, *arguments) -> None:
        """Calls a function of the C interface with this context as its first argument; raises gqa.Error."""
        called = getattr(library, function)
        arguments = [checked(argument, kind) for argument, kind in zip(arguments, called.argtypes[1:])]
        with self._lock:
            check(self.handle, called(self.handle, *arguments))


@dataclasses.dataclass(frozen=True)
class TensorType:
    """Element type ("f32", "bf16", ...) and shape of an argument or result; a name stands for an extent that is known
    only at a call, and equal names for equal extents."""

    type: str
    shape: tuple[Union[int, str], ...]

    def __str__(self) -> str:
        return f"{self.type}[{', '.join(map(str, self.shape))}]"


class Entry:
    """A function of an artifact, to be called with arrays: `entry(*inputs, out=None)`."""

    def __init__(self, artifact: Artifact, description: dict):
        def types(key: str) -> tuple[TensorType, ...]:
            return tuple(TensorType(tensor["type"], tuple(tensor["shape"])) for tensor in description[key])

        self._artifact = artifact
        self.name: str = description["name"]
        self.arguments = types("arguments")
        self.results = types("results")

    def __repr__(self) -> str:
        return f"<gqa entry {self.name}({', '.join(map(str, self.arguments))}) -> {', '.join(map(str, self.results))}>"

    def __call__(self, *inputs: Array, out: Union[Array, Sequence[Array], None] = None):
        """Calls the entry. `inputs` are read where they lie. Results go to `out`, an array for one result or a sequence
        of arrays, and are returned; without it they are new arrays of the first input's library (PyTorch, else NumPy).

        Raises gqa.Error (INVALID_ARGUMENT, naming the tensor and both values, if one does not fit).
        """
        context, artifact = self._artifact.context, self._artifact.handle
        views = view_all(inputs, "input")
        if out is None:
            outputs = [empty_like_kind(inputs[0] if inputs else None, result.type, self._result_shape(views, index))
                       for index, result in enumerate(self.results)]
        else:
            outputs = list(out) if isinstance(out, (list, tuple)) else [out]
        output_views = view_all(outputs, "output", is_written=True)
        context.call("gqa_call", artifact, self.name.encode(), pointers(views), len(views), pointers(output_views),
                     len(output_views))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _result_shape(self, inputs: Sequence[TensorView], index: int) -> tuple[int, ...]:
        capacity = len(self.results[index].shape)
        shape, rank = (ctypes.c_int64 * capacity)(), ctypes.c_int32()
        self._artifact.context.call("gqa_result_shape", self._artifact.handle, self.name.encode(), pointers(inputs),
                                    len(inputs), index, shape, capacity, ctypes.byref(rank))
        return tuple(shape)


class Artifact(Handle):
    """What gqa-compile wrote: `artifact["name"]` is an entry, `artifact.entries` has all.

    Raises gqa.Error: NOT_FOUND, BAD_ARTIFACT (damaged, or none).
    """

    _destroy = "gqa_artifact_destroy"

    def __init__(self, path: Union[str, os.PathLike], context: Optional[Context] = None):
        super().__init__()
        self.context = context or Context()
        self.context.call("gqa_artifact_load", os.fsencode(path), ctypes.byref(self.handle))
        self.description: dict = json.loads(library.gqa_artifact_description(self.handle))
        self.entries = {entry["name"]: Entry(self, entry) for entry in self.description["entries"]}

    def __getitem__(self, name: str) -> Entry:
        if name not in self.entries:
            raise KeyError(f"no entry '{name}'; there are: {', '.join(self.entries)}")
        return self.entries[name]

    def check_can_run(self) -> None:
        """Raises gqa.Error (UNSUPPORTED_TARGET or NO_DEVICE, with what is missing) unless this machine can run it."""
        self.context.call("gqa_artifact_can_run", self.handle)


def merge(outputs: Sequence[Array], lses: Sequence[Array], context: Optional[Context] = None):
    """Merges attention over disjoint ranges of keys, for example the pages of a sequence: `outputs` are [..., dv] and
    `lses` [...], all f32. Returns (output, lse), of the first output's library."""
    if not outputs or len(outputs) != len(lses):
        raise ValueError(f"outputs ({len(outputs)}) and lses ({len(lses)}) must be as many, and one at least")
    context = context or Context()
    output_views, lse_views = view_all(outputs, "output"), view_all(lses, "lse")
    output = empty_like_kind(outputs[0], "f32", tuple(outputs[0].shape))
    lse = empty_like_kind(outputs[0], "f32", tuple(outputs[0].shape)[:-1])
    context.call("gqa_merge", pointers(output_views), pointers(lse_views), len(outputs),
                 ctypes.byref(TensorView(output).struct), ctypes.byref(TensorView(lse).struct))
    return output, lse
