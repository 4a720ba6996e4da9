// RUN: gqa-opt %s --split-input-file --gqa-vectorize-tiles --canonicalize --cse | FileCheck %s

// A register block of scores: its accumulators become a vector that the reduction loop carries, read and written once,
// outside. Operands of half types are read as they lie and widened in registers.
#key = affine_map<(n, m, dqk) -> (n, dqk)>
#query = affine_map<(n, m, dqk) -> (dqk, m)>
#score = affine_map<(n, m, dqk) -> (n, m)>
// CHECK-LABEL: func @scores
// CHECK-SAME: %[[K:[a-z0-9]*]]: tensor<4x16xf16>, %[[Q:[a-z0-9]*]]: tensor<16x64xf32>, %[[INIT:[a-z0-9]*]]: tensor<4x64xf32>
func.func @scores(%k: tensor<4x16xf16>, %q: tensor<16x64xf32>, %init: tensor<4x64xf32>) -> tensor<4x64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  // CHECK: %[[START:.*]] = vector.transfer_read %[[INIT]]{{.*}} vector<4x64xf32>
  // CHECK: %[[SUMS:.*]] = scf.for %[[D:.*]] = {{.*}} iter_args(%[[ACC:.*]] = %[[START]]) -> (vector<4x64xf32>)
  // CHECK-NOT: tensor.
  // CHECK: %[[NARROW:.*]] = vector.transfer_read %[[K]][%{{.*}}, %[[D]]]{{.*}} vector<4x1xf16>
  // CHECK: %[[COLUMN:.*]] = arith.extf %[[NARROW]] : vector<4x1xf16> to vector<4x1xf32>
  // CHECK: %[[READ:.*]] = vector.transfer_read %[[Q]][%[[D]], %{{.*}}]{{.*}} vector<64xf32>
  // CHECK: %[[ROW:.*]] = vector.broadcast %[[READ]] : vector<64xf32> to vector<1x64xf32>
  // CHECK: %[[NEXT:.*]] = vector.contract {{.*}} %[[COLUMN]], %[[ROW]], %[[ACC]]
  // CHECK: scf.yield %[[NEXT]]
  // CHECK: vector.transfer_write %[[SUMS]], %[[INIT]]
  %r = scf.for %d = %c0 to %c16 step %c1 iter_args(%acc = %init) -> (tensor<4x64xf32>) {
    %column = tensor.extract_slice %k[0, %d] [4, 1] [1, 1] : tensor<4x16xf16> to tensor<4x1xf16>
    %row = tensor.extract_slice %q[%d, 0] [1, 64] [1, 1] : tensor<16x64xf32> to tensor<1x64xf32>
    %s = linalg.generic {indexing_maps = [#key, #query, #score], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%column, %row : tensor<4x1xf16>, tensor<1x64xf32>) outs(%acc : tensor<4x64xf32>) {
    ^bb0(%a: f16, %b: f32, %c: f32):
      %wide = arith.extf %a : f16 to f32
      %product = arith.mulf %wide, %b : f32
      %sum = arith.addf %c, %product : f32
      linalg.yield %sum : f32
    } -> tensor<4x64xf32>
    scf.yield %s : tensor<4x64xf32>
  }
  return %r : tensor<4x64xf32>
}

// -----

// One step of dot products along the lanes: each pair of a row and a column is one multiply-add of vectors.
#query = affine_map<(m, n, lane, step) -> (m, step, lane)>
#key = affine_map<(m, n, lane, step) -> (n, step, lane)>
#partial = affine_map<(m, n, lane, step) -> (m, n, lane)>
// CHECK-LABEL: func @lane_product
// CHECK: %[[ROWS:.*]] = vector.broadcast %{{.*}} : vector<4x1x16xf32> to vector<4x4x16xf32>
// CHECK: %[[COLUMNS:.*]] = vector.broadcast %{{.*}} : vector<4x16xf32> to vector<4x4x16xf32>
// CHECK: math.fma %[[ROWS]], %[[COLUMNS]], %{{.*}} : vector<4x4x16xf32>
func.func @lane_product(%q: tensor<4x1x16xf32>, %k: tensor<4x1x16xf32>, %acc: tensor<4x4x16xf32>) -> tensor<4x4x16xf32> {
  %p = linalg.generic {indexing_maps = [#query, #key, #partial],
                       iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<4x1x16xf32>, tensor<4x1x16xf32>) outs(%acc : tensor<4x4x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %product = arith.mulf %a, %b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<4x4x16xf32>
  return %p : tensor<4x4x16xf32>
}

// -----

// The sums of 4 x 4 vectors of 16 lanes: 8 pairs become 8 vectors with 8 partial sums of either row, then 4, 2 and 1, in
// 15 additions of 30 shuffles. The first shuffles are unpack instructions; a last addition adds the start.
// CHECK-LABEL: func @lane_sums
// CHECK-NOT: vector.transpose
// CHECK: vector.shuffle {{.*}} [0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29]
// CHECK: vector.shuffle {{.*}} [2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31]
// CHECK-COUNT-15: arith.addf {{.*}} : vector<16xf32>
// CHECK-NOT: vector.reduction
// CHECK: arith.addf {{.*}} : vector<4x4xf32>
func.func @lane_sums(%p: tensor<4x4x16xf32>, %init: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %s = linalg.reduce { arith.addf } ins(%p : tensor<4x4x16xf32>) outs(%init : tensor<4x4xf32>) dimensions = [2]
  return %s : tensor<4x4xf32>
}

// -----

// A row's maximum: halves are compared down to 16 lanes, then one horizontal operation includes the old value.
// CHECK-LABEL: func @row_maximum
// CHECK: arith.maxnumf {{.*}} : vector<32xf32>
// CHECK: %[[LAST:.*]] = arith.maxnumf {{.*}} : vector<16xf32>
// CHECK: %[[OLD:.*]] = vector.extract
// CHECK: vector.reduction <maxnumf>, %[[LAST]], %[[OLD]] {{.*}} : vector<16xf32> into f32
func.func @row_maximum(%x: tensor<1x64xf32>, %old: tensor<1xf32>) -> tensor<1xf32> {
  %m = linalg.reduce { arith.maxnumf } ins(%x : tensor<1x64xf32>) outs(%old : tensor<1xf32>) dimensions = [1]
  return %m : tensor<1xf32>
}

// -----

// A step of a maximum over rows: element by element, with the flags of its combiner, without which it would take three
// instructions.
// CHECK-LABEL: func @step
// CHECK: arith.maxnumf {{.*}} fastmath<nnan,nsz> : vector<32xf32>
// CHECK-NOT: arith.maxnumf
func.func @step(%x: tensor<1x32xf32>, %old: tensor<32xf32>) -> tensor<32xf32> {
  %m = linalg.reduce ins(%x : tensor<1x32xf32>) outs(%old : tensor<32xf32>) dimensions = [0]
    (%in: f32, %out: f32) {
      %max = arith.maxnumf %in, %out fastmath<nnan,nsz> : f32
      linalg.yield %max : f32
    }
  return %m : tensor<32xf32>
}

// -----

// A square of a transposition is one transposing read. An elementwise row has the maths on vectors.
// CHECK-LABEL: func @others
// CHECK: vector.transfer_read {{.*}} permutation_map = #{{.*}}} : tensor<16x16xf32>, vector<16x16xf32>
// CHECK: math.exp2 %{{.*}} : vector<64xf32>
func.func @others(%x: tensor<16x16xf32>, %y: tensor<1x64xf32>) -> (tensor<16x16xf32>, tensor<1x64xf32>) {
  %empty = tensor.empty() : tensor<16x16xf32>
  %t = linalg.transpose ins(%x : tensor<16x16xf32>) outs(%empty : tensor<16x16xf32>) permutation = [1, 0]
  %e = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      outs(%y : tensor<1x64xf32>) {
  ^bb0(%a: f32):
    %p = math.exp2 %a : f32
    linalg.yield %p : f32
  } -> tensor<1x64xf32>
  return %t, %e : tensor<16x16xf32>, tensor<1x64xf32>
}

// -----

// Near miss: a dynamic shape is no tile.
// CHECK-LABEL: func @dynamic
// CHECK: linalg.exp
// CHECK-NOT: vector
func.func @dynamic(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %e = linalg.exp ins(%x : tensor<?x64xf32>) outs(%x : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %e : tensor<?x64xf32>
}

// -----

// One pair of bf16 for each of 2 rows and 16 lanes: two dot-product instructions.
#key = affine_map<(n, m, pair, half) -> (n, pair, half)>
#query = affine_map<(n, m, pair, half) -> (pair, m, half)>
#score = affine_map<(n, m, pair, half) -> (n, m)>
// CHECK-LABEL: func @pairs
// CHECK-COUNT-2: x86vector.avx512.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<32xbf16> -> vector<16xf32>
// CHECK-NOT: x86vector.avx512.dot
// CHECK-NOT: arith.mulf
// CHECK: return
func.func @pairs(%k: tensor<2x1x2xbf16>, %q: tensor<1x16x2xbf16>, %init: tensor<2x16xf32>) -> tensor<2x16xf32> {
  %s = linalg.generic {indexing_maps = [#key, #query, #score],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%k, %q : tensor<2x1x2xbf16>, tensor<1x16x2xbf16>) outs(%init : tensor<2x16xf32>) {
  ^bb0(%a: bf16, %b: bf16, %c: f32):
    %wide_a = arith.extf %a : bf16 to f32
    %wide_b = arith.extf %b : bf16 to f32
    %product = arith.mulf %wide_a, %wide_b : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<2x16xf32>
  return %s : tensor<2x16xf32>
}

// -----

// Near miss: the index of a maximum has no vector form, so the search stays for gqa-expand-copies.
// CHECK-LABEL: func @search
// CHECK-NOT: vector
// CHECK: linalg.generic
// CHECK-NOT: vector
// CHECK: return
func.func @search(%x: tensor<37xf32>, %max: tensor<f32>, %at: tensor<i64>) -> (tensor<f32>, tensor<i64>) {
  %r:2 = linalg.generic {indexing_maps = [affine_map<(n) -> (n)>, affine_map<(n) -> ()>, affine_map<(n) -> ()>],
                         iterator_types = ["reduction"]}
      ins(%x : tensor<37xf32>) outs(%max, %at : tensor<f32>, tensor<i64>) {
  ^bb0(%a: f32, %best: f32, %where: i64):
    %n = linalg.index 0 : index
    %here = arith.index_cast %n : index to i64
    %is_more = arith.cmpf ogt, %a, %best : f32
    %value = arith.select %is_more, %a, %best : f32
    %index = arith.select %is_more, %here, %where : i64
    linalg.yield %value, %index : f32, i64
  } -> (tensor<f32>, tensor<i64>)
  return %r#0, %r#1 : tensor<f32>, tensor<i64>
}

// Bytes of two 4-bit elements: the bits of each half, made signed, and the halves side by side.
// CHECK-LABEL: func @nibbles
func.func @nibbles(%x: tensor<1x16xi8>, %init: tensor<1x16x2xf32>) -> tensor<1x16x2xf32> {
  // CHECK-DAG: %[[EIGHT:.*]] = arith.constant dense<8> : vector<16xi8>
  // CHECK: %[[BYTES:.*]] = vector.transfer_read
  // CHECK: %[[EVEN:.*]] = arith.andi %[[BYTES]], %{{.*}} : vector<16xi8>
  // CHECK: %[[FLIPPED:.*]] = arith.xori %[[EVEN]], %[[EIGHT]]
  // CHECK: %[[LOW:.*]] = arith.subi %[[FLIPPED]], %[[EIGHT]]
  // CHECK: %[[ODD:.*]] = arith.shrui %[[BYTES]]
  // CHECK: arith.xori %[[ODD]], %[[EIGHT]]
  // CHECK: %[[HIGH:.*]] = arith.subi
  // CHECK: arith.sitofp %[[LOW]] : vector<16xi8> to vector<16xf32>
  // CHECK: arith.sitofp %[[HIGH]]
  // CHECK: vector.interleave %{{.*}} -> vector<32xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(r, b, h) -> (r, b)>, affine_map<(r, b, h) -> (r, b, h)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x16xi8>) outs(%init : tensor<1x16x2xf32>) {
  ^bb0(%byte: i8, %out: f32):
    %c28 = arith.constant 28 : i32
    %c4 = arith.constant 4 : i32
    %index = linalg.index 2 : index
    %half = arith.index_cast %index : index to i32
    %word = arith.extsi %byte : i8 to i32
    %offset = arith.muli %half, %c4 : i32
    %bits = arith.subi %c28, %offset : i32
    %top = arith.shli %word, %bits : i32
    %element = arith.shrsi %top, %c28 : i32
    %float = arith.sitofp %element : i32 to f32
    linalg.yield %float : f32
  } -> tensor<1x16x2xf32>
  return %y : tensor<1x16x2xf32>
}

// -----

// Near miss: bytes that are repeated, as those of a mask for two heads.
// CHECK-LABEL: func @repeated_bytes
// CHECK-NOT: arith.shrui
// CHECK: return
func.func @repeated_bytes(%x: tensor<1x16xi8>, %init: tensor<1x16x2xi8>) -> tensor<1x16x2xi8> {
  %y = linalg.generic {indexing_maps = [affine_map<(r, b, h) -> (r, b)>, affine_map<(r, b, h) -> (r, b, h)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x16xi8>) outs(%init : tensor<1x16x2xi8>) {
  ^bb0(%byte: i8, %out: i8):
    linalg.yield %byte : i8
  } -> tensor<1x16x2xi8>
  return %y : tensor<1x16x2xi8>
}

// -----

// Words of four bytes: brought together within 16 bytes, and stored in their order.
// CHECK-LABEL: func @byte_words
func.func @byte_words(%x: tensor<1x4x16xi8>, %init: tensor<1x16x4xi8>) -> tensor<1x16x4xi8> {
  // CHECK: %[[A:.*]] = vector.shuffle %{{.*}}, %{{.*}} [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23]
  // CHECK: %[[B:.*]] = vector.shuffle %{{.*}}, %{{.*}} [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23]
  // CHECK: %[[FIRST:.*]] = vector.shuffle %[[A]], %[[B]] [0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23]
  // CHECK: %[[ROW:.*]] = vector.broadcast %[[FIRST]]
  // CHECK: vector.transfer_write %[[ROW]], %{{.*}}[%c0, %c0]
  // CHECK: vector.shuffle %[[A]], %[[B]] [8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31]
  // CHECK: vector.shuffle {{.*}} [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31]
  // CHECK-COUNT-2: vector.transfer_write
  %y = linalg.generic {indexing_maps = [affine_map<(w, l, p) -> (w, p, l)>, affine_map<(w, l, p) -> (w, l, p)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x4x16xi8>) outs(%init : tensor<1x16x4xi8>) {
  ^bb0(%byte: i8, %out: i8):
    linalg.yield %byte : i8
  } -> tensor<1x16x4xi8>
  return %y : tensor<1x16x4xi8>
}

// -----

// Rows of words, transposed word by word.
// CHECK-LABEL: func @exchanged_words
func.func @exchanged_words(%x: tensor<16x16x4xi8>, %init: tensor<16x16x4xi8>) -> tensor<16x16x4xi8> {
  // CHECK: %[[WORDS:.*]] = vector.bitcast %{{.*}} : vector<16x64xi8> to vector<16x16xi32>
  // CHECK: %[[TURNED:.*]] = vector.transpose %[[WORDS]], [1, 0]
  // CHECK: vector.bitcast %[[TURNED]] : vector<16x16xi32> to vector<16x64xi8>
  %y = linalg.generic {indexing_maps = [affine_map<(w, l, p) -> (l, w, p)>, affine_map<(w, l, p) -> (w, l, p)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<16x16x4xi8>) outs(%init : tensor<16x16x4xi8>) {
  ^bb0(%byte: i8, %out: i8):
    linalg.yield %byte : i8
  } -> tensor<16x16x4xi8>
  return %y : tensor<16x16x4xi8>
}

// -----

// Keys of 8 bits become integers of 16, two to a lane; one instruction for each row and key.
// CHECK-LABEL: func @short_dots
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<2x1x16x2xi16>, %[[K:[a-z0-9]*]]: tensor<3x1x16x2xi8>
func.func @short_dots(%q: tensor<2x1x16x2xi16>, %k: tensor<3x1x16x2xi8>, %init: tensor<2x3x16xi32>) -> tensor<2x3x16xi32> {
  // CHECK: %[[KEYS:.*]] = tensor.collapse_shape %[[K]]
  // CHECK: %[[KEY:.*]] = vector.transfer_read %[[KEYS]]
  // CHECK: arith.extsi %[[KEY]] : vector<32xi8> to vector<32xi16>
  // CHECK-COUNT-6: gqa.dot_shorts {{.*}} : vector<16xi32>, vector<32xi16>
  // CHECK-NOT: gqa.dot_shorts
  %s = linalg.generic {indexing_maps = [affine_map<(m, n, lane, step, part) -> (m, step, lane, part)>,
                                        affine_map<(m, n, lane, step, part) -> (n, step, lane, part)>,
                                        affine_map<(m, n, lane, step, part) -> (m, n, lane)>],
                       iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%q, %k : tensor<2x1x16x2xi16>, tensor<3x1x16x2xi8>) outs(%init : tensor<2x3x16xi32>) {
  ^bb0(%a: i16, %b: i8, %c: i32):
    %x = arith.extsi %a : i16 to i32
    %y = arith.extsi %b : i8 to i32
    %product = arith.muli %x, %y : i32
    %sum = arith.addi %c, %product : i32
    linalg.yield %sum : i32
  } -> tensor<2x3x16xi32>
  return %s : tensor<2x3x16xi32>
}

// -----

// Two rows of values are brought together, one of each in a lane.
// CHECK-LABEL: func @short_values
func.func @short_values(%w: tensor<2x1x2xi16>, %v: tensor<1x2x32xi8>, %init: tensor<2x32xi32>) -> tensor<2x32xi32> {
  // CHECK: %[[EVEN:.*]] = arith.extsi %{{.*}} : vector<32xi8> to vector<32xi16>
  // CHECK: %[[ODD:.*]] = arith.extsi %{{.*}} : vector<32xi8> to vector<32xi16>
  // CHECK: vector.interleave %[[EVEN]], %[[ODD]] : vector<32xi16> -> vector<64xi16>
  // CHECK-COUNT-4: gqa.dot_shorts
  // CHECK-NOT: gqa.dot_shorts
  %s = linalg.generic {indexing_maps = [affine_map<(m, lane, word, part) -> (m, word, part)>,
                                        affine_map<(m, lane, word, part) -> (word, part, lane)>,
                                        affine_map<(m, lane, word, part) -> (m, lane)>],
                       iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%w, %v : tensor<2x1x2xi16>, tensor<1x2x32xi8>) outs(%init : tensor<2x32xi32>) {
  ^bb0(%a: i16, %b: i8, %c: i32):
    %x = arith.extsi %a : i16 to i32
    %y = arith.extsi %b : i8 to i32
    %product = arith.muli %x, %y : i32
    %sum = arith.addi %c, %product : i32
    linalg.yield %sum : i32
  } -> tensor<2x32xi32>
  return %s : tensor<2x32xi32>
}

// -----

// Sums of integers over lanes go as those of floats do.
// CHECK-LABEL: func @short_sums
// CHECK-COUNT-15: arith.addi {{.*}} : vector<16xi32>
func.func @short_sums(%p: tensor<4x4x16xi32>, %init: tensor<4x4xi32>) -> tensor<4x4xi32> {
  %s = linalg.generic {indexing_maps = [affine_map<(m, n, lane) -> (m, n, lane)>, affine_map<(m, n, lane) -> (m, n)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%p : tensor<4x4x16xi32>) outs(%init : tensor<4x4xi32>) {
  ^bb0(%a: i32, %c: i32):
    %sum = arith.addi %c, %a : i32
    linalg.yield %sum : i32
  } -> tensor<4x4xi32>
  return %s : tensor<4x4xi32>
}

// -----

// Keys of 8 bits are widened in registers, 16 at a time, and multiplied as floats are.
// CHECK-LABEL: func @narrow_keys
// CHECK: arith.sitofp %{{.*}} : vector<{{.*}}16xi8> to vector<{{.*}}16xf32>
// CHECK: math.fma {{.*}}16xf32>
func.func @narrow_keys(%q: tensor<2x1x16xf32>, %k: tensor<4x1x16xi8>, %init: tensor<2x4x16xf32>) -> tensor<2x4x16xf32> {
  %s = linalg.generic {indexing_maps = [affine_map<(row, key, lane, step) -> (row, step, lane)>,
                                        affine_map<(row, key, lane, step) -> (key, step, lane)>,
                                        affine_map<(row, key, lane, step) -> (row, key, lane)>],
                       iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x1x16xf32>, tensor<4x1x16xi8>) outs(%init : tensor<2x4x16xf32>) {
  ^bb0(%a: f32, %b: i8, %c: f32):
    %wide = arith.sitofp %b : i8 to f32
    %product = arith.mulf %a, %wide : f32
    %sum = arith.addf %c, %product : f32
    linalg.yield %sum : f32
  } -> tensor<2x4x16xf32>
  return %s : tensor<2x4x16xf32>
}
