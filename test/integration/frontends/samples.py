"""A folder of samples: cases.json and the .mlir files that it lists.

cases.json holds {"cases": [...]}; an entry has

    file              the .mlir file, whose public function is `function` ("attention" if absent)
    q_heads, kv_heads, dtype ("f32", "f16" or "bf16"), seed of the inputs
    arguments         of the function, in order: name, role, layout, shape to run with, dtype; see make_argument
    types             of the arguments, "1x8x?x64xf32", where extents are dynamic: such a file is run with other lengths, too
    result            layout, shape, dtype
    semantics         what is computed; see reference.py

Layout letters: b batch, h head, k key/value head, g query head within its group, s position, d head dim, f = h * d merged.
"""

import json
import math
import pathlib

import numpy as np

ROUNDOFF = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
NUMPY_TYPES = {"f32": np.float32, "f16": np.float16, "bf16": np.float32, "i64": np.int64, "i32": np.int32, "i1": np.bool_}


def load(folder):
    """The entries of `folder`/cases.json, each with its "path" and whether `folder`/not-yet.txt lists it ("is_excused")."""
    folder = pathlib.Path(folder)
    entries = json.loads((folder / "cases.json").read_text())["cases"]
    not_yet = folder / "not-yet.txt"
    excused = not_yet.read_text().split() if not_yet.exists() else []
    return [dict(entry, path=folder / entry["file"], is_excused=entry["file"] in excused) for entry in entries]


def must_raise(entry):
    """True or False; None if both are right, as for query heads in tile order, which are a permutation of groups."""
    if "numpy" in entry["semantics"]:
        return False
    return None if entry["semantics"].get("group") == "tile" else True


def with_length(entry, length):
    """The entry with every dynamic extent of its arguments equal to `length`, or None if it has none."""
    dynamic = [[extent == "?" for extent in text.split("x")[:-1]] for text in entry.get("types", [])]
    if not any(map(any, dynamic)):
        return None
    arguments = [dict(argument, shape=[length if is_dynamic else extent for extent, is_dynamic in zip(argument["shape"], dims)])
                 for argument, dims in zip(entry["arguments"], dynamic)]
    return dict(entry, arguments=arguments)


def round_to(dtype, array):
    """`array` rounded to a storage type, held in a type that NumPy has."""
    if dtype != "bf16":
        return np.asarray(array).astype(NUMPY_TYPES[dtype])
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


def save(path, array, dtype):
    """Writes an .npy file; bf16 has the type V2 there, as ml_dtypes writes it."""
    if dtype == "bf16":
        array = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype(np.uint16).view("V2")
    np.save(path, array)


def read(path, dtype):
    array = np.load(path)
    if dtype == "bf16":
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array


def make_arguments(entry):
    """Seeded inputs: every head, position and batch entry has data of its own."""
    generator = np.random.default_rng(entry["seed"])
    return [round_to(argument["dtype"], make_argument(argument, generator)) for argument in entry["arguments"]]


def make_argument(argument, generator):
    role, shape = argument["role"], argument["shape"]
    if role in ("tensor", "sink"):
        return generator.standard_normal(shape)
    if role == "weight":  # keeps the deviation of what it multiplies
        return generator.standard_normal(shape) / math.sqrt(argument["fan_in"])
    if role == "gain":
        return 1 + generator.standard_normal(shape) / 8
    if role in ("mask", "additive_mask"):
        return make_mask(argument, generator)
    if role == "lengths":
        return generator.integers(1, argument["limit"], size=shape, endpoint=True)
    if role == "positions":
        return argument["start"] + np.arange(shape[0])
    if role == "slopes":
        return np.exp2(-8 * np.arange(1, shape[0] + 1) / shape[0])
    if role in ("cos", "sin"):
        positions, pairs = np.arange(shape[-2]), np.arange(shape[-1]) % (shape[-1] // 2)
        angles = np.outer(positions, 10000.0 ** (-2 * pairs / shape[-1]))
        return np.broadcast_to(np.cos(angles) if role == "cos" else np.sin(angles), shape)
    raise ValueError(f"argument '{argument['name']}' has unknown role '{role}'")


def make_mask(argument, generator):
    """True, or 0, for a key that is visible. Key 0 is visible to every row: frontends disagree on rows without keys."""
    rows, keys = argument["shape"][-2:]
    is_visible = generator.random(argument["shape"]) < 0.7
    if argument.get("causal"):
        is_visible &= np.arange(keys) <= np.arange(rows)[:, None] + (keys - rows)
    is_visible[..., :1] = True
    return is_visible if argument["role"] == "mask" else np.where(is_visible, 0.0, argument["fill"])
