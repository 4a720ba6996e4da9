// Two query heads to a key head, any batch and lengths, causal; with and without a mask, and with the lse.

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

// Keys are split between threads, which takes memory for partial results.
func.func @decode(%q: tensor<1x2x2x1x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>)
    -> tensor<1x2x2x1x8xf32> {
  %init = tensor.empty() : tensor<1x2x2x1x8xf32>
  %o = gqa.attention scale 0.35
    query(%q[b, hkv, g, m, dqk] : tensor<1x2x2x1x8xf32>)
    key(%k[b, hkv, n, dqk] : tensor<1x2x?x8xf32>)
    value(%v[b, hkv, n, dv] : tensor<1x2x?x8xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<1x2x2x1x8xf32>)
  return %o : tensor<1x2x2x1x8xf32>
}
