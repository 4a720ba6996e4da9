func.func @prefill(%q: tensor<1x2x2x?x64xbf16>, %k: tensor<1x2x?x64xbf16>, %v: tensor<1x2x?x64xbf16>)
    -> tensor<1x2x2x?x64xbf16> {
  %c3 = arith.constant 3 : index
  %m = tensor.dim %q, %c3 : tensor<1x2x2x?x64xbf16>
  %o = tensor.empty(%m) : tensor<1x2x2x?x64xbf16>
  %r = gqa.attention scale 1.250000e-01 causal align top_left
    query(%q[b, hkv, g, m, dqk] : tensor<1x2x2x?x64xbf16>)
    key(%k[b, hkv, n, dqk] : tensor<1x2x?x64xbf16>)
    value(%v[b, hkv, n, dv] : tensor<1x2x?x64xbf16>)
    outs(%o[b, hkv, g, m, dv] : tensor<1x2x2x?x64xbf16>)
  return %r : tensor<1x2x2x?x64xbf16>
}
