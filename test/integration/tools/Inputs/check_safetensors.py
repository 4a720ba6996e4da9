"""Reads a file that gqa-run layer has saved by what the format says, and compares two reports: the layers are the same."""

import json
import struct
import sys

path, saved, read = sys.argv[1:]
with open(path, "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    data = file.read()

shapes = {"q_proj": [64, 48], "k_proj": [32, 48], "v_proj": [32, 48], "o_proj": [48, 64]}
assert header.pop("__metadata__") == {"format": "pt"}
assert set(header) == {f"model.layers.3.self_attn.{name}.weight" for name in shapes}, header
assert (8 + length) % 8 == 0
for name, shape in shapes.items():
    tensor = header[f"model.layers.3.self_attn.{name}.weight"]
    begin, end = tensor["data_offsets"]
    assert tensor["dtype"] == "BF16" and tensor["shape"] == shape and end - begin == 2 * shape[0] * shape[1], tensor
    # Uniform of unit variance in a sum: the largest is near sqrt(3 / inputs).
    values = [abs(struct.unpack("<f", b"\0\0" + data[i : i + 2])[0]) for i in range(begin, end, 2)]
    assert 0.9 < max(values) / (3 / shape[1]) ** 0.5 < 1.01, (name, max(values))
assert max(tensor["data_offsets"][1] for tensor in header.values()) == len(data)

reports = [json.load(open(name)) for name in (saved, read)]
assert reports[0]["variants"] == reports[1]["variants"], [report["variants"] for report in reports]
assert reports[1]["weights"] == f"of '{path}'"
