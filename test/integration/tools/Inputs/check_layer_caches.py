"""check_layer_caches.py DIRECTORY: what gqa-run layer wrote about layers with caches of several kinds; see layer.test."""

import json
import os
import sys


def read(name):
    with open(os.path.join(sys.argv[1], name + ".json")) as file:
        return json.load(file)


ring = read("ring")
assert ring["cache"] == "ring, window 16, sinks 2, slack 3, pages of 8" and ring["cache_element_type"] == "f32"
assert [variant["kv_heads"] for variant in ring["variants"]] == [3, 1]
for variant in ring["variants"]:
    assert variant["tokens_checked"] == 71  # the ring goes round three times
    assert 0 < variant["cached_difference"] < 3e-6, variant
    assert max(variant["one_pass_error"], variant["cached_error"]) == variant["max_abs_error"] < 3e-6, variant
# Of 70 tokens, 2 + 16 + 3 are there: keys and values of 3 heads, 16 elements, 4 bytes.
assert [case["kv_cache_bytes"] for case in ring["cases"] if case["kv_heads"] == 3] == [2 * 21 * 3 * 16 * 4] * 2

for name, bits, low, high in (("fp8", 8, 0.01, 0.06), ("int8", 8, 0.002, 0.02), ("int4", 4, 0.05, 0.25)):
    report = read(name)
    (variant,) = report["variants"]
    assert report["cache_element_type"] == name
    assert low < variant["cached_relative_difference"] < high, (name, variant)
    assert variant["cached_difference"] > 0 and variant["cached_error"] > variant["one_pass_error"], variant
    kept = 16 if name == "fp8" else 70
    case = report["cases"][-1]
    assert case["kv_cache_bytes"] == 2 * report["batch"] * kept * 3 * 16 * bits / 8, case
