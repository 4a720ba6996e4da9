// Compiled attention reads the KV cache in place: a C program appends a sequence in chunks, attends after each, and
// compares with one full pass. On a contiguous layer K and V are strided tensors over the cache; on a paged layer each
// page gives a partial result, and gqa_merge merges them.

// REQUIRES: compiler
// RUN: gqa-compile %s -o %t.so
// RUN: %cc -std=c99 -Wall -Wextra -Wpedantic -Werror -O1 -I %source_root %S/Inputs/cache-in-place.c -o %t.program \
// RUN:   -L %binary_root/lib -lgqa -lm -Wl,-rpath,%binary_root/lib
// RUN: %t.program %t.so | FileCheck %s

// CHECK: contiguous: 40 tokens in 7 chunks agree with the full pass
// CHECK: contiguous: 7 of 7 chunks have the bits of dense tensors
// CHECK: paged: 40 tokens agree with the full pass

func.func @attention(%q: tensor<2x3x?x16xf32>, %k: tensor<2x?x16xf32>, %v: tensor<2x?x16xf32>)
    -> tensor<2x3x?x16xf32> {
  %c2 = arith.constant 2 : index
  %m = tensor.dim %q, %c2 : tensor<2x3x?x16xf32>
  %init = tensor.empty(%m) : tensor<2x3x?x16xf32>
  %o = gqa.attention scale 0.25 causal align bottom_right
    query(%q[hkv, g, m, dqk] : tensor<2x3x?x16xf32>)
    key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x?x16xf32>)
    outs(%init[hkv, g, m, dv] : tensor<2x3x?x16xf32>)
  return %o : tensor<2x3x?x16xf32>
}

// One query position over some keys, all of which it sees.
func.func @partial(%q: tensor<2x3x16xf32>, %k: tensor<2x?x16xf32>, %v: tensor<2x?x16xf32>)
    -> (tensor<2x3x16xf32>, tensor<2x3xf32>) {
  %init = tensor.empty() : tensor<2x3x16xf32>
  %init_lse = tensor.empty() : tensor<2x3xf32>
  %o, %lse = gqa.attention scale 0.25
    query(%q[hkv, g, dqk] : tensor<2x3x16xf32>)
    key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%v[hkv, n, dv] : tensor<2x?x16xf32>)
    outs(%init[hkv, g, dv] : tensor<2x3x16xf32>, %init_lse[hkv, g] : tensor<2x3xf32>)
  return %o, %lse : tensor<2x3x16xf32>, tensor<2x3xf32>
}
