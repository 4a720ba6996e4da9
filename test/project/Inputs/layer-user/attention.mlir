// Attention of a layer with 2 query heads on 1 K/V head, head dim 4.
func.func @attention(%q: tensor<?x1x2x?x4xf32>, %k: tensor<?x1x?x4xf32>, %v: tensor<?x1x?x4xf32>)
    -> tensor<?x1x2x?x4xf32> {
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %b = tensor.dim %q, %c0 : tensor<?x1x2x?x4xf32>
  %m = tensor.dim %q, %c3 : tensor<?x1x2x?x4xf32>
  %init = tensor.empty(%b, %m) : tensor<?x1x2x?x4xf32>
  %o = gqa.attention scale 0.5 causal align bottom_right
    query(%q[b, hkv, g, m, dqk] : tensor<?x1x2x?x4xf32>)
    key(%k[b, hkv, n, dqk] : tensor<?x1x?x4xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x1x?x4xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<?x1x2x?x4xf32>)
  return %o : tensor<?x1x2x?x4xf32>
}
