// What the Python package and the examples call: two query heads to a key head, any batch and lengths, causal.

func.func @attention(%q: tensor<?x2x2x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>)
    -> tensor<?x2x2x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x2x?x8xf32>
  %m = tensor.dim %q, %c3 : tensor<?x2x2x?x8xf32>
  %init = tensor.empty(%b, %m) : tensor<?x2x2x?x8xf32>
  %o = gqa.attention scale 0.35 causal align bottom_right
    query(%q[b, hkv, g, m, dqk] : tensor<?x2x2x?x8xf32>)
    key(%k[b, hkv, n, dqk] : tensor<?x2x?x8xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x2x?x8xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<?x2x2x?x8xf32>)
  return %o : tensor<?x2x2x?x8xf32>
}

// One query against one page; lse for merging.
func.func @partial(%q: tensor<2x2x8xf32>, %k: tensor<2x?x8xf32>, %v: tensor<2x?x8xf32>)
    -> (tensor<2x2x8xf32>, tensor<2x2xf32>) {
  %o_init = tensor.empty() : tensor<2x2x8xf32>
  %lse_init = tensor.empty() : tensor<2x2xf32>
  %o, %lse = gqa.attention scale 0.35
    query(%q[hkv, g, dqk] : tensor<2x2x8xf32>)
    key(%k[hkv, n, dqk] : tensor<2x?x8xf32>)
    value(%v[hkv, n, dv] : tensor<2x?x8xf32>)
    outs(%o_init[hkv, g, dv] : tensor<2x2x8xf32>, %lse_init[hkv, g] : tensor<2x2xf32>)
  return %o, %lse : tensor<2x2x8xf32>, tensor<2x2xf32>
}

func.func @half(%q: tensor<2x4x8xbf16>, %k: tensor<?x8xbf16>, %v: tensor<?x8xbf16>) -> tensor<2x4x8xbf16> {
  %init = tensor.empty() : tensor<2x4x8xbf16>
  %o = gqa.attention scale 0.35
    query(%q[g, m, dqk] : tensor<2x4x8xbf16>) key(%k[n, dqk] : tensor<?x8xbf16>)
    value(%v[n, dv] : tensor<?x8xbf16>) outs(%init[g, m, dv] : tensor<2x4x8xbf16>)
  return %o : tensor<2x4x8xbf16>
}
