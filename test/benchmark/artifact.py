"""Compiles MLIR to an artifact and calls it on NumPy arrays, through the C interface (runtime/gqa.h)."""

import ctypes
import os
import subprocess

import numpy as np

BUILD = os.environ.get("GQA_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release"))


class _DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}  # NumPy kinds as DLPack type codes


def _describe(array):
    code = 4 if array.dtype.name == "bfloat16" else _CODES[array.dtype.kind]
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    strides = (ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
    return _DLTensor(array.ctypes.data, 1, 0, array.ndim, code, array.itemsize * 8, 1, shape, strides, 0)


def compile_mlir(source, artifact, options=()):
    """Writes `artifact` from the file `source`; an error of the compiler ends the program with its message."""
    subprocess.run([os.path.join(BUILD, "bin/gqa-compile"), source, "-o", artifact, *options], check=True)


class Artifact:
    """The entries of one artifact, each called by name with `threads` threads."""

    _library = None

    def __init__(self, path, threads):
        if Artifact._library is None:
            library = Artifact._library = ctypes.CDLL(os.path.join(BUILD, "lib/libgqa.so"))
            for name in ("gqa_context_create", "gqa_context_message"):
                getattr(library, name).restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.gqa_context_create(None))
        self._check(self._library.gqa_context_set_num_threads(self._context, threads))
        self._artifact = ctypes.c_void_p()
        self._check(self._library.gqa_artifact_load(self._context, path.encode(), ctypes.byref(self._artifact)))

    def bind(self, entry, inputs, outputs):
        """A function without arguments that computes `outputs` from `inputs`; arrays stay where they are."""
        keep = [_describe(array) for array in (*inputs, *outputs)]
        pointers = (ctypes.POINTER(_DLTensor) * len(keep))(*(ctypes.pointer(tensor) for tensor in keep))
        results = ctypes.cast(ctypes.addressof(pointers) + len(inputs) * ctypes.sizeof(ctypes.c_void_p),
                              ctypes.POINTER(ctypes.POINTER(_DLTensor)))

        def call():
            self._check(self._library.gqa_call(self._context, self._artifact, entry.encode(), pointers, len(inputs),
                                               results, len(outputs)))

        call.keep = (keep, inputs, outputs)
        return call

    def _check(self, status):
        if status:
            message = ctypes.cast(self._library.gqa_context_message(self._context), ctypes.c_char_p).value
            raise RuntimeError(message.decode())
