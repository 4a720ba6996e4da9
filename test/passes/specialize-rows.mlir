// RUN: gqa-opt %s --gqa-select-schedule --split-input-file | FileCheck %s --check-prefix=SELECT
// RUN: gqa-opt %s --gqa-select-schedule --gqa-specialize-rows --split-input-file | FileCheck %s

// The number of query positions is not known: one position and up to four have schedules of their own, in which all
// heads of a group share a tile and the keys are split. Each branch attends with the same operands and masks.
// SELECT-LABEL: func @any_rows
// SELECT: gqa.attention {{.*}}schedule(#gqa.schedule<lanes = row, g = 2, m = 32, {{.*}}split = 0
// SELECT: gqa.few_rows_schedules = [#gqa.schedule<lanes = head_dim, g = 2, m = 1, rows = 2, n = 64, split = 512, dot = false>,
// SELECT-SAME: #gqa.schedule<lanes = head_dim, g = 2, m = 4, {{.*}}split = 512
// CHECK-LABEL: func @any_rows
// CHECK-SAME: %[[Q:.*]]: tensor<3x2x?x16xf32>, %[[K:.*]]: tensor<3x?x16xf32>, %[[O:.*]]: tensor<3x2x?x16xf32>
// CHECK: %[[M:.*]] = tensor.dim %[[Q]], %{{.*}}
// CHECK: %[[ONE:.*]] = arith.cmpi ule, %[[M]], %c1{{.*}} : index
// CHECK: %[[R:.*]] = scf.if %[[ONE]] -> (tensor<3x2x?x16xf32>) {
// CHECK:   %[[A:.*]] = gqa.attention {{.*}}causal align bottom_right schedule({{.*}}lanes = head_dim, g = 2, m = 1,
// CHECK:     query(%[[Q]][hkv, g, m, dqk]
// CHECK:   scf.yield %[[A]]
// CHECK: } else {
// CHECK:   %[[FEW:.*]] = arith.cmpi ule, %[[M]], %c4{{.*}} : index
// CHECK:   scf.if %[[FEW]]
// CHECK:     gqa.attention {{.*}}causal align bottom_right schedule({{.*}}lanes = head_dim, g = 2, m = 4,
// CHECK:   } else {
// CHECK:     gqa.attention {{.*}}causal align bottom_right schedule({{.*}}lanes = row, g = 2, m = 32,
// CHECK-NOT: few_rows
// CHECK: return %[[R]]
func.func @any_rows(%q: tensor<3x2x?x16xf32>, %k: tensor<3x?x16xf32>, %o: tensor<3x2x?x16xf32>) -> tensor<3x2x?x16xf32> {
  %r = gqa.attention scale 0.25 causal align bottom_right
    query(%q[hkv, g, m, dqk] : tensor<3x2x?x16xf32>) key(%k[hkv, n, dqk] : tensor<3x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<3x?x16xf32>) outs(%o[hkv, g, m, dv] : tensor<3x2x?x16xf32>)
  return %r : tensor<3x2x?x16xf32>
}

// -----

// Near miss: a static number of positions needs no branch.
// CHECK-LABEL: func @known_rows
// CHECK-NOT: scf.if
func.func @known_rows(%q: tensor<3x2x5x16xf32>, %k: tensor<3x?x16xf32>) -> tensor<3x2x5x16xf32> {
  %r = gqa.attention scale 0.25
    query(%q[hkv, g, m, dqk] : tensor<3x2x5x16xf32>) key(%k[hkv, n, dqk] : tensor<3x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<3x?x16xf32>) outs(%q[hkv, g, m, dv] : tensor<3x2x5x16xf32>)
  return %r : tensor<3x2x5x16xf32>
}

// -----

// Near miss: a schedule written by hand is the only one.
// CHECK-LABEL: func @by_hand
// CHECK-NOT: scf.if
func.func @by_hand(%q: tensor<3x2x?x16xf32>, %k: tensor<3x?x16xf32>) -> tensor<3x2x?x16xf32> {
  %r = gqa.attention scale 0.25 schedule(#gqa.schedule<lanes = row, g = 1, m = 3, rows = 4, n = 7, split = 14, dot = false>)
    query(%q[hkv, g, m, dqk] : tensor<3x2x?x16xf32>) key(%k[hkv, n, dqk] : tensor<3x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<3x?x16xf32>) outs(%q[hkv, g, m, dv] : tensor<3x2x?x16xf32>)
  return %r : tensor<3x2x?x16xf32>
}
