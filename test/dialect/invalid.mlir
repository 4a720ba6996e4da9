// RUN: gqa-opt %s -split-input-file -verify-diagnostics

// One function per way to break a constraint of dialect/GQAOps.td; the constraint's number stands above it.

// C1: a dimension may be listed once.
func.func @c1_listed_twice(%q: tensor<8x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<8x8xf32>) {
  // expected-error @below {{map of 'query' must be a projected permutation of the 12 dimensions, got affine_map<(d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11) -> (d5, d5)> (C1)}}
  %r = gqa.attention scale 1.0 query(%q[dqk, dqk] : tensor<8x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<8x8xf32>)
  return
}

// -----

// C1: as many dimensions as the tensor's rank.
func.func @c1_rank(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'query' lists 3 dimensions [b, m, dqk] but has rank 2 (C1)}}
  %r = gqa.attention scale 1.0 query(%q[b, m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C1: rank 0.
func.func @c1_rank_zero(%q: tensor<f32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'query' lists 2 dimensions [m, dqk] but has rank 0 (C1)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<f32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C1: constant results.
#m_0 = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, 0)>
#m_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dqk)>
#n_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dqk)>
#n_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dv)>
func.func @c1_zero_result(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{map of 'output' must be a projected permutation of the 12 dimensions}}
  %r = "gqa.attention"(%q, %k, %v, %o) <{indexing_maps = [#m_dqk, #n_dqk, #n_dv, #m_0], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// C1: all dimensions.
#few = affine_map<(m, n, dqk) -> (m, dqk)>
func.func @c1_few_dimensions(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{map of 'query' must be a projected permutation of the 12 dimensions}}
  %r = "gqa.attention"(%q, %k, %v, %o) <{indexing_maps = [#few, #few, #few, #few], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// C1: no symbols.
#symbol = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2)[s] -> (m, s)>
func.func @c1_symbol(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{map of 'query' must be a projected permutation of the 12 dimensions}}
  %r = "gqa.attention"(%q, %k, %v, %o) <{indexing_maps = [#symbol, #symbol, #symbol, #symbol], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// C1: one map per tensor.
func.func @c1_no_maps(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{has 4 tensor operands but 0 indexing maps (C1)}}
  %r = "gqa.attention"(%q, %k, %v, %o) <{indexing_maps = [], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// C1 of online_attention.
func.func @c1_online(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                     %x: tensor<4xf32>) {
  // expected-error @below {{'max' lists 2 dimensions [m, g] but has rank 1 (C1)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m, g] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C2: dimensions that an operand must have.
func.func @c2_required(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'key' must list dimension n, got [hkv, dqk] (C2)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[hkv, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C2: dimensions that an operand may not have.
func.func @c2_allowed(%q: tensor<4x8xf32>, %k: tensor<4x9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'key' may not list dimension m, got [m, n, dqk] (C2)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[m, n, dqk] : tensor<4x9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C2: a length per head is not supported.
func.func @c2_kv_len(%q: tensor<3x8xf32>, %k: tensor<3x9x8xf32>, %v: tensor<3x9x8xf32>, %len: tensor<3xi32>,
                     %o: tensor<3x8xf32>) {
  // expected-error @below {{'kv_len' may not list dimension hkv, got [hkv] (C2)}}
  %r = gqa.attention scale 1.0 query(%q[hkv, dqk] : tensor<3x8xf32>) key(%k[hkv, n, dqk] : tensor<3x9x8xf32>)
    value(%v[hkv, n, dv] : tensor<3x9x8xf32>) kv_len(%len[hkv] : tensor<3xi32>) outs(%o[hkv, dv] : tensor<3x8xf32>)
  return
}

// -----

// C2: outputs have the rows of the query; lse, too.
func.func @c2_output_rows(%q: tensor<2x4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<2x4x8xf32>,
                          %l: tensor<4xf32>) {
  // expected-error @below {{'lse' must list the dimensions b, hkv, g, m that 'query' lists, [g, m, dqk], got [m] (C2)}}
  %r:2 = gqa.attention scale 1.0 query(%q[g, m, dqk] : tensor<2x4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[g, m, dv] : tensor<2x4x8xf32>, %l[m] : tensor<4xf32>)
  return
}

// -----

// C2: no operand has more batch entries, heads or rows than the query.
func.func @c2_batch_of_key_alone(%q: tensor<4x8xf32>, %k: tensor<2x9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'key' lists dimension b, which 'query' does not, got [b, n, dqk] and [m, dqk] (C2)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[b, n, dqk] : tensor<2x9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C2: key and value are shared by the group, or neither is.
func.func @c2_group(%q: tensor<2x8xf32>, %k: tensor<2x9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'key' [g, n, dqk] and 'value' [n, dv] must both list g or neither (C2)}}
  %r = gqa.attention scale 1.0 query(%q[g, dqk] : tensor<2x8xf32>) key(%k[g, n, dqk] : tensor<2x9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[g, dv] : tensor<2x8xf32>)
  return
}

// -----

// C2: the form in quotes can leave out an operand that the clauses cannot.
func.func @c2_no_key(%q: tensor<4x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{must have one 'key', got 0 (C2)}}
  %r = "gqa.attention"(%q, %q, %q, %o) <{indexing_maps = [], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// C2 of online_attention: acc needs dv.
func.func @c2_online(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                     %x: tensor<4xf32>) {
  // expected-error @below {{'acc' must list dimension dv, got [m, g] (C2)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[m, g] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C2 of online_attention: the state has the rows of the query.
func.func @c2_online_rows(%q: tensor<2x4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<2x4x8xf32>,
                          %x: tensor<4xf32>) {
  %y = tensor.empty() : tensor<2x4xf32>
  // expected-error @below {{'sum' must list the dimensions b, hkv, g, m that 'query' lists, [g, m, dqk], got [m] (C2)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[g, m, dqk] : tensor<2x4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[g, m, dv] : tensor<2x4x8xf32>, %y[g, m] : tensor<2x4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C2 of online_attention: the form in quotes without a query.
func.func @c2_online_no_query(%q: tensor<4x8xf32>) {
  // expected-error @below {{must have one 'query', got 0 (C2)}}
  "gqa.online_attention"(%q, %q, %q) <{indexing_maps = [], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0>}>
    : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) -> ()
  return
}

// -----

// C3: element types.
func.func @c3_query(%q: tensor<4x8xf64>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'query' must have elements of f32, f16 or bf16, got 'f64' (C3)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf64>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C3: a mask is no bias.
func.func @c3_mask(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %x: tensor<4x9xf32>,
                   %o: tensor<4x8xf32>) {
  // expected-error @below {{'mask' must have elements of i1 or i8, got 'f32' (C3)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) mask(%x[m, n] : tensor<4x9xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C3: integers are signless.
func.func @c3_offset(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %x: tensor<ui32>,
                     %o: tensor<4x8xf32>) {
  // expected-error @below {{'offset' must have elements of i32 or i64, got 'ui32' (C3)}}
  %r = gqa.attention scale 1.0 causal query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) offset(%x[] : tensor<ui32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C3: lse is f32.
func.func @c3_lse(%q: tensor<4x8xf16>, %k: tensor<9x8xf16>, %v: tensor<9x8xf16>, %o: tensor<4x8xf16>, %l: tensor<4xf16>) {
  // expected-error @below {{'lse' must have elements of f32, got 'f16' (C3)}}
  %r:2 = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf16>) key(%k[n, dqk] : tensor<9x8xf16>)
    value(%v[n, dv] : tensor<9x8xf16>) outs(%o[m, dv] : tensor<4x8xf16>, %l[m] : tensor<4xf16>)
  return
}

// -----

// C3 of online_attention: the state is f32, positions are i32.
func.func @c3_online_acc(%q: tensor<4x8xf16>, %k: tensor<9x8xf16>, %v: tensor<9x8xf16>, %a: tensor<4x8xf16>,
                         %x: tensor<4xf32>) {
  // expected-error @below {{'acc' must have elements of f32, got 'f16' (C3)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf16>) key(%k[n, dqk] : tensor<9x8xf16>)
    value(%v[n, dv] : tensor<9x8xf16>)
    outs(%a[m, dv] : tensor<4x8xf16>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

func.func @c3_online_positions(%q: tensor<4x8xf16>, %k: tensor<9x8xf16>, %v: tensor<9x8xf16>, %p: tensor<4xi64>,
                               %a: tensor<4x8xf32>, %x: tensor<4xf32>) {
  // expected-error @below {{'positions' must have elements of i32, got 'i64' (C3)}}
  %r:3 = gqa.online_attention scale 1.0 causal
    query(%q[m, dqk] : tensor<4x8xf16>) key(%k[n, dqk] : tensor<9x8xf16>)
    value(%v[n, dv] : tensor<9x8xf16>) positions(%p[m] : tensor<4xi64>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C4: one extent per dimension.
func.func @c4(%q: tensor<4x8xf32>, %k: tensor<?x8xf32>, %v: tensor<9x8xf32>, %x: tensor<7xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{dimension n is 9 in 'value' but 7 in 'bias' (C4)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<?x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) bias(%x[n] : tensor<7xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C4: there is no broadcasting of extent 1; what does not vary along a dimension does not list it.
func.func @c4_one(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %x: tensor<1x9xi1>,
                  %o: tensor<4x8xf32>) {
  // expected-error @below {{dimension m is 4 in 'query' but 1 in 'mask' (C4)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) mask(%x[m, n] : tensor<1x9xi1>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C4 of online_attention.
func.func @c4_online(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                     %x: tensor<5xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{dimension m is 4 in 'acc' but 5 in 'max' (C4)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<5xf32>, %s[m] : tensor<4xf32>)
  return
}

// -----

// C5: head dimensions and heads are static in some operand.
func.func @c5_dv(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x?xf32>, %o: tensor<4x?xf32>) {
  // expected-error @below {{dimension dv must be static (C5)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x?xf32>) outs(%o[m, dv] : tensor<4x?xf32>)
  return
}

// -----

func.func @c5_all_dynamic(%q: tensor<?x?x?x?x?xf32>, %k: tensor<?x?x?x?xf32>, %v: tensor<?x?x?x?xf32>,
                          %o: tensor<?x?x?x?x?xf32>) {
  // expected-error @below {{dimension hkv must be static (C5)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, m, dqk] : tensor<?x?x?x?x?xf32>)
    key(%k[b, hkv, n, dqk] : tensor<?x?x?x?xf32>) value(%v[b, hkv, n, dv] : tensor<?x?x?x?xf32>)
    outs(%o[b, hkv, g, m, dv] : tensor<?x?x?x?x?xf32>)
  return
}

// -----

// C5: they are positive.
func.func @c5_empty(%q: tensor<4x0xf32>, %k: tensor<9x0xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{dimension dqk must be positive, got 0 (C5)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x0xf32>) key(%k[n, dqk] : tensor<9x0xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @c5_no_heads(%q: tensor<0x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<0x8xf32>) {
  // expected-error @below {{dimension g must be positive, got 0 (C5)}}
  %r = gqa.attention scale 1.0 query(%q[g, dqk] : tensor<0x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[g, dv] : tensor<0x8xf32>)
  return
}

// -----

// C5 of online_attention.
func.func @c5_online(%q: tensor<4x?xf32>, %k: tensor<9x?xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                     %x: tensor<4xf32>) {
  // expected-error @below {{dimension dqk must be static (C5)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x?xf32>) key(%k[n, dqk] : tensor<9x?xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C6: a scale beyond f32 is infinite.
func.func @c6_scale(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{scale must be finite, got 0x7F800000 : f32 (C6)}}
  %r = gqa.attention scale 1.0e300 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C6: NaN.
#m_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dqk)>
#m_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dv)>
#n_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dqk)>
#n_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dv)>
func.func @c6_nan(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{scale must be finite, got 0x7FC00000 : f32 (C6)}}
  %r = "gqa.attention"(%q, %k, %v, %o) <{indexing_maps = [#m_dqk, #n_dqk, #n_dv, #m_dv], scale = 0x7FC00000 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// C6: no softcap is spelled by leaving it out, not by 0 or infinity.
func.func @c6_softcap(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{softcap must be finite and positive, got 0.000000e+00 : f32 (C6)}}
  %r = gqa.attention scale 1.0 softcap 0.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C6 of online_attention.
func.func @c6_online(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                     %x: tensor<4xf32>) {
  // expected-error @below {{softcap must be finite and positive, got -5.000000e+01 : f32 (C6)}}
  %r:3 = gqa.online_attention scale 1.0 softcap -50.0
    query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C7: nothing says where the rows stand.
func.func @c7_neither(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{causal and window need exactly one of 'align' and 'offset', got neither (C7)}}
  %r = gqa.attention scale 1.0 window(left 3) query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C7: it is said twice.
func.func @c7_both(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %x: tensor<i32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{causal and window need exactly one of 'align' and 'offset', got both (C7)}}
  %r = gqa.attention scale 1.0 causal align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) offset(%x[] : tensor<i32>)
    outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C7: it means nothing.
func.func @c7_align(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'align' has no meaning without causal or window (C7)}}
  %r = gqa.attention scale 1.0 align top_left query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @c7_offset(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %x: tensor<i32>,
                     %o: tensor<4x8xf32>) {
  // expected-error @below {{'offset' has no meaning without causal or window (C7)}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) offset(%x[] : tensor<i32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C8: window extents.
func.func @c8_left(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{window_left must not be negative, got -1 (C8)}}
  %r = gqa.attention scale 1.0 window(left -1 right 2) align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// C8 of online_attention.
func.func @c8_online(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %p: tensor<4xi32>,
                     %a: tensor<4x8xf32>, %x: tensor<4xf32>) {
  // expected-error @below {{window_right must not be negative, got -9223372036854775807 (C8)}}
  %r:3 = gqa.online_attention scale 1.0 window(right -9223372036854775807)
    query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>)
    positions(%p[m] : tensor<4xi32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C9: one or two outputs.
func.func @c9_three(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>,
                    %l: tensor<4xf32>) {
  // expected-error @below {{must have one or two outputs, got 3 (C9)}}
  %r:3 = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>, %l[m] : tensor<4xf32>, %l[m] : tensor<4xf32>)
  return
}

// -----

func.func @c9_none(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>) {
  // expected-error @below {{must have one or two outputs, got 0 (C9)}}
  "gqa.attention"(%q, %k, %v) <{indexing_maps = [], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>) -> ()
  return
}

// -----

// C9: results have the outputs' types.
#m_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dqk)>
#m_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dv)>
#n_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dqk)>
#n_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dv)>
func.func @c9_types(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{result types ('tensor<?x8xf32>') must be the types of the outputs ('tensor<4x8xf32>') (C9)}}
  %r = "gqa.attention"(%q, %k, %v, %o) <{indexing_maps = [#m_dqk, #n_dqk, #n_dv, #m_dv], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  return
}

// -----

// C10: masks by position need positions.
func.func @c10_missing(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                       %x: tensor<4xf32>) {
  // expected-error @below {{causal and window need 'positions' (C10)}}
  %r:3 = gqa.online_attention scale 1.0 causal query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C10: nothing else needs them.
func.func @c10_meaningless(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %p: tensor<4xi32>,
                           %a: tensor<4x8xf32>, %x: tensor<4xf32>) {
  // expected-error @below {{'positions' has no meaning without causal or window (C10)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) positions(%p[m] : tensor<4xi32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C11: three outputs.
func.func @c11_two(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                   %x: tensor<4xf32>) {
  // expected-error @below {{must have three outputs (acc, max, sum), got 2 (C11)}}
  %r:2 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C11: max and sum lie alike.
func.func @c11_order(%q: tensor<2x4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<2x4x8xf32>,
                     %x: tensor<2x4xf32>, %s: tensor<4x2xf32>) {
  // expected-error @below {{max [g, m] and sum [m, g] must list the same dimensions (C11)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[g, m, dqk] : tensor<2x4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
    outs(%a[g, m, dv] : tensor<2x4x8xf32>, %x[g, m] : tensor<2x4xf32>, %s[m, g] : tensor<4x2xf32>)
  return
}

// -----

// C11: results have the outputs' types.
#m_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dqk)>
#m_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m, dv)>
#n_dqk = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dqk)>
#n_dv = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (n, dv)>
#m = affine_map<(b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> (m)>
func.func @c11_types(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %a: tensor<4x8xf32>,
                     %x: tensor<4xf32>) {
  // expected-error @below {{result types ('tensor<4x8xf32>') must be the types of the outputs ('tensor<4x8xf32>', 'tensor<4xf32>', 'tensor<4xf32>') (C11)}}
  %r = "gqa.online_attention"(%q, %k, %v, %a, %x, %x) <{scale = 1.0 : f32,
    indexing_maps = [#m_dqk, #n_dqk, #n_dv, #m_dv, #m, #m], operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0>}>
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
    -> tensor<4x8xf32>
  return
}

// -----

// C12: pairs of bf16 lie along the innermost dimension of the query.
func.func @dot_layout(%q: tensor<16x4xbf16>, %k: tensor<8x16xbf16>, %v: tensor<8x16xbf16>, %a: tensor<16x4xf32>,
                      %x: tensor<4xf32>) -> tensor<16x4xf32> {
  // expected-error @below {{'dot' needs 'query' to list [m, dqk], got [dqk, m] (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot
    query(%q[dqk, m] : tensor<16x4xbf16>) key(%k[n, dqk] : tensor<8x16xbf16>) value(%v[n, dv] : tensor<8x16xbf16>)
    outs(%a[dv, m] : tensor<16x4xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<16x4xf32>
}

// -----

// C12: operands are bf16.
func.func @dot_type(%q: tensor<4x16xbf16>, %k: tensor<8x16xf16>, %v: tensor<8x16xbf16>, %a: tensor<16x4xf32>,
                    %x: tensor<4xf32>) -> tensor<16x4xf32> {
  // expected-error @below {{'dot' needs 'key' to have elements of bf16, got 'f16' (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot
    query(%q[m, dqk] : tensor<4x16xbf16>) key(%k[n, dqk] : tensor<8x16xf16>) value(%v[n, dv] : tensor<8x16xbf16>)
    outs(%a[dv, m] : tensor<16x4xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<16x4xf32>
}

// -----

// C12: extents are even.
func.func @dot_extent(%q: tensor<4x15xbf16>, %k: tensor<8x15xbf16>, %v: tensor<8x16xbf16>, %a: tensor<16x4xf32>,
                      %x: tensor<4xf32>) -> tensor<16x4xf32> {
  // expected-error @below {{'dot' needs even extents of key, got 'tensor<8x15xbf16>' (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot
    query(%q[m, dqk] : tensor<4x15xbf16>) key(%k[n, dqk] : tensor<8x15xbf16>) value(%v[n, dv] : tensor<8x16xbf16>)
    outs(%a[dv, m] : tensor<16x4xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<16x4xf32>
}

// -----

// C12: bytes are multiplied by bytes.
func.func @dot_mixed(%q: tensor<4x16xf16>, %k: tensor<8x16xi8>, %v: tensor<8x16xf16>, %a: tensor<4x16xf32>,
                     %x: tensor<4xf32>) -> tensor<4x16xf32> {
  // expected-error @below {{'dot' needs 'key' to have elements of f16, bf16 or f32, got 'i8' (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot
    query(%q[m, dqk] : tensor<4x16xf16>) key(%k[n, dqk] : tensor<8x16xi8>) value(%v[n, dv] : tensor<8x16xf16>)
    outs(%a[m, dv] : tensor<4x16xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x16xf32>
}

// -----

// C12: bytes make words of four.
func.func @dot_words(%q: tensor<4x16xf16>, %k: tensor<6x16xi8>, %a: tensor<4x16xf32>, %x: tensor<4xf32>)
    -> tensor<4x16xf32> {
  // expected-error @below {{'dot' of bytes needs static multiples of 4, got n = 6 (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot
    query(%q[m, dqk] : tensor<4x16xf16>) key(%k[n, dqk] : tensor<6x16xi8>) value(%k[n, dv] : tensor<6x16xi8>)
    outs(%a[m, dv] : tensor<4x16xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x16xf32>
}

// -----

// C12: integers of 16 bits are multiplied by bytes, in whole vectors, and what 32 bits hold.
func.func @shorts_alone(%q: tensor<4x32xf16>, %k: tensor<8x32xi8>, %a: tensor<4x32xf32>, %x: tensor<4xf32>)
    -> tensor<4x32xf32> {
  // expected-error @below {{'shorts' needs 'dot' (C12)}}
  %r:3 = gqa.online_attention scale 1.0 shorts
    query(%q[m, dqk] : tensor<4x32xf16>) key(%k[n, dqk] : tensor<8x32xi8>) value(%k[n, dv] : tensor<8x32xi8>)
    outs(%a[m, dv] : tensor<4x32xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x32xf32>
}

// -----

func.func @shorts_floats(%q: tensor<4x32xf16>, %k: tensor<8x32xf16>, %a: tensor<4x32xf32>, %x: tensor<4xf32>)
    -> tensor<4x32xf32> {
  // expected-error @below {{'shorts' needs 'key' and 'value' of i8, got 'tensor<8x32xf16>' and 'tensor<8x32xf16>' (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot shorts
    query(%q[m, dqk] : tensor<4x32xf16>) key(%k[n, dqk] : tensor<8x32xf16>) value(%k[n, dv] : tensor<8x32xf16>)
    outs(%a[m, dv] : tensor<4x32xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x32xf32>
}

// -----

func.func @shorts_vectors(%q: tensor<4x48xf16>, %k: tensor<8x48xi8>, %a: tensor<4x48xf32>, %x: tensor<4xf32>)
    -> tensor<4x48xf32> {
  // expected-error @below {{'shorts' needs a multiple of 32 up to 512, got dqk = 48 (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot shorts
    query(%q[m, dqk] : tensor<4x48xf16>) key(%k[n, dqk] : tensor<8x48xi8>) value(%k[n, dv] : tensor<8x48xi8>)
    outs(%a[m, dv] : tensor<4x48xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x48xf32>
}

// -----

func.func @shorts_overflow(%q: tensor<4x544xf16>, %k: tensor<8x544xi8>, %a: tensor<4x544xf32>, %x: tensor<4xf32>)
    -> tensor<4x544xf32> {
  // expected-error @below {{'shorts' needs a multiple of 32 up to 512, got dqk = 544 (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot shorts
    query(%q[m, dqk] : tensor<4x544xf16>) key(%k[n, dqk] : tensor<8x544xi8>) value(%k[n, dv] : tensor<8x544xi8>)
    outs(%a[m, dv] : tensor<4x544xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x544xf32>
}

// -----

func.func @shorts_keys(%q: tensor<4x32xf16>, %k: tensor<516x32xi8>, %a: tensor<4x32xf32>, %x: tensor<4xf32>)
    -> tensor<4x32xf32> {
  // expected-error @below {{'shorts' needs at most 512 keys, got n = 516 (C12)}}
  %r:3 = gqa.online_attention scale 1.0 dot shorts
    query(%q[m, dqk] : tensor<4x32xf16>) key(%k[n, dqk] : tensor<516x32xi8>) value(%k[n, dv] : tensor<516x32xi8>)
    outs(%a[m, dv] : tensor<4x32xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return %r#0 : tensor<4x32xf32>
}

// -----

// C13: pages need a table.
func.func @c13_no_table(%q: tensor<2x2x4x16xf32>, %k: tensor<9x2x8x16xf32>, %v: tensor<9x2x8x16xf32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'key' lists page, which needs 'block_table' (C13)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[page, hkv, slot, dqk] : tensor<9x2x8x16xf32>) value(%v[page, hkv, slot, dv] : tensor<9x2x8x16xf32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C13 by way of C2: a table needs pages.
func.func @c13_no_pages(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %t: tensor<2x3xi32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'key' must list dimension page, got [b, hkv, n, dqk] (C2)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>)
    block_table(%t[b, block] : tensor<2x3xi32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C13: a page has slots.
func.func @c13_no_slots(%q: tensor<2x2x4x16xf32>, %k: tensor<9x2x0x16xf32>, %v: tensor<9x2x0x16xf32>, %t: tensor<2x3xi32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{pages must have slots, got extent 0 of slot (C13)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[page, hkv, slot, dqk] : tensor<9x2x0x16xf32>) value(%v[page, hkv, slot, dv] : tensor<9x2x0x16xf32>)
    block_table(%t[b, block] : tensor<2x3xi32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C13: scales lie as keys do.
func.func @c13_scale(%q: tensor<2x2x4x16xf32>, %k: tensor<9x2x8x16xi8>, %v: tensor<9x2x8x16xi8>, %t: tensor<2x3xi32>, %s: tensor<9x2xf32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'key_scale' must list both page and slot or neither, got [page, hkv] (C13)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[page, hkv, slot, dqk] : tensor<9x2x8x16xi8>) value(%v[page, hkv, slot, dv] : tensor<9x2x8x16xi8>)
    block_table(%t[b, block] : tensor<2x3xi32>) key_scale(%s[page, hkv] : tensor<9x2xf32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C2, C3: the block table.
func.func @c3_table(%q: tensor<2x2x4x16xf32>, %k: tensor<9x2x8x16xf32>, %v: tensor<9x2x8x16xf32>, %t: tensor<2x3xi64>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'block_table' must have elements of i32, got 'i64' (C3)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[page, hkv, slot, dqk] : tensor<9x2x8x16xf32>) value(%v[page, hkv, slot, dv] : tensor<9x2x8x16xf32>)
    block_table(%t[b, block] : tensor<2x3xi64>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C4: pages have one size.
func.func @c4_slots(%q: tensor<2x2x4x16xf32>, %k: tensor<9x2x8x16xf32>, %v: tensor<9x2x4x16xf32>, %t: tensor<2x3xi32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{dimension slot is 8 in 'key' but 4 in 'value' (C4)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[page, hkv, slot, dqk] : tensor<9x2x8x16xf32>) value(%v[page, hkv, slot, dv] : tensor<9x2x4x16xf32>)
    block_table(%t[b, block] : tensor<2x3xi32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C14: bytes hold two elements.
func.func @c14_type(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x16xf32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'key' lists dqk2 and must have elements of i8, which hold two of 4 bits, got 'f32' (C14)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk2] : tensor<2x2x7x8xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C14: half as many bytes.
func.func @c14_extent(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x9xi8>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'value' must have half of the 16 elements of a row along dv2, got 9 (C14)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv2] : tensor<2x2x7x9xi8>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C15: floats have no scale.
func.func @c15_float(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %s: tensor<2xf32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'value_scale' needs 'value' to have elements of i8 or f8E4M3FN, got 'f32' (C15)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>) value_scale(%s[hkv] : tensor<2xf32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C15: a scale per key or per channel.
func.func @c15_both(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xi8>, %v: tensor<2x2x7x16xf32>, %s: tensor<7x16xf32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'key_scale' is per key or per channel, got both in [n, dqk] (C15)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xi8>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>) key_scale(%s[n, dqk] : tensor<7x16xf32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C16: a ring needs the number of tokens.
func.func @c16_no_length(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{ring needs 'length' (C16)}}
  %r = gqa.attention scale 1.0 ring(sinks 0 slots 4) query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C16: what is no ring has none.
func.func @c16_no_ring(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %n: tensor<2xi32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{'length' has no meaning without ring (C16)}}
  %r = gqa.attention scale 1.0 query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>) length(%n[b] : tensor<2xi32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C16: kv_len follows from length.
func.func @c16_kv_len(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %n: tensor<2xi32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{ring has 'length', from which kv_len follows, and takes no 'kv_len' (C16)}}
  %r = gqa.attention scale 1.0 ring(sinks 0 slots 4) query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>) kv_len(%n[b] : tensor<2xi32>) length(%n[b] : tensor<2xi32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C16: slots.
func.func @c16_slots(%q: tensor<2x2x4x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x16xf32>, %n: tensor<2xi32>, %o: tensor<2x2x4x16xf32>) {
  // expected-error @below {{ring needs sinks that are not negative and at least one slot, got -1 and 0 (C16)}}
  %r = gqa.attention scale 1.0 ring(sinks -1 slots 0) query(%q[b, hkv, g, dqk] : tensor<2x2x4x16xf32>)
    key(%k[b, hkv, n, dqk] : tensor<2x2x7x16xf32>) value(%v[b, hkv, n, dv] : tensor<2x2x7x16xf32>) length(%n[b] : tensor<2xi32>)
    outs(%o[b, hkv, g, dv] : tensor<2x2x4x16xf32>)
  return
}

// -----

// C10 of online_attention: positions of keys are compared with those of rows.
func.func @c10_key_positions(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %p: tensor<9xi32>, %a: tensor<4x8xf32>,
                             %x: tensor<4xf32>) {
  // expected-error @below {{'key_positions' has no meaning without causal or window (C10)}}
  %r:3 = gqa.online_attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%k[n, dv] : tensor<9x8xf32>) key_positions(%p[n] : tensor<9xi32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// C10 of online_attention: sinks.
func.func @c10_sinks(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %p: tensor<4xi32>, %a: tensor<4x8xf32>,
                     %x: tensor<4xf32>) {
  // expected-error @below {{sinks needs 'key_positions' and is not negative, got 4 (C10)}}
  %r:3 = gqa.online_attention scale 1.0 causal sinks 4 query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%k[n, dv] : tensor<9x8xf32>) positions(%p[m] : tensor<4xi32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %x[m] : tensor<4xf32>)
  return
}

// -----

// G1: shapes of pages and result.
func.func @g1_shapes(%k: tensor<?x16x128xf16>, %t: tensor<?xi32>, %n: index) {
  // expected-error @below {{needs pages [page, slot, d] and a result [n, d] of one element type and static extents, got 'tensor<?x16x128xf16>' and 'tensor<64x64xf16>' (G1)}}
  %r = gqa.gather_pages %k[%t] from %n : tensor<?x16x128xf16>, tensor<?xi32> -> tensor<64x64xf16>
  return
}

// -----

// G1: the table.
func.func @g1_table(%k: tensor<?x16x128xf16>, %t: tensor<?xi64>, %n: index) {
  // expected-error @below {{needs a table of rank 1 and i32, got 'tensor<?xi64>' (G1)}}
  %r = gqa.gather_pages %k[%t] from %n : tensor<?x16x128xf16>, tensor<?xi64> -> tensor<64x128xf16>
  return
}

// -----

// G2: runs begin with the start.
func.func @g2_start(%k: tensor<?x16x128xf16>, %t: tensor<?xi32>) {
  %n = arith.constant 24 : index
  // expected-error @below {{starts at 24, which is no multiple of the run of 16 rows (G2)}}
  %r = gqa.gather_pages %k[%t] from %n : tensor<?x16x128xf16>, tensor<?xi32> -> tensor<64x128xf16>
  return
}
