// The attention of the examples: 4 query heads, 2 of which share a K/V head, any number of queries and keys. The queries
// are the last of the tokens and see those up to themselves.
func.func @attention(%q: tensor<2x2x?x64xf32>, %k: tensor<2x?x64xf32>, %v: tensor<2x?x64xf32>) -> tensor<2x2x?x64xf32> {
  %c2 = arith.constant 2 : index
  %m = tensor.dim %q, %c2 : tensor<2x2x?x64xf32>
  %init = tensor.empty(%m) : tensor<2x2x?x64xf32>
  %o = gqa.attention scale 0.125 causal align bottom_right
    query(%q[hkv, g, m, dqk] : tensor<2x2x?x64xf32>)
    key(%k[hkv, n, dqk] : tensor<2x?x64xf32>)
    value(%v[hkv, n, dv] : tensor<2x?x64xf32>)
    outs(%init[hkv, g, m, dv] : tensor<2x2x?x64xf32>)
  return %o : tensor<2x2x?x64xf32>
}
