// RUN: gqa-opt %s --gqa-unfuse-attention --verify-diagnostics

func.func @pages(%q: tensor<2x16xf32>, %k: tensor<?x16x16xf32>, %t: tensor<?xi32>, %init: tensor<2x16xf32>)
    -> tensor<2x16xf32> {
  // expected-error @below {{reads a KV cache, which the unfused baseline does not}}
  %o = gqa.attention scale 0.25 query(%q[g, dqk] : tensor<2x16xf32>) key(%k[page, slot, dqk] : tensor<?x16x16xf32>)
    value(%k[page, slot, dv] : tensor<?x16x16xf32>) block_table(%t[block] : tensor<?xi32>)
    outs(%init[g, dv] : tensor<2x16xf32>)
  return %o : tensor<2x16xf32>
}
