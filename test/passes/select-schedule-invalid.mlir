// RUN: gqa-opt %s --gqa-select-schedule --split-input-file --verify-diagnostics

func.func @pairs(%q: tensor<128x64xbf16>, %k: tensor<?x64xbf16>) -> tensor<128x64xbf16> {
  // expected-error @below {{has a schedule with 'dot', but the target has no products of pairs of bf16}}
  %a = gqa.attention scale 0.25
    schedule(#gqa.schedule<lanes = row, g = 1, m = 64, rows = 64, n = 64, split = 0, dot = true>)
    query(%q[m, dqk] : tensor<128x64xbf16>) key(%k[n, dqk] : tensor<?x64xbf16>)
    value(%k[n, dv] : tensor<?x64xbf16>) outs(%q[m, dv] : tensor<128x64xbf16>)
  return %a : tensor<128x64xbf16>
}

// -----

func.func @shorts(%q: tensor<4x128xf16>, %k: tensor<?x128xi8>) -> tensor<4x128xf16> {
  // expected-error @below {{has a schedule with 'shorts', but the target has no products of 16-bit integers}}
  %a = gqa.attention scale 0.25
    schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = true, shorts = true>)
    query(%q[g, dqk] : tensor<4x128xf16>) key(%k[n, dqk] : tensor<?x128xi8>)
    value(%k[n, dv] : tensor<?x128xi8>) outs(%q[g, dv] : tensor<4x128xf16>)
  return %a : tensor<4x128xf16>
}
