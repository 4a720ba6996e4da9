// RUN: gqa-opt %s --gqa-expand-math --split-input-file | FileCheck %s
// RUN: gqa-opt %s --gqa-expand-math="has-scale has-bf16" --split-input-file | FileCheck %s --check-prefix=SCALE

// 2^x = p(f) * 2^i with i = round(x) and f = x - i. Without an instruction for it, the scaling is two products with
// powers of two, made from their bits; x is held in a range in which both are normal numbers. With the instruction the
// lower bound is a mask of what is not 0. Comparisons let NaN pass.
// CHECK-LABEL: func @exp2
// CHECK-SAME: %[[X:.*]]: vector<16xf32>
// SCALE-LABEL: func @exp2
// SCALE-SAME: %[[X:.*]]: vector<16xf32>
func.func @exp2(%x: vector<16xf32>) -> vector<16xf32> {
  // CHECK-DAG: %[[LOW:.*]] = arith.constant dense<-1.260000e+02>
  // CHECK-DAG: %[[HIGH:.*]] = arith.constant dense<1.300000e+02>
  // CHECK-DAG: %[[BIAS:.*]] = arith.constant dense<127>
  // CHECK-DAG: %[[MANTISSA:.*]] = arith.constant dense<23>
  // CHECK: %[[IS_HIGH:.*]] = arith.cmpf ogt, %[[X]], %[[HIGH]]
  // CHECK: %[[BELOW:.*]] = arith.select %[[IS_HIGH]], %[[HIGH]], %[[X]]
  // CHECK: %[[IS_NORMAL:.*]] = arith.cmpf uge, %[[BELOW]], %[[LOW]]
  // CHECK: %[[HELD:.*]] = arith.select %[[IS_NORMAL]], %[[BELOW]], %[[LOW]]
  // CHECK: %[[WHOLE:.*]] = math.roundeven %[[HELD]]
  // CHECK: %[[FRACTION:.*]] = arith.subf %[[HELD]], %[[WHOLE]]
  // CHECK-COUNT-5: math.fma %{{.*}}, %[[FRACTION]], %{{.*}} : vector<16xf32>
  // CHECK-NOT: math.fma
  // CHECK: %[[EXPONENT:.*]] = arith.fptosi %[[WHOLE]] : vector<16xf32> to vector<16xi32>
  // CHECK: %[[HALF:.*]] = arith.shrsi %[[EXPONENT]]
  // CHECK: %[[REST:.*]] = arith.subi %[[EXPONENT]], %[[HALF]]
  // CHECK: %[[BIASED:.*]] = arith.addi %[[HALF]], %[[BIAS]]
  // CHECK: %[[BITS:.*]] = arith.shli %[[BIASED]], %[[MANTISSA]]
  // CHECK: arith.bitcast %[[BITS]] : vector<16xi32> to vector<16xf32>
  // CHECK: arith.mulf
  // CHECK: arith.addi %[[REST]], %[[BIAS]]
  // CHECK: %[[POWER:.*]] = arith.mulf
  // CHECK: arith.select %[[IS_NORMAL]], %[[POWER]], %{{.*}}

  // SCALE: arith.cmpf ogt
  // SCALE: %[[HELD:.*]] = arith.select
  // SCALE: %[[IS_NORMAL:.*]] = arith.cmpf uge, %[[HELD]]
  // SCALE: %[[WHOLE:.*]] = math.roundeven %[[HELD]]
  // SCALE: %[[BITS:.*]] = vector.bitcast %[[IS_NORMAL]] : vector<16xi1> to vector<1xi16>
  // SCALE: %[[KEPT:.*]] = vector.extract %[[BITS]][0]
  // SCALE: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(%{{.*}}, %[[WHOLE]], %{{.*}}, %[[KEPT]], %{{.*}})
  // SCALE-NOT: arith.mulf
  // SCALE: return
  %y = math.exp2 %x : vector<16xf32>
  return %y : vector<16xf32>
}

// -----

// exp(x) is 2^(x log2(e)), on scalars too.
// CHECK-LABEL: func @exp
// CHECK-SAME: %[[X:.*]]: f32
// CHECK: %[[LOG2E:.*]] = arith.constant 1.442695{{.*}} : f32
// CHECK: %[[SCALED:.*]] = arith.mulf %[[X]], %[[LOG2E]]
// CHECK: arith.cmpf ogt, %[[SCALED]]
// CHECK-COUNT-5: math.fma {{.*}} : f32
// CHECK-NOT: math.exp
// SCALE-LABEL: func @exp
func.func @exp(%x: f32) -> f32 {
  %y = math.exp %x : f32
  return %y : f32
}

// -----

// tanh, log2 and log use upstream's approximations; sin and sqrt stay.
// CHECK-LABEL: func @others
// CHECK-NOT: math.{{tanh|log}}
// CHECK-DAG: math.sin
// CHECK-DAG: math.sqrt
// CHECK-NOT: math.{{tanh|log}}
// CHECK: return
// SCALE-LABEL: func @others
func.func @others(%x: vector<8xf32>) -> vector<8xf32> {
  %a = math.tanh %x : vector<8xf32>
  %b = math.log2 %a : vector<8xf32>
  %c = math.log %b : vector<8xf32>
  %d = math.sin %c : vector<8xf32>
  %e = math.sqrt %d : vector<8xf32>
  return %e : vector<8xf32>
}

// -----

// Near miss: the polynomial is made for f32.
// CHECK-LABEL: func @double
// CHECK: math.exp2 %{{.*}} : f64
// CHECK: math.exp %{{.*}} : f64
// SCALE-LABEL: func @double
func.func @double(%x: f64) -> f64 {
  %y = math.exp2 %x : f64
  %z = math.exp %y : f64
  return %z : f64
}

// -----

// A conversion to bf16 becomes operations on bits, unless the target has an instruction for it.
// CHECK-LABEL: func @bf16
// CHECK-NOT: arith.truncf
// CHECK: arith.trunci {{.*}} : vector<8xi32> to vector<8xi16>
// CHECK: arith.bitcast {{.*}} : vector<8xi16> to vector<8xbf16>
// SCALE-LABEL: func @bf16
// SCALE-NEXT: arith.truncf {{.*}} : vector<8xf32> to vector<8xbf16>
func.func @bf16(%x: vector<8xf32>) -> vector<8xbf16> {
  %y = arith.truncf %x : vector<8xf32> to vector<8xbf16>
  return %y : vector<8xbf16>
}

// f8E4M3FN by way of f16: sign, exponent and mantissa move up by seven bits, and NaN is looked for.
// CHECK-LABEL: func @f8
func.func @f8(%x: vector<16xf8E4M3FN>) -> vector<16xf32> {
  // CHECK: %[[BYTES:.*]] = arith.bitcast %{{.*}} : vector<16xf8E4M3FN> to vector<16xi8>
  // CHECK: arith.extsi %[[BYTES]]
  // CHECK: arith.shli
  // CHECK: arith.andi
  // CHECK: arith.bitcast %{{.*}} : vector<16xi16> to vector<16xf16>
  // CHECK: %[[WIDE:.*]] = arith.mulf
  // CHECK: arith.cmpi eq
  // CHECK: arith.select %{{.*}}, %{{.*}}, %[[WIDE]]
  %y = arith.extf %x : vector<16xf8E4M3FN> to vector<16xf32>
  return %y : vector<16xf32>
}
