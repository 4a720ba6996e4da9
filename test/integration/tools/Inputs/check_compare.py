"""Checks the JSON of `gqa-run compare` in compare.test: which cases are there, and that their numbers agree."""

import json
import sys

with open(sys.argv[1]) as file:
    report = json.load(file)

assert [v["kv_heads"] for v in report["variants"]] == [6, 3, 2, 1]
assert [v["name"] for v in report["variants"]] == ["MHA", "GQA-3", "GQA-2", "MQA"]
for variant in report["variants"]:
    assert variant["attention_parameters"] == 2 * 96 * 16 * (2 * 6 + 2 * variant["kv_heads"]), variant
    assert variant["kv_cache_bytes"]["70"] == 2 * 2 * variant["kv_heads"] * 70 * 16 * 4, variant

limits = report["limits"]
assert limits["threads"] == 2
assert limits["fma_gflops"] > 0 and limits["dram_read_gb_per_second"] > 0

expected = [(phase, tokens, heads)
            for phase, lengths in (("prefill", (5, 40)), ("decode", (1, 70)))
            for tokens in lengths
            for heads in (6, 3, 2, 1)]
assert [(c["phase"], c["tokens"], c["kv_heads"]) for c in report["cases"]] == expected
for case in report["cases"]:
    tokens = case["tokens"]
    pairs = tokens * (tokens + 1) / 2 if case["phase"] == "prefill" else tokens
    for form in (case["fused"], case["unfused"]):
        assert form["seconds"] > 0, case
        assert 0 <= form["max_abs_error"] < 1e-5, case
        assert abs(form["gflops"] * form["seconds"] * 1e9 / (4 * 6 * 16 * pairs) - 1) < 1e-9, case
        assert abs(form["percent_of_fma"] / 100 * limits["fma_gflops"] / form["gflops"] - 1) < 1e-9, case
    assert abs(case["speed_up"] * case["fused"]["seconds"] / case["unfused"]["seconds"] - 1) < 1e-9, case
