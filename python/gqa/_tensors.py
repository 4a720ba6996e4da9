"""Arrays of other libraries as DLPack tensors, without copies."""

from __future__ import annotations

import ctypes
from typing import Any, Sequence

import numpy

from ._library import DLDataType, DLDevice, DLTensor

#: What this package takes for a tensor: a NumPy array, or anything in CPU memory with __dlpack__, such as a PyTorch
#: tensor.
Array = Any

_CPU = 1
_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}
_BFLOAT = 4

_PyCapsule_GetPointer = ctypes.pythonapi.PyCapsule_GetPointer
_PyCapsule_GetPointer.restype = ctypes.c_void_p
_PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


class TensorView:
    """A DLPack tensor over an array's memory. `struct` is what the C interface takes; it keeps the memory alive, and so
    do pointers to it."""

    def __init__(self, array: Array, what: str = "argument", is_written: bool = False):
        if isinstance(array, numpy.ndarray):
            if is_written and not array.flags.writeable:
                raise ValueError(f"{what} is read-only")
            self._view_numpy(array, what)
        elif hasattr(array, "__dlpack__"):
            self._view_dlpack(array, what)
        else:
            raise TypeError(f"{what} must be a NumPy array or have __dlpack__, got {type(array).__name__}")

    def _view_numpy(self, array: numpy.ndarray, what: str) -> None:
        is_bfloat = array.dtype.name == "bfloat16"
        if not is_bfloat and (array.dtype.kind not in _KINDS or not array.dtype.isnative):
            raise TypeError(f"{what} has the element type {array.dtype}, which attention does not take")
        size = array.dtype.itemsize
        if any(stride % size for stride in array.strides):
            raise ValueError(f"{what} has strides {array.strides} bytes, not multiples of its elements' {size}")
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        strides = (ctypes.c_int64 * array.ndim)(*(stride // size for stride in array.strides))
        code = _BFLOAT if is_bfloat else _KINDS[array.dtype.kind]
        self.struct = DLTensor(array.ctypes.data, DLDevice(_CPU, 0), array.ndim, DLDataType(code, 8 * size, 1), shape,
                               strides, 0)
        self.struct._owners = array

    def _view_dlpack(self, array: Array, what: str) -> None:
        try:
            capsule = array.__dlpack__()
        except Exception as error:
            raise TypeError(f"{what} gives no DLPack tensor: {error}") from error
        pointer = _PyCapsule_GetPointer(capsule, b"dltensor")
        self.struct = DLTensor.from_address(pointer)  # the first field of DLManagedTensor
        # The capsule owns the tensor: it is freed with the capsule, as nobody renames it to "used_dltensor".
        self.struct._owners = (array, capsule)


def view_all(arrays: Sequence[Array], what: str, is_written: bool = False) -> list[TensorView]:
    return [TensorView(array, f"{what} {index}", is_written) for index, array in enumerate(arrays)]


def pointers(views: Sequence[TensorView]) -> ctypes.Array:
    """The views as DLTensor*[]."""
    return (ctypes.POINTER(DLTensor) * len(views))(*(ctypes.pointer(view.struct) for view in views))


def numpy_dtype(name: str) -> numpy.dtype:
    """The NumPy type of an element type of the runtime; bf16 takes the package ml_dtypes."""
    plain = {"f32": "float32", "f64": "float64", "f16": "float16", "i64": "int64", "i32": "int32", "i16": "int16",
             "i8": "int8", "index": "int64", "i1": "bool"}
    if name in plain:
        return numpy.dtype(plain[name])
    if name == "bf16":
        try:
            import ml_dtypes
        except ImportError:
            raise TypeError("bf16 arrays take the package ml_dtypes, or PyTorch tensors") from None
        return numpy.dtype(ml_dtypes.bfloat16)
    raise TypeError(f"NumPy has no element type {name}")


def empty_like_kind(example: Array, type_name: str, shape: Sequence[int]) -> Array:
    """An uninitialised array of the library that `example` comes from: PyTorch, else NumPy."""
    if type(example).__module__.partition(".")[0] == "torch":
        import torch

        torch_types = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16,
                       "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
                       "index": torch.int64, "i1": torch.bool}
        return torch.empty(tuple(shape), dtype=torch_types[type_name])
    return numpy.empty(tuple(shape), numpy_dtype(type_name))
