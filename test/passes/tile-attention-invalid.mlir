// RUN: gqa-opt %s --gqa-tile-attention --verify-diagnostics

// Tiles come from a schedule; without one there is nothing to obey.
func.func @no_schedule(%q: tensor<8x16xf32>, %k: tensor<13x16xf32>) -> tensor<8x16xf32> {
  // expected-error @below {{'gqa.attention' op has no schedule; run gqa-select-schedule first}}
  %o = gqa.attention scale 0.25
    query(%q[m, dqk] : tensor<8x16xf32>) key(%k[n, dqk] : tensor<13x16xf32>) value(%k[n, dv] : tensor<13x16xf32>)
    outs(%q[m, dv] : tensor<8x16xf32>)
  return %o : tensor<8x16xf32>
}
