"""PyTorch's scaled_dot_product_attention on the problems that standard input lists, by backend: for `check`.

Input: {"device": "cuda:0", "problems": [{"name", "type", "batch", "heads", "kv_heads", "head_dim", "queries", "keys",
"causal"}, ...]}. Output: the same names with the median ms of each backend, null where it cannot, and limits.
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION,
            "math": SDPBackend.MATH, "efficient": SDPBackend.EFFICIENT_ATTENTION}
TYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def median_ms(function, device, runs=20):
    """By events on a GPU, by the clock elsewhere. As for the compiled kernels, the L2 cache is emptied before each call,
    which also keeps the device busy while the host prepares it."""
    for _ in range(3):
        function()
    times = []
    cold = None
    if device.type == "cuda":
        size = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 64 * 2**20)
        cold = torch.empty(4 * size, dtype=torch.uint8, device=device)
    for _ in range(runs):
        if device.type == "cuda":
            cold.zero_()
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            function()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        else:
            start = time.perf_counter()
            function()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def attempt(function, device, runs=20):
    """The median, or None where the backend refuses or memory is out."""
    try:
        return median_ms(function, device, runs)
    except (RuntimeError, torch.OutOfMemoryError):
        return None


def measure(problem, device):
    def random(heads, tokens):
        shape = (problem["batch"], heads, tokens, problem["head_dim"])
        return torch.rand(shape, device=device, dtype=TYPES[problem["type"]]) * 2 - 1

    query = random(problem["heads"], problem["queries"])
    key, value = (random(problem["kv_heads"], problem["keys"]) for _ in range(2))
    group = problem["heads"] // problem["kv_heads"]
    times = {}
    for name, backend in BACKENDS.items():

        def fused():
            with sdpa_kernel([backend]):
                F.scaled_dot_product_attention(query, key, value, is_causal=problem["causal"], enable_gqa=group > 1)

        def repeated():
            with sdpa_kernel([backend]):
                F.scaled_dot_product_attention(query, wide_key, wide_value, is_causal=problem["causal"])

        if name == "math" and problem["queries"] > 4096:
            continue  # "unfused" below, without the copies
        times[name] = attempt(fused, device)
        if times[name] is None and group > 1:
            wide_key, wide_value = (t.repeat_interleave(group, dim=1) for t in (key, value))
            times[name + " (K, V repeated before)"] = attempt(repeated, device)
            del times[name]

    def unfused():
        scores = query.unflatten(1, (problem["kv_heads"], group)) @ key.unsqueeze(2).transpose(-1, -2)
        scores *= problem["head_dim"] ** -0.5
        if problem["causal"]:
            scores.masked_fill_(hidden, float("-inf"))
        return scores.softmax(-1) @ value.unsqueeze(2)

    hidden = None
    if problem["causal"]:
        hidden = torch.ones(problem["queries"], problem["keys"], dtype=torch.bool, device=device).triu(1)
    times["unfused"] = attempt(unfused, device, runs=5)
    return {"name": problem["name"], "median_ms": times}


def measure_limits(device):
    """TFLOP/s of a large bf16 product and GB/s (read and written) of a large copy."""
    size, elements = (8192, 2**30) if device.type == "cuda" else (256, 2**20)
    a, b = (torch.rand(size, size, device=device, dtype=torch.bfloat16) * 2 - 1 for _ in range(2))
    product = median_ms(lambda: a @ b, device)
    source = torch.ones(elements, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = median_ms(lambda: target.copy_(source), device)
    return {"gemm_bf16_tflops": 2 * size**3 / product * 1e-9, "copy_gb_per_second": 2 * elements / copy * 1e-6}


def main():
    request = json.load(sys.stdin)
    device = torch.device(request["device"])
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no CUDA device")
    result = {"torch": torch.__version__, "limits": measure_limits(device),
              "problems": [measure(problem, device) for problem in request["problems"]]}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
