// Grouped-query attention with dynamic lengths: 6 query heads on 2 K/V heads.
func.func @attention(%q: tensor<1x2x3x?x16xf32>, %k: tensor<1x2x?x16xf32>, %v: tensor<1x2x?x8xf32>)
    -> tensor<1x2x3x?x8xf32> {
  %c3 = arith.constant 3 : index
  %m = tensor.dim %q, %c3 : tensor<1x2x3x?x16xf32>
  %init = tensor.empty(%m) : tensor<1x2x3x?x8xf32>
  %o = gqa.attention scale 0.25 causal align bottom_right
    query(%q[b, hkv, g, m, dqk] : tensor<1x2x3x?x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<1x2x?x16xf32>)
    value(%v[b, hkv, n, dv] : tensor<1x2x?x8xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<1x2x3x?x8xf32>)
  return %o : tensor<1x2x3x?x8xf32>
}
