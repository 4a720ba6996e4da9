"""PyTorch: attention with 8 query heads and 2 key/value heads to attention.mlir; needs the packages torch and torch-mlir.

    python3 export_torch.py linalg-on-tensors
    python3 export_torch.py tosa

Also writes q.npy, k.npy, v.npy and expected.npy, PyTorch's own answer.
"""

import pathlib
import sys

import numpy as np
import torch
from torch_mlir import fx

Q_HEADS, KV_HEADS, LENGTH, HEAD_DIM = 8, 2, 24, 64


class Attention(torch.nn.Module):
    """Causal attention over [batch, heads, length, head dim]; each K/V head serves four query heads."""

    def forward(self, q, k, v):
        k, v = (x.repeat_interleave(Q_HEADS // KV_HEADS, dim=1) for x in (k, v))
        scores = q @ k.transpose(-1, -2) / HEAD_DIM**0.5
        is_hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(diagonal=1)
        return torch.softmax(scores.masked_fill(is_hidden, -torch.inf), dim=-1) @ v


def main():
    torch.manual_seed(1)
    q, k, v = (torch.randn(1, heads, LENGTH, HEAD_DIM) for heads in (Q_HEADS, KV_HEADS, KV_HEADS))
    module = Attention().eval()
    program = torch.export.export(module, (q, k, v))
    text = str(fx.export_and_import(program, output_type=sys.argv[1], func_name="attention"))
    pathlib.Path("attention.mlir").write_text(text)
    for name, tensor in (("q", q), ("k", k), ("v", v), ("expected", module(q, k, v))):
        np.save(f"{name}.npy", tensor.numpy())


if __name__ == "__main__":
    main()
