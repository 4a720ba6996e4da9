"""Writes functions with the heads of published models at every head dim that they have: prefill and decoding, masks,
softcap and windows, in bf16, f16 and f32; and on a KV cache of pages, in every type that it stores."""

HEAD_DIMS = {64: 64, 96: 96, 128: 128, 192: 128, 256: 256}  # of query and key: of value
KINDS = {
    # name: (query positions, clauses)
    "prefill": ("?", "causal align bottom_right"),
    "encode": ("?", ""),
    "window": ("?", "causal window(left 4096) align bottom_right softcap 50.0"),
    "short": ("4", "causal align bottom_right"),
    "decode": ("1", ""),
}


# Without lengths, as the benchmarks are: blocks of keys are larger.
WHOLE_KINDS = {
    "whole_causal": ("?", "causal align top_left"),
    "whole": ("?", ""),
    "whole_decode": ("1", ""),
}


def write(name, dqk, dv, positions, clauses, element, has_lengths=True):
    query = f"tensor<?x8x4x{positions}x{dqk}x{element}>"
    key, value = f"tensor<?x8x?x{dqk}x{element}>", f"tensor<?x8x?x{dv}x{element}>"
    output, lengths = f"tensor<?x8x4x{positions}x{dv}x{element}>", "tensor<?xi32>"
    sizes = "%b, %m" if positions == "?" else "%b"
    argument, kv_len = (f", %length: {lengths}", f"kv_len(%length[b] : {lengths})") if has_lengths else ("", "")
    print(
        f"""func.func @{name}(%q: {query}, %k: {key}, %v: {value}{argument}) -> {output} {{
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %q, %c0 : {query}
  %m = tensor.dim %q, %c3 : {query}
  %empty = tensor.empty({sizes}) : {output}
  %o = gqa.attention scale 0.1 {clauses} query(%q[b, hkv, g, m, dqk] : {query}) key(%k[b, hkv, n, dqk] : {key})
      value(%v[b, hkv, n, dv] : {value}) {kv_len} outs(%empty[b, hkv, g, m, dv] : {output})
  return %o : {output}
}}"""
    )


STORED = {"bf16": "bf16", "i8": "i8", "f8": "f8E4M3FN", "i4": "i8"}


def write_cached(name, dqk, dv, positions, clauses, stored):
    """Pages of 16 tokens, with a scale per token where elements are quantised."""
    query, output = f"tensor<?x8x4x{positions}x{dqk}xbf16>", f"tensor<?x8x4x{positions}x{dv}xbf16>"
    units, suffix = (2, "2") if stored == "i4" else (1, "")
    key = f"tensor<?x8x16x{dqk // units}x{STORED[stored]}>"
    value = f"tensor<?x8x16x{dv // units}x{STORED[stored]}>"
    scale, table, lengths = "tensor<?x8x16xf32>", "tensor<?x?xi32>", "tensor<?xi32>"
    arguments, scales = "", ""
    if stored != "bf16":
        arguments = f", %ks: {scale}, %vs: {scale}"
        scales = f"key_scale(%ks[page, hkv, slot] : {scale}) value_scale(%vs[page, hkv, slot] : {scale})"
    sizes = "%b, %m" if positions == "?" else "%b"
    print(
        f"""func.func @{name}(%q: {query}, %k: {key}, %v: {value}, %t: {table}, %length: {lengths}{arguments})
    -> {output} {{
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %q, %c0 : {query}
  %m = tensor.dim %q, %c3 : {query}
  %empty = tensor.empty({sizes}) : {output}
  %o = gqa.attention scale 0.1 {clauses} query(%q[b, hkv, g, m, dqk] : {query})
      key(%k[page, hkv, slot, dqk{suffix}] : {key}) value(%v[page, hkv, slot, dv{suffix}] : {value})
      kv_len(%length[b] : {lengths}) block_table(%t[b, block] : {table}) {scales}
      outs(%empty[b, hkv, g, m, dv] : {output})
  return %o : {output}
}}"""
    )


for dqk, dv in HEAD_DIMS.items():
    for kind, (positions, clauses) in KINDS.items():
        write(f"{kind}_{dqk}", dqk, dv, positions, clauses, "bf16")
    for kind, (positions, clauses) in WHOLE_KINDS.items():
        write(f"{kind}_{dqk}", dqk, dv, positions, clauses, "bf16", has_lengths=False)
    for kind in ("prefill", "decode"):
        write(f"{kind}_{dqk}_f16", dqk, dv, *KINDS[kind], "f16")
        write(f"{kind}_{dqk}_f32", dqk, dv, *KINDS[kind], "f32")
        for stored in STORED:
            write_cached(f"{kind}_{dqk}_pages_{stored}", dqk, dv, *KINDS[kind], stored)
    write_cached(f"short_{dqk}_pages_bf16", dqk, dv, *KINDS["short"], "bf16")
