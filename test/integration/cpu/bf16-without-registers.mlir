// A CPU with vectors of 512 bits but no bf16 in registers: vectors of bf16 that live across blocks must not end in calls
// of a function that artifacts do not have.
//
// RUN: gqa-compile %s -o %t.so --target-cpu rocketlake
// RUN: not grep -q __truncsfbf2 %t.so

func.func @attention(%q: tensor<1x8x4x?x128xbf16>, %k: tensor<1x8x?x128xbf16>, %v: tensor<1x8x?x128xbf16>)
    -> tensor<1x8x4x?x128xbf16> {
  %c3 = arith.constant 3 : index
  %rows = tensor.dim %q, %c3 : tensor<1x8x4x?x128xbf16>
  %init = tensor.empty(%rows) : tensor<1x8x4x?x128xbf16>
  %o = gqa.attention scale 0.0883883461 causal align top_left
    query(%q[b, hkv, g, m, dqk] : tensor<1x8x4x?x128xbf16>)
    key(%k[b, hkv, n, dqk] : tensor<1x8x?x128xbf16>)
    value(%v[b, hkv, n, dv] : tensor<1x8x?x128xbf16>)
    outs(%init[b, hkv, g, m, dv] : tensor<1x8x4x?x128xbf16>)
  return %o : tensor<1x8x4x?x128xbf16>
}
