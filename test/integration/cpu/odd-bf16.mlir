// Vectors of 17 bf16 elements become f32 without an instruction that LLVM 22 cannot take apart.
//
// RUN: gqa-compile %s -o %t.so
// RUN: gqa-run %t.so --input 8x3x2x1x17xbf16=1 --input 2x3x61x17xbf16=1 --input 3x61x2x17xbf16=3 --input 3x61xi8=1 \
// RUN:   --expect 8x3x2x1x17xbf16=3

func.func @attention(%query: tensor<8x3x?x?x17xbf16>, %key: tensor<?x3x61x17xbf16>, %value: tensor<3x61x?x17xbf16>,
                     %mask: tensor<3x61xi8>) -> tensor<8x3x?x?x17xbf16> {
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %batch = tensor.dim %query, %c2 : tensor<8x3x?x?x17xbf16>
  %rows = tensor.dim %query, %c3 : tensor<8x3x?x?x17xbf16>
  %init = tensor.empty(%batch, %rows) : tensor<8x3x?x?x17xbf16>
  %o = gqa.attention scale 2.42535636e-01
    query(%query[g, hkv, b, m, dqk] : tensor<8x3x?x?x17xbf16>)
    key(%key[b, hkv, n, dqk] : tensor<?x3x61x17xbf16>)
    value(%value[hkv, n, b, dv] : tensor<3x61x?x17xbf16>)
    mask(%mask[hkv, n] : tensor<3x61xi8>)
    outs(%init[g, hkv, b, m, dv] : tensor<8x3x?x?x17xbf16>)
  return %o : tensor<8x3x?x?x17xbf16>
}
