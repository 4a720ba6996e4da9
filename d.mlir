func.func @attention(%q: tensor<1x8x4x96xf32>, %k: tensor<1x8x8192x96xf32>, %v: tensor<1x8x8192x96xf32>)
    -> tensor<1x8x4x96xf32> {
  %init = tensor.empty() : tensor<1x8x4x96xf32>
  %o = gqa.attention scale 0.088
    query(%q[b, hkv, g, dqk] : tensor<1x8x4x96xf32>)
    key(%k[b, hkv, n, dqk] : tensor<1x8x8192x96xf32>)
    value(%v[b, hkv, n, dv] : tensor<1x8x8192x96xf32>)
    outs(%init[b, hkv, g, dv] : tensor<1x8x4x96xf32>)
  return %o : tensor<1x8x4x96xf32>
}
