"""A tiny Llama-style checkpoint in two shards, and its perplexity by plain loops in double precision.

    tiny_llama.py write DIRECTORY KIND [TYPE]               KIND: qwen (biases, norms, a head), or without these, tied,
                                                            and with a scaled rotary embedding: a name in SCALINGS
    tiny_llama.py check DIRECTORY KIND TYPE REPORT.json     compares gqa-run's report

TYPE is that of all tensors: F32, BF16 or F16.
"""

import json
import math
import random
import struct
import sys
from pathlib import Path

LAYERS, MODEL, HEADS, KV_HEADS, DIM, HIDDEN, VOCABULARY, TOKENS, CONTEXT = 2, 24, 8, 4, 6, 20, 31, 45, 32
EPSILON, THETA = 1e-5, 50.0
SCALINGS = {
    "llama": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 32},
    "linear": {"type": "linear", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 3.0, "original_max_position_embeddings": 24},
    "yarn-untruncated": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 3.0, "beta_slow": 0.5, "truncate": False,
                         "attention_factor": 1.5},
    "yarn-deepseek": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 3.0, "mscale": 2.0, "mscale_all_dim": 0.5},
}

action, directory, kind, dtype = sys.argv[1:5]
directory = Path(directory)
is_qwen = kind == "qwen"
SCALING = SCALINGS.get(kind)


def to_bf16(value):
    """The bits of the nearest bf16 number, ties to even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def from_bf16(bits):
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def pack(elements):
    """Elements as they are stored."""
    if dtype == "BF16":
        return struct.pack(f"<{len(elements)}H", *map(to_bf16, elements))
    return struct.pack(f"<{len(elements)}{'e' if dtype == 'F16' else 'f'}", *elements)


def stored(value):
    """The nearest number that the type of the tensors has."""
    if dtype == "BF16":
        return from_bf16(to_bf16(value))
    return struct.unpack("<e" if dtype == "F16" else "<f", pack([value]))[0]


def make_tensors():
    """{name: (shape, elements)}"""
    generator = random.Random(11)
    tensors = {}

    def add(name, *shape, amplitude=None, mean=0.0):
        amplitude = amplitude or 1.5 * (3 / shape[-1]) ** 0.5
        elements = [stored(mean + generator.uniform(-amplitude, amplitude)) for _ in range(math.prod(shape))]
        tensors[name] = (list(shape), elements)

    add("model.embed_tokens.weight", VOCABULARY, MODEL, amplitude=1.0)
    for i in range(LAYERS):
        prefix = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            add(f"{prefix}{norm}.weight", MODEL, amplitude=0.3, mean=1.0)
        for name, rows, width in (("q", HEADS * DIM, MODEL), ("k", KV_HEADS * DIM, MODEL), ("v", KV_HEADS * DIM, MODEL),
                                  ("o", MODEL, HEADS * DIM)):
            add(f"{prefix}self_attn.{name}_proj.weight", rows, width)
            if is_qwen and name != "o":
                add(f"{prefix}self_attn.{name}_proj.bias", rows, amplitude=0.5)
        if is_qwen:
            for name in "qk":
                add(f"{prefix}self_attn.{name}_norm.weight", DIM, amplitude=0.3, mean=1.0)
        for name, rows, width in (("gate", HIDDEN, MODEL), ("up", HIDDEN, MODEL), ("down", MODEL, HIDDEN)):
            add(f"{prefix}mlp.{name}_proj.weight", rows, width)
    add("model.norm.weight", MODEL, amplitude=0.3, mean=1.0)
    if is_qwen:
        add("lm_head.weight", VOCABULARY, MODEL)
    return tensors, [generator.randrange(VOCABULARY) for _ in range(TOKENS)]


def write(tensors, tokens):
    directory.mkdir(parents=True, exist_ok=True)
    shards = {"one.safetensors": {}, "two.safetensors": {}}
    for index, (name, tensor) in enumerate(sorted(tensors.items())):
        shards[list(shards)[index % 2]][name] = tensor
    for file, parts in shards.items():
        header, data = {}, b""
        for name, (shape, elements) in parts.items():
            begin = len(data)
            data += pack(elements)
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, len(data)]}
        text = json.dumps(header).encode()
        (directory / file).write_bytes(struct.pack("<Q", len(text)) + text + data)
    index = {name: file for file, parts in shards.items() for name in parts}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    config = {"model_type": "qwen3" if is_qwen else "llama", "hidden_act": "silu", "hidden_size": MODEL,
              "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
              "num_key_value_heads": KV_HEADS, "head_dim": DIM, "vocab_size": VOCABULARY, "rope_theta": THETA,
              "max_position_embeddings": CONTEXT, "rms_norm_eps": EPSILON, "tie_word_embeddings": not is_qwen,
              "rope_scaling": SCALING, "sliding_window": None}
    (directory / "config.json").write_text(json.dumps(config))
    header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({len(tokens)},), }}".ljust(117) + "\n"
    (directory / "tokens.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                                           + struct.pack(f"<{len(tokens)}i", *tokens))


def get_frequency(pair):
    frequency = THETA ** (-2 * pair / DIM)
    if is_qwen:
        return frequency
    factor = SCALING["factor"]
    if kind == "linear":
        return frequency / factor
    original = SCALING.get("original_max_position_embeddings", CONTEXT)
    if kind.startswith("yarn"):
        begin, end = (DIM * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(THETA))
                      for turns in (SCALING["beta_fast"], SCALING.get("beta_slow", 1.0)))
        if SCALING.get("truncate", True):
            begin, end = math.floor(begin), math.ceil(end)
        begin, end = max(begin, 0), min(end, DIM - 1)
        interpolated = min(max((pair - begin) / (end - begin), 0), 1)
        return frequency * (1 - interpolated + interpolated / factor)
    length = 2 * math.pi / frequency
    low, high = SCALING["low_freq_factor"], SCALING["high_freq_factor"]
    if length < original / high:
        return frequency
    if length > original / low:
        return frequency / factor
    smooth = (original / length - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency


def get_stretch():
    """What YaRN multiplies rotated queries and keys by."""
    if not kind.startswith("yarn"):
        return 1.0
    if "attention_factor" in SCALING:
        return SCALING["attention_factor"]
    over, under = SCALING.get("mscale", 1.0), SCALING.get("mscale_all_dim", 0.0)
    return (0.1 * over * math.log(SCALING["factor"]) + 1) / (0.1 * under * math.log(SCALING["factor"]) + 1)


def compute_loss(tensors, tokens, kv_heads, rounds):
    """The sum of -log p of all tokens but the first; K/V heads are means of neighbours. If `rounds`, what a projection
    reads is rounded to bf16, as are its weights where heads were merged."""

    def matrix(name):
        (_, width), elements = tensors[name]
        return [elements[i:i + width] for i in range(0, len(elements), width)]

    def round_all(elements):
        return [from_bf16(to_bf16(element)) for element in elements] if rounds else elements

    def multiply(rows, x):
        x = round_all(x)
        return [sum(w * e for w, e in zip(row, x)) for row in rows]

    def norm(x, scale):
        factor = 1 / math.sqrt(sum(e * e for e in x) / len(x) + EPSILON)
        return [e * factor * s for e, s in zip(x, tensors[scale][1])]

    def rotate(x, position):
        x = list(x)
        for pair in range(DIM // 2):
            angle = position * get_frequency(pair)
            a, b = get_stretch() * x[pair], get_stretch() * x[pair + DIM // 2]
            x[pair] = a * math.cos(angle) - b * math.sin(angle)
            x[pair + DIM // 2] = b * math.cos(angle) + a * math.sin(angle)
        return x

    def pool(rows):
        shared = KV_HEADS // kv_heads
        return [[sum(rows[(head * shared + k) * DIM + d][c] for k in range(shared)) / shared
                 for c in range(len(rows[0]))] for head in range(kv_heads) for d in range(DIM)]

    def pool_matrix(rows):
        return [round_all(row) for row in pool(rows)]

    states = [matrix("model.embed_tokens.weight")[token] for token in tokens]
    for i in range(LAYERS):
        prefix = f"model.layers.{i}."
        attention = prefix + "self_attn."
        inputs = [norm(x, prefix + "input_layernorm.weight") for x in states]
        heads = {}
        for name in "qkv":
            rows = matrix(f"{attention}{name}_proj.weight")
            bias = tensors.get(f"{attention}{name}_proj.bias", (None, [0.0] * len(rows)))[1]
            bias = [[b] for b in bias]
            if name != "q":
                rows, bias = pool_matrix(rows), pool(bias)
            outputs = [[y + b[0] for y, b in zip(multiply(rows, x), bias)] for x in inputs]
            heads[name] = [[y[h:h + DIM] for h in range(0, len(y), DIM)] for y in outputs]
            if name == "v":
                continue
            for position, token in enumerate(heads[name]):
                if is_qwen:
                    token[:] = [norm(head, f"{attention}{name}_norm.weight") for head in token]
                token[:] = [rotate(head, position) for head in token]
        for position in range(len(tokens)):
            joined = []
            for head in range(HEADS):
                shared = head * kv_heads // HEADS
                query = heads["q"][position][head]
                scores = [sum(a * b for a, b in zip(query, heads["k"][n][shared])) / math.sqrt(DIM)
                          for n in range(position + 1)]
                weights = [math.exp(score - max(scores)) for score in scores]
                joined += [sum(w * heads["v"][n][shared][d] for n, w in enumerate(weights)) / sum(weights)
                           for d in range(DIM)]
            output = multiply(matrix(attention + "o_proj.weight"), joined)
            states[position] = [a + b for a, b in zip(states[position], output)]
        for position, x in enumerate(states):
            inner = norm(x, prefix + "post_attention_layernorm.weight")
            gate, up = (multiply(matrix(f"{prefix}mlp.{name}_proj.weight"), inner) for name in ("gate", "up"))
            inner = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]
            output = multiply(matrix(prefix + "mlp.down_proj.weight"), inner)
            states[position] = [a + b for a, b in zip(x, output)]
    loss = 0.0
    head = matrix("lm_head.weight" if is_qwen else "model.embed_tokens.weight")
    for position in range(len(tokens) - 1):
        logits = multiply(head, norm(states[position], "model.norm.weight"))
        loss += math.log(sum(math.exp(logit) for logit in logits)) - logits[tokens[position + 1]]
    return loss


def check(tensors, tokens, report):
    assert (report["tokens"], report["context"]) == (TOKENS, CONTEXT), report
    assert [variant["kv_heads"] for variant in report["variants"]] == [4, 2, 1], report
    seen = set()
    total = sum(len(elements) for _, elements in tensors.values())
    for variant in report["variants"]:
        kv_heads = variant["kv_heads"]
        pieces = [tokens[:CONTEXT], tokens[CONTEXT:]]

        def compute_perplexity(rounds):
            loss = sum(compute_loss(tensors, piece, kv_heads, rounds) for piece in pieces)
            return math.exp(loss / (TOKENS - len(pieces)))

        wanted = compute_perplexity(rounds=dtype == "BF16")
        print(f"{kv_heads} K/V heads: {variant['perplexity']:.6f}, reference {wanted:.6f}")
        # Rounded numbers may go to the other side where single and double precision differ.
        assert abs(variant["perplexity"] / wanted - 1) < (1e-3 if dtype == "BF16" else 1e-4), (variant, wanted)
        if dtype == "BF16":
            exact = compute_perplexity(rounds=False)
            print(f"    without rounding what projections read: {exact:.6f}")
            assert abs(variant["perplexity"] / exact - 1) < 0.05, (variant, exact)
        dropped = LAYERS * 2 * (KV_HEADS - kv_heads) * DIM * (MODEL + is_qwen)
        assert variant["parameters"] == total - dropped, (variant, total - dropped)
        assert variant["kv_cache_bytes"] == 2 * LAYERS * kv_heads * CONTEXT * DIM * 4, variant
        assert variant["tokens_per_second"] > 0
        seen.add(round(wanted, 2))
    assert len(seen) == 3, "the variants differ"


if action == "write":
    write(*make_tensors())
else:
    check(*make_tensors(), json.load(open(sys.argv[5])))
