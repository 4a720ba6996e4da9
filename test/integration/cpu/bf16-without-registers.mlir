// A CPU with vectors of 512 bits but no bf16 in registers: vectors of bf16 that live across blocks must not end in calls
// of a function that artifacts do not have.
//
// RUN: gqa-compile %s -o %t.so --target-cpu rocketlake
// RUN: not grep -q __truncsfbf2 %t.so
// RUN: gqa-compile %s -o %t.v3.so --target-cpu x86-64-v3
// RUN: not grep -q __truncsfbf2 %t.v3.so

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

// Copies between layouts move elements one by one, and many of them at once.
func.func @copies(%query: tensor<48x2x?x1x32xbf16>, %key: tensor<2x?x1x32xbf16>, %value: tensor<?x1x2x32xbf16>,
                  %kv_len: tensor<2xi64>) -> tensor<2x?x1x48x32xbf16> {
  %c2 = arith.constant 2 : index
  %rows = tensor.dim %query, %c2 : tensor<48x2x?x1x32xbf16>
  %init = tensor.empty(%rows) : tensor<2x?x1x48x32xbf16>
  %o = gqa.attention scale 1.76776692e-01
    query(%query[g, b, m, hkv, dqk] : tensor<48x2x?x1x32xbf16>)
    key(%key[b, n, hkv, dqk] : tensor<2x?x1x32xbf16>)
    value(%value[n, hkv, b, dv] : tensor<?x1x2x32xbf16>)
    kv_len(%kv_len[b] : tensor<2xi64>)
    outs(%init[b, m, hkv, g, dv] : tensor<2x?x1x48x32xbf16>)
  return %o : tensor<2x?x1x48x32xbf16>
}
