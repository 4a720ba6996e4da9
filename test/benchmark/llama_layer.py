"""A layer of Llama as torch-mlir exports it, compiled by gqa-compile, torch.compile and IREE, in one process.

    python3 test/benchmark/llama_layer.py [--tokens 512] [--type f32] [--threads 2] [--json FILE] [--peers torch,iree]

Defaults: d_model 2048, 32 query and 8 K/V heads of 64, MLP 8192, rotary embedding, RMS norm, a mask argument. The limit
beside the times is the layer's arithmetic; errors are against the same layer in f64, as is that of eager PyTorch.
Needs torch and torch-mlir, and for the peer iree-base-compiler and iree-base-runtime.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("KMP_BLOCKTIME", "0")  # idle threads leave the cores to the other side

import numpy as np
import torch

import llama
from artifact import Artifact, compile_mlir
from timing import interleave, report

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def as_numpy(tensor):
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def bind_iree(source, inputs, threads, folder):
    import iree.compiler.tools
    import iree.runtime
    iree.compiler.tools.compile_file(source, output_file=f"{folder}/layer.vmfb", extra_args=[
        "--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
        "--iree-llvmcpu-target-cpu=host"])
    iree.runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    config = iree.runtime.Config("local-task")
    module = iree.runtime.VmModule.mmap(config.vm_instance, f"{folder}/layer.vmfb")
    function = iree.runtime.load_vm_module(module, config).layer
    buffers = [iree.runtime.asdevicearray(config.device, as_numpy(x)) for x in inputs]
    return lambda: function(*buffers)


def count_flops(tokens, model, heads, kv_heads, head_dim, mlp):
    projections = model * head_dim * (2 * heads + 2 * kv_heads) + 3 * model * mlp
    return 2 * tokens * projections + 4 * heads * tokens * tokens * head_dim


def main():
    parser = argparse.ArgumentParser()
    for name, value in dict(tokens=512, model=2048, heads=32, kv_heads=8, head_dim=64, mlp=8192, threads=2).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--type", choices=TYPES, default="f32")
    parser.add_argument("--source", help="a file to compile instead of exporting the layer")
    parser.add_argument("--peers", default="torch,iree")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--cpu-time", action="store_true", help="of all threads; say --threads 1 with it")
    parser.add_argument("--json")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.set_grad_enabled(False)  # torch.compile then need not keep anything

    layer = llama.LlamaLayer(o.heads, o.kv_heads, o.head_dim)
    shape = (o.model, o.heads, o.kv_heads, o.head_dim, o.mlp)
    inputs = llama.make_inputs(1, o.tokens, *shape, TYPES[o.type])
    exact = layer(*(x.double() for x in inputs))
    output = torch.empty_like(inputs[0])
    with tempfile.TemporaryDirectory() as folder:
        source = o.source or f"{folder}/layer.mlir"
        if not o.source:
            with open(source, "w") as file:
                file.write(llama.export_mlir(layer, inputs, "layer"))
        compile_mlir(source, f"{folder}/layer.so")
        calls = {"gqa": Artifact(f"{folder}/layer.so", o.threads).bind(
            "layer", [as_numpy(x) for x in inputs], [as_numpy(output)])}
        if "torch" in o.peers:
            compiled = torch.compile(layer)
            calls["torch.compile"] = lambda: compiled(*inputs)
        if "iree" in o.peers:
            calls["IREE"] = bind_iree(source, inputs, o.threads, folder)
        best = interleave(calls, o.seconds, time.process_time if o.cpu_time else time.perf_counter)
        errors = {"gqa": output}
        if "torch" in o.peers:
            errors["torch.compile"] = compiled(*inputs)
        if "iree" in o.peers:
            errors["IREE"] = torch.from_numpy(np.asarray(calls["IREE"]().to_host()).astype("f"))
    errors = {name: float((value.double() - exact).abs().max()) for name, value in errors.items()}
    naive = float((layer(*inputs).double() - exact).abs().max())
    gflops = count_flops(o.tokens, *shape) * 1e-6
    rows = [[name, ms, ms / best["gqa"], gflops / ms, errors[name], naive] for name, ms in best.items()]
    report(f"Llama layer, {o.tokens} tokens, {o.type}, {o.threads} threads", ["", "ms", "of gqa", "GFLOP/s", "error",
           "eager's"], rows, o.json)
    assert errors["gqa"] <= 2 * naive + 1e-6, "gqa-compile's result is wrong"


if __name__ == "__main__":
    main()
