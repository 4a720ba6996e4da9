"""libgqa.so: where it is, its functions and structs (runtime/gqa.h, runtime/gqa_cache.h), and its errors."""

from __future__ import annotations

import ctypes
import enum
import operator
import os
import pathlib
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p

API_VERSION = (0, 4)  # GQA_API_VERSION_MAJOR, _MINOR


class Status(enum.IntEnum):
    """gqa_status."""

    OK = 0
    INVALID_ARGUMENT = 1
    NOT_FOUND = 2
    IO_ERROR = 3
    BAD_ARTIFACT = 4
    UNSUPPORTED_TARGET = 5
    OUT_OF_MEMORY = 6
    EXECUTION_FAILED = 7
    INTERNAL_ERROR = 8
    BAD_CACHE_FILE = 9
    NO_DEVICE = 10
    DEVICE_ERROR = 11


class Error(RuntimeError):
    """A call of the runtime failed. `status` says in which way; the text is its name and the runtime's message."""

    def __init__(self, status: Status, name: str, message: str):
        super().__init__(f"{name}: {message}" if message else name)
        self.status = status


_BITS = {c_int32: 32, c_int64: 64}


def checked(value, kind):
    """`value` for an argument or field of type `kind`, an integer of any library; ctypes would cut what does not fit."""
    if kind not in _BITS:
        return value
    value = operator.index(value)
    if not -1 << _BITS[kind] - 1 <= value < 1 << _BITS[kind] - 1:
        raise OverflowError(f"{value} does not fit {_BITS[kind]} bits")
    return value


def longs(values) -> ctypes.Array:
    """Integers as an int64_t array."""
    values = [checked(value, c_int64) for value in values]
    return (c_int64 * len(values))(*values)


class Handle:
    """What a function of the C interface has made; it goes with this object, so there are no copies of that."""

    _destroy: str  # the function

    def __init__(self):
        self.handle = c_void_p()

    def __del__(self):
        if getattr(self, "handle", None):
            getattr(library, self._destroy)(self.handle)

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")


class DLDevice(ctypes.Structure):
    _fields_ = [("device_type", c_int32), ("device_id", c_int32)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device", DLDevice),
        ("ndim", c_int32),
        ("dtype", DLDataType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("state", c_void_p),
        ("num_threads", c_int32),
        ("parallel_for", c_void_p),
        ("allocate", c_void_p),
        ("deallocate", c_void_p),
    ]


class ConfigStruct(ctypes.Structure):
    """Fields by their names."""

    def __init__(self, **fields):
        kinds = dict(self._fields_)
        super().__init__(**{name: checked(value, kinds[name]) for name, value in fields.items()})


class RotaryStruct(ConfigStruct):
    _fields_ = [
        ("dim", c_int64),
        ("pairs", c_int32),
        ("scaling", c_int32),
        ("theta", c_double),
        ("factor", c_double),
        ("original_context", c_double),
        ("low_frequency_factor", c_double),
        ("high_frequency_factor", c_double),
        ("beta_fast", c_double),
        ("beta_slow", c_double),
        ("attention_factor", c_double),
        ("no_ramp_rounding", c_int32),
    ]


class CacheLayerStruct(ConfigStruct):
    _fields_ = [
        ("num_kv_heads", c_int64),
        ("key_dim", c_int64),
        ("value_dim", c_int64),
        ("key_type", c_int32),
        ("value_type", c_int32),
        ("storage", c_int32),
        ("capacity", c_int64),
        ("window", c_int64),
        ("sinks", c_int64),
        ("slack", c_int64),
        ("key_channel_scales", POINTER(c_float)),
        ("rotary", RotaryStruct),
    ]


class CacheConfigStruct(ConfigStruct):
    _fields_ = [
        ("num_layers", c_int32),
        ("layers", POINTER(CacheLayerStruct)),
        ("max_sequences", c_int64),
        ("max_tokens", c_int64),
        ("page_size", c_int32),
    ]


class CachePagesStruct(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("type", c_int32),
        ("dim", c_int64),
        ("page_stride", c_int64),
        ("head_stride", c_int64),
        ("token_stride", c_int64),
        ("scales", c_void_p),
        ("scale_page_stride", c_int64),
        ("scale_head_stride", c_int64),
        ("channel_scales", c_void_p),
    ]


class CacheViewStruct(ctypes.Structure):
    _fields_ = [
        ("keys", CachePagesStruct),
        ("values", CachePagesStruct),
        ("num_pages", c_int64),
        ("num_kv_heads", c_int64),
        ("page_size", c_int64),
        ("sinks", c_int64),
        ("ring_slots", c_int64),
        ("slack", c_int64),
    ]


class AttendStruct(ctypes.Structure):
    _fields_ = [
        (name, POINTER(DLTensor))
        for name in ("queries", "output", "lse", "sinks", "mask", "block_table", "lengths")
    ]


_TENSOR = POINTER(DLTensor)
_TENSORS = POINTER(_TENSOR)
_LONGS = POINTER(c_int64)
_INTS = POINTER(c_int32)

# name: (result, arguments); functions that return a status come second, without their first argument, the context.
_PLAIN = {
    "gqa_status_name": (c_char_p, [c_int32]),
    "gqa_version": (c_int32, []),
    "gqa_context_create": (c_void_p, [POINTER(Options)]),
    "gqa_context_destroy": (None, [c_void_p]),
    "gqa_context_message": (c_char_p, [c_void_p]),
    "gqa_artifact_destroy": (None, [c_void_p]),
    "gqa_artifact_description": (c_char_p, [c_void_p]),
    "gqa_cache_destroy": (None, [c_void_p]),
    "gqa_cache_bytes": (c_int64, [c_void_p]),
}
_CHECKED = {
    "gqa_context_set_num_threads": [c_int32],
    "gqa_artifact_load": [c_char_p, POINTER(c_void_p)],
    "gqa_artifact_can_run": [c_void_p],
    "gqa_result_shape": [c_void_p, c_char_p, _TENSORS, c_int32, c_int32, _LONGS, c_int32, _INTS],
    "gqa_call": [c_void_p, c_char_p, _TENSORS, c_int32, _TENSORS, c_int32],
    "gqa_cache_create": [POINTER(CacheConfigStruct), POINTER(c_void_p)],
    "gqa_cache_add": [c_void_p, _LONGS],
    "gqa_cache_fork": [c_void_p, c_int64, c_int64, _LONGS],
    "gqa_cache_remove": [c_void_p, c_int64],
    "gqa_cache_truncate": [c_void_p, c_int64, c_int64],
    "gqa_cache_length": [c_void_p, c_int64, c_int32, _LONGS],
    "gqa_cache_reserve": [c_void_p, _LONGS, _LONGS, c_int32],
    "gqa_cache_append": [c_void_p, c_int32, _LONGS, _LONGS, c_int32, _TENSOR, _TENSOR],
    "gqa_cache_rotate": [c_void_p, c_int32, _LONGS, _TENSOR],
    "gqa_cache_read": [c_void_p, c_int64, c_int32, c_int64, _TENSOR, _TENSOR],
    "gqa_cache_save": [c_void_p, c_int64, c_char_p],
    "gqa_cache_load": [c_void_p, c_char_p, _LONGS],
    "gqa_cache_get_view": [c_void_p, c_int32, POINTER(CacheViewStruct)],
    "gqa_cache_get_table": [c_void_p, c_int32, _LONGS, c_int32, _INTS, c_int64, _INTS, _LONGS, _LONGS],
    "gqa_cache_attend": [c_void_p, c_void_p, c_char_p, c_int32, _LONGS, _LONGS, c_int32, POINTER(AttendStruct)],
    "gqa_merge": [_TENSORS, _TENSORS, c_int32, _TENSOR, _TENSOR],
}


def _candidates():
    if "GQA_LIBRARY" in os.environ:
        yield os.environ["GQA_LIBRARY"]
        return
    package = pathlib.Path(__file__).resolve().parent
    yield from (str(path) for path in [package / "libgqa.so"] if path.exists())
    # The newest build of the source tree that the package lies in.
    builds = (package.parent.parent / "build").glob("*/lib/libgqa.so")
    yield from (str(path) for path in sorted(builds, key=lambda path: -path.stat().st_mtime))
    yield "libgqa.so.0"


def _load() -> ctypes.CDLL:
    problem = None
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
            break
        except OSError as error:
            problem = problem or error
    else:
        raise ImportError(f"cannot load libgqa.so; $GQA_LIBRARY may name it: {problem}")
    for name, (result, arguments) in _PLAIN.items():
        getattr(library, name).restype = result
        getattr(library, name).argtypes = arguments
    for name, arguments in _CHECKED.items():
        getattr(library, name).restype = c_int32
        getattr(library, name).argtypes = [c_void_p, *arguments]
    found = divmod(library.gqa_version(), 1000)
    if found != API_VERSION:
        raise ImportError("libgqa.so has interface {}.{}, but this package is for {}.{}".format(*found, *API_VERSION))
    return library


library = _load()


def version() -> tuple[int, int]:
    """Major and minor version of the runtime's interface."""
    return divmod(library.gqa_version(), 1000)


def check(context: c_void_p, status: int) -> None:
    """Raises Error unless `status` is GQA_OK."""
    if status != Status.OK:
        name = library.gqa_status_name(status).decode()
        message = library.gqa_context_message(context).decode(errors="replace")
        raise Error(Status(status), name, message)
