// RUN: gqa-opt %s -allow-unregistered-dialect -split-input-file -verify-diagnostics

// The constraints of #gqa.schedule, by their numbers in dialect/GQAAttributes.td.

// S1
// expected-error @below {{tile sizes must be positive, got g = 0, m = 16, n = 64 (S1)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 0, m = 16, rows = 64, n = 64, split = 0, dot = false>} : () -> ()

// -----

// S1
// expected-error @below {{tile sizes must be positive, got g = 4, m = 16, n = -64 (S1)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = -64, split = 0, dot = false>} : () -> ()

// -----

// S2
// expected-error @below {{rows (63) must hold g * m (4 * 16) (S2)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16, rows = 63, n = 64, split = 0, dot = false>} : () -> ()

// -----

// S2: the product does not fit 64 bits.
// expected-error @below {{rows (64) must hold g * m (4611686018427387904 * 4) (S2)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4611686018427387904, m = 4, rows = 64, n = 64, split = 0, dot = false>} : () -> ()

// -----

// S3
// expected-error @below {{split (100) must be a multiple of n (64), or 0 (S3)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 64, split = 100, dot = false>} : () -> ()

// -----

// S3
// expected-error @below {{split (-64) must be a multiple of n (64), or 0 (S3)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 64, split = -64, dot = false>} : () -> ()

// -----

// S4
// expected-error @below {{dot pairs keys: n (63) must be even (S4)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 63, split = 0, dot = true>} : () -> ()

// -----

// expected-error @below {{shorts needs dot = true and lanes = head_dim (S4)}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 64, split = 0, dot = true, shorts = true>} : () -> ()

// -----

// expected-error @below {{expected one of [row, head_dim] for what the vector lanes hold, got: keys}}
// expected-error @below {{failed to parse GQA_ScheduleAttr parameter 'lanes' which is to be a `::mlir::gqa::Lanes`}}
"test.op"() {s = #gqa.schedule<lanes = keys, g = 4, m = 16, rows = 64, n = 63, split = 0, dot = true>} : () -> ()

// -----

// A parameter is missing.
// expected-error @below {{struct is missing required parameter: rows}}
"test.op"() {s = #gqa.schedule<lanes = row, g = 4, m = 16>} : () -> ()
