// Row 0 of causal attention sees one key, which is known before the end of compilation. In a layout with dimensions of 1
// behind the keys, [n, d, 1, 1], a slice of one key keeps its shape: [1, d], not [d, 1].
//
// RUN: gqa-opt %s --lower-gqa=stop-after=decompose | FileCheck %s
// RUN: gqa-compile %s -o %t.so
// RUN: gqa-run %t.so --input 1x1x1x12x80xf16=1 --input 186x80x1x1xf16=1 --input 186x1x1x80xf16=3 \
// RUN:   --expect 1x1x12x1x80xf16=3

// CHECK: tensor.extract_slice {{.*}} [1, 80, 1, 1] {{.*}} to tensor<1x80x1x1xf16>
func.func @attention(%query: tensor<1x1x1x12x80xf16>, %key: tensor<186x80x1x1xf16>, %value: tensor<186x1x1x80xf16>)
    -> tensor<1x1x12x1x80xf16> {
  %init = tensor.empty() : tensor<1x1x12x1x80xf16>
  %o = gqa.attention scale 1.11803398e-01 causal align top_left
    query(%query[m, b, hkv, g, dqk] : tensor<1x1x1x12x80xf16>)
    key(%key[n, dqk, hkv, b] : tensor<186x80x1x1xf16>)
    value(%value[n, b, hkv, dv] : tensor<186x1x1x80xf16>)
    outs(%init[b, hkv, g, m, dv] : tensor<1x1x12x1x80xf16>)
  return %o : tensor<1x1x12x1x80xf16>
}
