// Small forms of what gqa-fuzz found. All values are 1, so all outputs are 1.
//
// RUN: gqa-compile %s -o %t.so
// RUN: gqa-run %t.so --function heads_behind_rows --input 5x4x1x8xf32=random --input 3x8xf32=1 --input 3x8xf32=1 \
// RUN: | FileCheck %s --check-prefix=ROWS
// ROWS: result 0: f32[5, 4, 1, 8] min 1 max 1
// RUN: gqa-run %t.so --function large_group --input 71x16xf32=random --input 3x16xf32=1 --input 3x16xf32=1 \
// RUN: | FileCheck %s --check-prefix=GROUP
// GROUP: result 0: f32[71, 16] min 1 max 1
// RUN: gqa-run %t.so --function odd_bf16 --input 7x7x57xbf16=random --input 15x57xbf16=random --input 15x57xbf16=1 \
// RUN: | FileCheck %s --check-prefix=ODD
// ODD: result 0: bf16[7, 7, 57] min 1 max 1

// A slice of one group and one head dropped the wrong unit dimension: only the first row was computed.
func.func @heads_behind_rows(%q: tensor<5x?x1x8xf32>, %k: tensor<?x8xf32>, %v: tensor<?x8xf32>)
    -> tensor<5x?x1x8xf32> {
  %c1 = arith.constant 1 : index
  %rows = tensor.dim %q, %c1 : tensor<5x?x1x8xf32>
  %init = tensor.empty(%rows) : tensor<5x?x1x8xf32>
  %o = gqa.attention scale 1.0
    query(%q[g, m, hkv, dqk] : tensor<5x?x1x8xf32>)
    key(%k[n, dqk] : tensor<?x8xf32>)
    value(%v[n, dv] : tensor<?x8xf32>)
    outs(%init[g, m, hkv, dv] : tensor<5x?x1x8xf32>)
  return %o : tensor<5x?x1x8xf32>
}

// More heads in a group than a tile has rows, and no positions.
func.func @large_group(%q: tensor<71x16xf32>, %k: tensor<?x16xf32>, %v: tensor<?x16xf32>) -> tensor<71x16xf32> {
  %init = tensor.empty() : tensor<71x16xf32>
  %o = gqa.attention scale 1.0
    query(%q[g, dqk] : tensor<71x16xf32>)
    key(%k[n, dqk] : tensor<?x16xf32>)
    value(%v[n, dv] : tensor<?x16xf32>)
    outs(%init[g, dv] : tensor<71x16xf32>)
  return %o : tensor<71x16xf32>
}

// LLVM has no code for copies and shuffles of some bf16 vectors of odd lengths.
func.func @odd_bf16(%q: tensor<7x7x57xbf16>, %k: tensor<15x57xbf16>, %v: tensor<15x57xbf16>) -> tensor<7x7x57xbf16> {
  %init = tensor.empty() : tensor<7x7x57xbf16>
  %o = gqa.attention scale 0.125
    query(%q[g, m, dqk] : tensor<7x7x57xbf16>)
    key(%k[n, dqk] : tensor<15x57xbf16>)
    value(%v[n, dv] : tensor<15x57xbf16>)
    outs(%init[m, g, dv] : tensor<7x7x57xbf16>)
  return %o : tensor<7x7x57xbf16>
}
