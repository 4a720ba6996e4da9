// One function for any number of query positions: each number runs by another schedule (test/passes/specialize-rows.mlir),
// all give what unfused code gives, with positions from the end, from offsets, and without any.
//
// RUN: gqa-compile %s -o %t.so
// RUN: gqa-compile %s -o %t.unfused.so --unfused
// RUN: %python -c "import numpy, sys; p = sys.argv[1]; numpy.save(p + '.len.npy', numpy.array([700, 513], 'i4')); numpy.save(p + '.offset.npy', numpy.array([660, 3], 'i4'))" %t
// RUN: gqa-run %t.unfused.so --function plain --input 2x2x3x0x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --output @%t.npy
// RUN: gqa-run %t.so --function plain --input 2x2x3x0x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function plain --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --output @%t.npy
// RUN: gqa-run %t.so --function plain --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function plain --input 2x2x3x2x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --output @%t.npy
// RUN: gqa-run %t.so --function plain --input 2x2x3x2x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function plain --input 2x2x3x4x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --output @%t.npy
// RUN: gqa-run %t.so --function plain --input 2x2x3x4x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function plain --input 2x2x3x5x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --output @%t.npy
// RUN: gqa-run %t.so --function plain --input 2x2x3x5x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function plain --input 2x2x3x33x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --output @%t.npy
// RUN: gqa-run %t.so --function plain --input 2x2x3x33x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function from_end --input 2x2x3x0x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x0x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function from_end --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function from_end --input 2x2x3x2x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x2x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function from_end --input 2x2x3x4x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x4x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function from_end --input 2x2x3x5x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x5x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function from_end --input 2x2x3x33x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x33x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function window --input 2x2x3x0x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --output @%t.npy
// RUN: gqa-run %t.so --function window --input 2x2x3x0x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function window --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --output @%t.npy
// RUN: gqa-run %t.so --function window --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function window --input 2x2x3x2x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --output @%t.npy
// RUN: gqa-run %t.so --function window --input 2x2x3x2x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function window --input 2x2x3x4x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --output @%t.npy
// RUN: gqa-run %t.so --function window --input 2x2x3x4x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function window --input 2x2x3x5x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --output @%t.npy
// RUN: gqa-run %t.so --function window --input 2x2x3x5x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// RUN: gqa-run %t.unfused.so --function window --input 2x2x3x33x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --output @%t.npy
// RUN: gqa-run %t.so --function window --input 2x2x3x33x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --input @%t.offset.npy --expect @%t.npy --atol 1e-5 | FileCheck %s --check-prefix=EQUAL
// EQUAL: equals @{{.*}}.npy: greatest error
//
// One position gives the bits that code for one position gives.
// RUN: gqa-run %t.so --function one --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --output @%t.npy
// RUN: gqa-run %t.so --function from_end --input 2x2x3x1x16xf32=random --input 2x2x700x16xf32=random --input 2x2x700x16xf32=random --input @%t.len.npy --expect @%t.npy --atol 0 --rtol 0

func.func @plain(%q: tensor<?x2x3x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>) -> tensor<?x2x3x?x16xf32> {
  %c0 = arith.constant 0 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x3x?x16xf32>
  %c3 = arith.constant 3 : index
  %m = tensor.dim %q, %c3 : tensor<?x2x3x?x16xf32>
  %init = tensor.empty(%b, %m) : tensor<?x2x3x?x16xf32>
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, g, m, dqk] : tensor<?x2x3x?x16xf32>) key(%k[b, hkv, n, dqk] : tensor<?x2x?x16xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x2x?x16xf32>)
    outs(%init[b, hkv, g, m, dv] : tensor<?x2x3x?x16xf32>)
  return %o : tensor<?x2x3x?x16xf32>
}

func.func @from_end(%q: tensor<?x2x3x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %len: tensor<?xi32>) -> tensor<?x2x3x?x16xf32> {
  %c0 = arith.constant 0 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x3x?x16xf32>
  %c3 = arith.constant 3 : index
  %m = tensor.dim %q, %c3 : tensor<?x2x3x?x16xf32>
  %init = tensor.empty(%b, %m) : tensor<?x2x3x?x16xf32>
  %o = gqa.attention scale 0.25 causal align bottom_right
    query(%q[b, hkv, g, m, dqk] : tensor<?x2x3x?x16xf32>) key(%k[b, hkv, n, dqk] : tensor<?x2x?x16xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x2x?x16xf32>) kv_len(%len[b] : tensor<?xi32>)
    outs(%init[b, hkv, g, m, dv] : tensor<?x2x3x?x16xf32>)
  return %o : tensor<?x2x3x?x16xf32>
}

func.func @window(%q: tensor<?x2x3x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %len: tensor<?xi32>, %offset: tensor<?xi32>) -> tensor<?x2x3x?x16xf32> {
  %c0 = arith.constant 0 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x3x?x16xf32>
  %c3 = arith.constant 3 : index
  %m = tensor.dim %q, %c3 : tensor<?x2x3x?x16xf32>
  %init = tensor.empty(%b, %m) : tensor<?x2x3x?x16xf32>
  %o = gqa.attention scale 0.25 causal window(left 100)
    query(%q[b, hkv, g, m, dqk] : tensor<?x2x3x?x16xf32>) key(%k[b, hkv, n, dqk] : tensor<?x2x?x16xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x2x?x16xf32>) kv_len(%len[b] : tensor<?xi32>) offset(%offset[b] : tensor<?xi32>)
    outs(%init[b, hkv, g, m, dv] : tensor<?x2x3x?x16xf32>)
  return %o : tensor<?x2x3x?x16xf32>
}

func.func @one(%q: tensor<?x2x3x1x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %len: tensor<?xi32>) -> tensor<?x2x3x1x16xf32> {
  %c0 = arith.constant 0 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x3x1x16xf32>
  %init = tensor.empty(%b) : tensor<?x2x3x1x16xf32>
  %o = gqa.attention scale 0.25 causal align bottom_right
    query(%q[b, hkv, g, m, dqk] : tensor<?x2x3x1x16xf32>) key(%k[b, hkv, n, dqk] : tensor<?x2x?x16xf32>)
    value(%v[b, hkv, n, dv] : tensor<?x2x?x16xf32>) kv_len(%len[b] : tensor<?xi32>)
    outs(%init[b, hkv, g, m, dv] : tensor<?x2x3x1x16xf32>)
  return %o : tensor<?x2x3x1x16xf32>
}
