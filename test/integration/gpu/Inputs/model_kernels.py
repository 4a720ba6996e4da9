"""Writes functions with the heads of published models at every head dim that they have: prefill and decoding, masks,
softcap and windows, in bf16 and f16."""

HEAD_DIMS = {64: 64, 96: 96, 128: 128, 192: 128, 256: 256}  # of query and key: of value
KINDS = {
    # name: (query positions, clauses)
    "prefill": ("?", "causal align bottom_right"),
    "encode": ("?", ""),
    "window": ("?", "causal window(left 4096) align bottom_right softcap 50.0"),
    "short": ("4", "causal align bottom_right"),
    "decode": ("1", ""),
}


def write(name, dqk, dv, positions, clauses, element):
    query = f"tensor<?x8x4x{positions}x{dqk}x{element}>"
    key, value = f"tensor<?x8x?x{dqk}x{element}>", f"tensor<?x8x?x{dv}x{element}>"
    output, lengths = f"tensor<?x8x4x{positions}x{dv}x{element}>", "tensor<?xi32>"
    sizes = "%b, %m" if positions == "?" else "%b"
    print(
        f"""func.func @{name}(%q: {query}, %k: {key}, %v: {value}, %length: {lengths}) -> {output} {{
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %q, %c0 : {query}
  %m = tensor.dim %q, %c3 : {query}
  %empty = tensor.empty({sizes}) : {output}
  %o = gqa.attention scale 0.1 {clauses} query(%q[b, hkv, g, m, dqk] : {query}) key(%k[b, hkv, n, dqk] : {key})
      value(%v[b, hkv, n, dv] : {value}) kv_len(%length[b] : {lengths}) outs(%empty[b, hkv, g, m, dv] : {output})
  return %o : {output}
}}"""
    )


for dqk, dv in HEAD_DIMS.items():
    for kind, (positions, clauses) in KINDS.items():
        write(f"{kind}_{dqk}", dqk, dv, positions, clauses, "bf16")
    write(f"prefill_{dqk}_f16", dqk, dv, *KINDS["prefill"], "f16")
