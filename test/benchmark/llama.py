"""A decoder layer of Llama as PyTorch spells it: a function of its activations and its weights."""

import torch


def rms_norm(x, weight):
    wide = x.to(torch.float32)
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)
    return weight * wide.to(x.dtype)


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def repeat_kv(x, group):
    b, heads, s, d = x.shape
    return x[:, :, None].expand(b, heads, group, s, d).reshape(b, heads * group, s, d)


class LlamaLayer(torch.nn.Module):
    """Tensors: x, mask [b, s, model]; cos, sin [1, s, head dim]; wq, wk, wv, wo; gate, up, down; norms."""

    def __init__(self, heads, kv_heads, head_dim):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim

    def forward(self, x, mask, cos, sin, wq, wk, wv, wo, gate, up, down, norm1, norm2):
        b, s, model = x.shape
        h = rms_norm(x, norm1)
        split = lambda y, heads: y.view(b, s, heads, self.head_dim).transpose(1, 2)
        linear = torch.nn.functional.linear
        q = split(linear(h, wq), self.heads)
        k, v = split(linear(h, wk), self.kv_heads), split(linear(h, wv), self.kv_heads)
        q = q * cos[:, None] + rotate_half(q) * sin[:, None]
        k = k * cos[:, None] + rotate_half(k) * sin[:, None]
        group = self.heads // self.kv_heads
        k, v = repeat_kv(k, group), repeat_kv(v, group)
        scores = torch.matmul(q, k.transpose(2, 3)) * self.head_dim**-0.5 + mask
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
        attended = torch.matmul(weights, v).transpose(1, 2).reshape(b, s, -1)
        x = x + linear(attended, wo)
        h = rms_norm(x, norm2)
        return x + linear(torch.nn.functional.silu(linear(h, gate)) * linear(h, up), down)


def make_inputs(batch, tokens, model, heads, kv_heads, head_dim, mlp, dtype=torch.float32):
    """Random activations and weights of a scale that keeps activations near 1, causal mask, rotary tables."""
    generator = torch.Generator().manual_seed(1)
    random = lambda *shape: torch.randn(*shape, generator=generator)
    weight = lambda rows, columns: (random(rows, columns) * columns**-0.5).to(dtype)
    mask = torch.full((tokens, tokens), torch.finfo(dtype).min).triu(1).to(dtype)[None, None]
    angles = torch.outer(torch.arange(tokens).float(), 10000.0 ** (-torch.arange(0, head_dim, 2).float() / head_dim))
    angles = torch.cat((angles, angles), dim=-1)[None]
    return [random(batch, tokens, model).to(dtype), mask, angles.cos().to(dtype), angles.sin().to(dtype),
            weight(heads * head_dim, model), weight(kv_heads * head_dim, model), weight(kv_heads * head_dim, model),
            weight(model, heads * head_dim), weight(mlp, model), weight(mlp, model), weight(model, mlp),
            (1 + 0.1 * random(model)).to(dtype), (1 + 0.1 * random(model)).to(dtype)]


def export_mlir(layer, inputs, name):
    """The layer as linalg on tensors, as torch-mlir writes it."""
    from torch_mlir import fx
    return str(fx.export_and_import(layer, *inputs, output_type="linalg-on-tensors", func_name=name))
