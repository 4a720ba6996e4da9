// RUN: gqa-opt %s -split-input-file -verify-diagnostics

// What the parser of the two attention ops refuses.

func.func @unknown_dim(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'s' is no dimension: expected b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2 or dv2}}
  %r = gqa.attention scale 1.0 query(%q[s, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @no_dims(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{expected '['}}
  %r = gqa.attention scale 1.0 query(%q : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @empty_dims(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'query' lists 0 dimensions [] but has rank 2 (C1)}}
  %r = gqa.attention scale 1.0 query(%q[] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @number_as_dim(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{expected valid keyword}}
  %r = gqa.attention scale 1.0 query(%q[0, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @operand_twice(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'query' is given twice}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @attribute_twice(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'scale' is given twice}}
  %r = gqa.attention scale 1.0 scale 2.0 query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @attribute_beside_clause(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
    // expected-error @below {{attribute "scale" is given by a clause}}
    {scale = 2.0 : f32}
  return
}

// -----

func.func @missing_value(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{missing clause 'value'}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @missing_scale(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{missing clause 'scale'}}
  %r = gqa.attention query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @missing_outs(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>) {
  // expected-error @below {{missing clause 'outs'}}
  gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>)
  return
}

// -----

// `positions` belongs to online_attention, `align` and `offset` to attention: they end the op.
func.func @clause_of_the_other_op(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %p: tensor<4xi32>,
                                  %o: tensor<4x8xf32>) {
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
    // expected-error @below {{custom op 'positions' is unknown}}
    positions(%p[m] : tensor<4xi32>)
  return
}

// -----

func.func @unknown_alignment(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'bottom_left' is no alignment: expected top_left or bottom_right}}
  %r = gqa.attention scale 1.0 causal align bottom_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @empty_window(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{window needs 'left', 'right' or both, in this order}}
  %r = gqa.attention scale 1.0 window() align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @huge_window(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{integer value too large}}
  %r = gqa.attention scale 1.0 window(left 99999999999999999999) align top_left query(%q[m, dqk] : tensor<4x8xf32>)
    key(%k[n, dqk] : tensor<9x8xf32>) value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @scale_is_an_integer(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{unexpected decimal integer literal for a floating point value}}
  // expected-note @below {{add a trailing dot to make the literal a float}}
  %r = gqa.attention scale 1 query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @wrong_schedule(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{invalid kind of attribute specified}}
  %r = gqa.attention scale 1.0 schedule(7 : i64) query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @unranked(%q: tensor<*xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{operand #0 must be ranked tensor of any type values, but got 'tensor<*xf32>'}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : tensor<*xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

func.func @buffer(%q: memref<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{operand #0 must be ranked tensor of any type values, but got 'memref<4x8xf32>'}}
  %r = gqa.attention scale 1.0 query(%q[m, dqk] : memref<4x8xf32>) key(%k[n, dqk] : tensor<9x8xf32>)
    value(%v[n, dv] : tensor<9x8xf32>) outs(%o[m, dv] : tensor<4x8xf32>)
  return
}

// -----

// The form in quotes, without its attributes.
func.func @no_maps(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{requires attribute 'indexing_maps'}}
  %r = "gqa.attention"(%q, %k, %v, %o) {scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @no_scale(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{requires attribute 'scale'}}
  %r = "gqa.attention"(%q, %k, %v, %o) {indexing_maps = [],
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @scale_is_f64(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{attribute 'scale' failed to satisfy constraint: 32-bit float attribute}}
  %r = "gqa.attention"(%q, %k, %v, %o) {indexing_maps = [], scale = 1.0 : f64,
    operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1>}
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @no_segments(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{operand count (4) does not match with the total size (0) specified in attribute 'operandSegmentSizes'}}
  %r = "gqa.attention"(%q, %k, %v, %o) {indexing_maps = [], scale = 1.0 : f32}
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @negative_segments(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{'operandSegmentSizes' attribute cannot have negative elements}}
  %r = "gqa.attention"(%q, %k, %v, %o) {indexing_maps = [], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, -1, 1, 0, 0, 0, 0, 0, 0, 0, 1>}
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @optional_twice(%q: tensor<4x8xf32>, %k: tensor<9x8xf32>, %v: tensor<9x8xf32>, %o: tensor<4x8xf32>) {
  // expected-error @below {{operand group starting at #3 requires 0 or 1 element, but found 2}}
  %r = "gqa.attention"(%q, %k, %v, %o, %o, %o) {indexing_maps = [], scale = 1.0 : f32,
    operandSegmentSizes = array<i32: 1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1>}
    : (tensor<4x8xf32>, tensor<9x8xf32>, tensor<9x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>)
    -> tensor<4x8xf32>
  return
}
