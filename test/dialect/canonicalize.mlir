// RUN: gqa-opt %s --canonicalize --split-input-file | FileCheck %s

// A mask that hides nothing, as a constant or a fill; i8 counts any nonzero as true.
// CHECK-LABEL: func @all_true_mask
func.func @all_true_mask(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %init: tensor<4x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  // CHECK-NOT: mask(
  %constant = arith.constant dense<true> : tensor<4x9xi1>
  %two = arith.constant 2 : i8
  %empty = tensor.empty() : tensor<9xi8>
  %fill = linalg.fill ins(%two : i8) outs(%empty : tensor<9xi8>) -> tensor<9xi8>
  %a = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) mask(%constant[m, n] : tensor<4x9xi1>) outs(%init[m, dv] : tensor<4x8xf32>)
  %b = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) mask(%fill[n] : tensor<9xi8>) outs(%init[m, dv] : tensor<4x8xf32>)
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// One false element, or all of them, or who knows.
// CHECK-LABEL: func @other_masks
// CHECK-COUNT-3: mask(
func.func @other_masks(%q: tensor<2x8xf32>, %k: tensor<2x8xf32>, %v: tensor<2x8xf32>, %any: tensor<2xi1>,
                       %init: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>) {
  %one = arith.constant dense<[true, false]> : tensor<2xi1>
  %none = arith.constant dense<false> : tensor<2xi1>
  %a = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<2x8xf32>) key(%k[n, dqk] : tensor<2x8xf32>)
    value(%v[n, dv] : tensor<2x8xf32>) mask(%one[n] : tensor<2xi1>) outs(%init[m, dv] : tensor<2x8xf32>)
  %b = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<2x8xf32>) key(%k[n, dqk] : tensor<2x8xf32>)
    value(%v[n, dv] : tensor<2x8xf32>) mask(%none[n] : tensor<2xi1>) outs(%init[m, dv] : tensor<2x8xf32>)
  %c = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<2x8xf32>) key(%k[n, dqk] : tensor<2x8xf32>)
    value(%v[n, dv] : tensor<2x8xf32>) mask(%any[n] : tensor<2xi1>) outs(%init[m, dv] : tensor<2x8xf32>)
  return %a, %b, %c : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

// CHECK-LABEL: func @zero_bias
func.func @zero_bias(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %init: tensor<4x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %zero = arith.constant dense<-0.0> : tensor<9xf16>
  %one = arith.constant dense<1.0> : tensor<9xf16>
  // CHECK: gqa.attention
  // CHECK-NOT: bias(
  // CHECK: gqa.attention
  // CHECK: bias(
  %a = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) bias(%zero[n] : tensor<9xf16>) outs(%init[m, dv] : tensor<4x8xf32>)
  %b = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) bias(%one[n] : tensor<9xf16>) outs(%init[m, dv] : tensor<4x8xf32>)
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// A sink of -inf weighs nothing; +inf would weigh everything.
// CHECK-LABEL: func @sink
func.func @sink(%q: tensor<2x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %init: tensor<2x8xf32>)
    -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %none = arith.constant dense<0xFF800000> : tensor<2xf32>
  %all = arith.constant dense<0x7F800000> : tensor<2xf32>
  // CHECK: gqa.attention
  // CHECK-NOT: sink(
  // CHECK: gqa.attention
  // CHECK: sink(
  %a = gqa.attention scale 1.0 query(%q[g, dqk] : tensor<2x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) sink(%none[g] : tensor<2xf32>) outs(%init[g, dv] : tensor<2x8xf32>)
  %b = gqa.attention scale 1.0 query(%q[g, dqk] : tensor<2x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) sink(%all[g] : tensor<2xf32>) outs(%init[g, dv] : tensor<2x8xf32>)
  return %a, %b : tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

// Lengths that take in all keys, and such as may not: one less, one of two less, an unknown number of keys.
// CHECK-LABEL: func @lengths
func.func @lengths(%q: tensor<2x8xf32>, %k: tensor<2x9x8xf32>, %kd: tensor<2x?x8xf32>, %init: tensor<2x8xf32>)
    -> (tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>) {
  %nine = arith.constant dense<9> : tensor<2xi32>
  %eight = arith.constant dense<8> : tensor<2xi32>
  %mixed = arith.constant dense<[9, 8]> : tensor<2xi32>
  // CHECK: gqa.attention
  // CHECK-NOT: kv_len(
  // CHECK: gqa.attention
  // CHECK: kv_len(
  // CHECK: gqa.attention
  // CHECK: kv_len(
  // CHECK: gqa.attention
  // CHECK: kv_len(
  %a = gqa.attention scale 1.0 query(%q[b, dqk] : tensor<2x8xf32>) key(%k[b, n, dqk] : tensor<2x9x8xf32>)
    value(%k[b, n, dv] : tensor<2x9x8xf32>) kv_len(%nine[b] : tensor<2xi32>) outs(%init[b, dv] : tensor<2x8xf32>)
  %b = gqa.attention scale 1.0 query(%q[b, dqk] : tensor<2x8xf32>) key(%k[b, n, dqk] : tensor<2x9x8xf32>)
    value(%k[b, n, dv] : tensor<2x9x8xf32>) kv_len(%eight[b] : tensor<2xi32>) outs(%init[b, dv] : tensor<2x8xf32>)
  %c = gqa.attention scale 1.0 query(%q[b, dqk] : tensor<2x8xf32>) key(%k[b, n, dqk] : tensor<2x9x8xf32>)
    value(%k[b, n, dv] : tensor<2x9x8xf32>) kv_len(%mixed[b] : tensor<2xi32>) outs(%init[b, dv] : tensor<2x8xf32>)
  %d = gqa.attention scale 1.0 query(%q[b, dqk] : tensor<2x8xf32>) key(%kd[b, n, dqk] : tensor<2x?x8xf32>)
    value(%kd[b, n, dv] : tensor<2x?x8xf32>) kv_len(%nine[b] : tensor<2xi32>) outs(%init[b, dv] : tensor<2x8xf32>)
  return %a, %b, %c, %d : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

// Rows that start at key 0: an offset of 0, as many rows as keys. Not with lengths, nor with another offset.
// CHECK-LABEL: func @top_left
func.func @top_left(%q: tensor<4x8xf32>, %k: tensor<4x8xf32>, %len: tensor<i32>, %init: tensor<4x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %zero = arith.constant dense<0> : tensor<i64>
  %one = arith.constant dense<1> : tensor<i64>
  // CHECK: gqa.attention {{.*}} causal align top_left
  // CHECK-NOT: offset(
  // CHECK: gqa.attention {{.*}} causal align top_left
  // CHECK: gqa.attention {{.*}} causal align bottom_right
  // CHECK: gqa.attention {{.*}} causal{{$}}
  // CHECK: offset(
  %a = gqa.attention scale 1.0 causal query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<4x8xf32>)
    value(%k[n, dv] : tensor<4x8xf32>) offset(%zero[] : tensor<i64>) outs(%init[m, dv] : tensor<4x8xf32>)
  %b = gqa.attention scale 1.0 causal align bottom_right query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<4x8xf32>) value(%k[n, dv] : tensor<4x8xf32>) outs(%init[m, dv] : tensor<4x8xf32>)
  %c = gqa.attention scale 1.0 causal align bottom_right query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<4x8xf32>) value(%k[n, dv] : tensor<4x8xf32>) kv_len(%len[] : tensor<i32>)
    outs(%init[m, dv] : tensor<4x8xf32>)
  %d = gqa.attention scale 1.0 causal query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<4x8xf32>)
    value(%k[n, dv] : tensor<4x8xf32>) offset(%one[] : tensor<i64>) outs(%init[m, dv] : tensor<4x8xf32>)
  return %a, %b, %c, %d : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// top_left: row 3 of 4 reaches key 0 by 3 to the left, row 0 reaches key 8 of 9 by 8 to the right.
// CHECK-LABEL: func @window_top_left
func.func @window_top_left(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %init: tensor<4x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  // CHECK: gqa.attention scale 1.000000e+00{{$}}
  // CHECK: gqa.attention scale 1.000000e+00 window(left 2 right 7) align top_left
  %a = gqa.attention scale 1.0 window(left 3 right 8) align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>) outs(%init[m, dv] : tensor<4x8xf32>)
  %b = gqa.attention scale 1.0 window(left 2 right 7) align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>) outs(%init[m, dv] : tensor<4x8xf32>)
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// bottom_right: the last row stands at key 8 at most, and row 0 of 4 three before the last key, whatever kv_len is.
// CHECK-LABEL: func @window_bottom_right
func.func @window_bottom_right(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %len: tensor<i32>, %init: tensor<4x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  // CHECK: gqa.attention scale 1.000000e+00{{$}}
  // CHECK: kv_len(
  // CHECK: gqa.attention scale 1.000000e+00 window(left 7 right 2) align bottom_right
  %a = gqa.attention scale 1.0 window(left 8 right 3) align bottom_right query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>) kv_len(%len[] : tensor<i32>)
    outs(%init[m, dv] : tensor<4x8xf32>)
  %b = gqa.attention scale 1.0 window(left 7 right 2) align bottom_right query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>) kv_len(%len[] : tensor<i32>)
    outs(%init[m, dv] : tensor<4x8xf32>)
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// A row at the last key sees them all, so decoding needs no causal mask; a window to the left stays. Two rows, or a row
// whose place is an offset, need one. A right extent beside causal never counts.
// CHECK-LABEL: func @causal
func.func @causal(%q: tensor<8xf32>, %q2: tensor<2x8xf32>, %k: tensor<?x8xf32>, %off: tensor<i32>, %init: tensor<8xf32>,
                  %init2: tensor<2x8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<2x8xf32>, tensor<8xf32>) {
  // CHECK: gqa.attention scale 1.000000e+00{{$}}
  // CHECK: gqa.attention scale 1.000000e+00 window(left 4) align bottom_right
  // CHECK: gqa.attention scale 1.000000e+00 causal align bottom_right
  // CHECK: gqa.attention scale 1.000000e+00 causal{{$}}
  %a = gqa.attention scale 1.0 causal align bottom_right query(%q[dqk] : tensor<8xf32>)
    key(%k[n, dqk] : tensor<?x8xf32>) value(%k[n, dv] : tensor<?x8xf32>) outs(%init[dv] : tensor<8xf32>)
  %b = gqa.attention scale 1.0 causal window(left 4 right 3) align bottom_right query(%q[dqk] : tensor<8xf32>)
    key(%k[n, dqk] : tensor<?x8xf32>) value(%k[n, dv] : tensor<?x8xf32>) outs(%init[dv] : tensor<8xf32>)
  %c = gqa.attention scale 1.0 causal window(right 7) align bottom_right query(%q2[m, dqk] : tensor<2x8xf32>)
    key(%k[n, dqk] : tensor<?x8xf32>) value(%k[n, dv] : tensor<?x8xf32>) outs(%init2[m, dv] : tensor<2x8xf32>)
  %d = gqa.attention scale 1.0 causal window(right 7) query(%q[dqk] : tensor<8xf32>)
    key(%k[n, dqk] : tensor<?x8xf32>) value(%k[n, dv] : tensor<?x8xf32>) offset(%off[] : tensor<i32>)
    outs(%init[dv] : tensor<8xf32>)
  return %a, %b, %c, %d : tensor<8xf32>, tensor<8xf32>, tensor<2x8xf32>, tensor<8xf32>
}

// -----

// Bounds by position stay where extents are dynamic.
// CHECK-LABEL: func @dynamic
func.func @dynamic(%q: tensor<?x8xf32>, %k: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK: gqa.attention scale 1.000000e+00 causal window(left 1000000) align bottom_right
  %a = gqa.attention scale 1.0 causal window(left 1000000) align bottom_right query(%q[m, dqk] : tensor<?x8xf32>)
    key(%k[n, dqk] : tensor<?x8xf32>) value(%k[n, dv] : tensor<?x8xf32>) outs(%init[m, dv] : tensor<?x8xf32>)
  return %a : tensor<?x8xf32>
}

// -----

// An lse that nobody uses is not computed; attributes and other operands stay.
// CHECK-LABEL: func @unused_lse
func.func @unused_lse(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %init: tensor<4x8xf32>, %linit: tensor<4xf32>,
                      %sink: tensor<f32>) -> (tensor<4x8xf32>, tensor<4xf32>) {
  // CHECK: %[[O:.*]] = gqa.attention scale 1.000000e+00 softcap 3.000000e+01 causal align top_left
  // CHECK-NEXT: query
  // CHECK-NEXT: key
  // CHECK-NEXT: value
  // CHECK-NEXT: sink
  // CHECK-NEXT: outs(%{{.*}}[m, dv] : tensor<4x8xf32>) {note}
  %a, %unused = gqa.attention scale 1.0 softcap 30.0 causal align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>) sink(%sink[] : tensor<f32>)
    outs(%init[m, dv] : tensor<4x8xf32>, %linit[m] : tensor<4xf32>) {note}
  // CHECK: %[[L:.*]]:2 = gqa.attention
  %b, %lse = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>)
    outs(%init[m, dv] : tensor<4x8xf32>, %linit[m] : tensor<4xf32>)
  // CHECK: return %[[O]], %[[L]]#1
  return %a, %lse : tensor<4x8xf32>, tensor<4xf32>
}

// -----

// Casts to less static types go away, those of a destination with a cast of the result.
// CHECK-LABEL: func @casts
// CHECK-SAME: %[[Q:.*]]: tensor<4x8xf32>, %[[K:.*]]: tensor<9x8xf32>, %[[INIT:.*]]: tensor<4x8xf32>
func.func @casts(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %init: tensor<4x8xf32>) -> tensor<?x8xf32> {
  %qd = tensor.cast %q : tensor<4x8xf32> to tensor<?x8xf32>
  %kd = tensor.cast %k : tensor<9x8xf32> to tensor<?x8xf32>
  %initd = tensor.cast %init : tensor<4x8xf32> to tensor<?x8xf32>
  // CHECK: %[[O:.*]] = gqa.attention
  // CHECK-NEXT: query(%[[Q]][m, dqk] : tensor<4x8xf32>)
  // CHECK-NEXT: key(%[[K]][n, dqk] : tensor<9x8xf32>)
  // CHECK-NEXT: value(%[[K]][n, dv] : tensor<9x8xf32>)
  // CHECK-NEXT: outs(%[[INIT]][m, dv] : tensor<4x8xf32>)
  // CHECK: tensor.cast %[[O]] : tensor<4x8xf32> to tensor<?x8xf32>
  %o = gqa.attention scale 1.0 query(%qd[m, dqk] : tensor<?x8xf32>) key(%kd[n, dqk] : tensor<?x8xf32>)
    value(%kd[n, dv] : tensor<?x8xf32>) outs(%initd[m, dv] : tensor<?x8xf32>)
  return %o : tensor<?x8xf32>
}

// -----

// A cast to a more static type says something and stays.
// CHECK-LABEL: func @casts_to_static
func.func @casts_to_static(%q: tensor<4x?xf32>, %k: tensor<9x8xf32>, %init: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK: %[[Q:.*]] = tensor.cast %{{.*}} : tensor<4x?xf32> to tensor<4x8xf32>
  // CHECK: query(%[[Q]][m, dqk]
  %qs = tensor.cast %q : tensor<4x?xf32> to tensor<4x8xf32>
  %o = gqa.attention scale 1.0 query(%qs[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%k[n, dv] : tensor<9x8xf32>) outs(%init[m, dv] : tensor<4x8xf32>)
  return %o : tensor<4x8xf32>
}
