// RUN: gqa-opt %s --gqa-raise --canonicalize --cse | FileCheck %s
// RUN: gqa-opt %s --gqa-raise=explain=true 2>&1 | FileCheck %s --check-prefix=WHY

// What looks like attention and is not: each function departs from @plain in one place. Not raised, and the remark says
// where the match ended.

// Not a miss: what the others depart from.
// CHECK-LABEL: func.func @plain(
// CHECK: gqa.attention
// WHY: softmax is raised to gqa.attention: query[hkv, m, dqk] key[hkv, dqk, n]
func.func @plain(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The softmax runs over the queries.
// CHECK-LABEL: func.func @softmax_over_queries(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op divides by something that varies along the keys
func.func @softmax_over_queries(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x7 = arith.constant dense<0.0> : tensor<2x7xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x7 = arith.constant dense<0xFF800000> : tensor<2x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x7 : tensor<2x7xf32>) dimensions = [1]
  %mb = linalg.broadcast ins(%m : tensor<2x7xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [1]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x7 : tensor<2x7xf32>) dimensions = [1]
  %lb = linalg.broadcast ins(%l : tensor<2x7xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [1]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The softmax runs over the heads.
// CHECK-LABEL: func.func @softmax_over_heads(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op divides by something that varies along the keys
func.func @softmax_over_heads(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z5x7 = arith.constant dense<0.0> : tensor<5x7xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %x = math.exp %s : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z5x7 : tensor<5x7xf32>) dimensions = [0]
  %lb = linalg.broadcast ins(%l : tensor<5x7xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [0]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Masked after the sum was taken, and not divided again.
// CHECK-LABEL: func.func @mask_after_softmax(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op multiplies weights that are masked after their sum was taken
func.func @mask_after_softmax(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %w = arith.select %mask, %p, %zs : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum leaves keys out that the weights keep.
// CHECK-LABEL: func.func @sum_of_masked_weights(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op multiplies weights that are masked after their sum was taken
func.func @sum_of_masked_weights(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %w = arith.select %mask, %x, %zs : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%w : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Rows are set to 0 by an argument, whether they have keys or not.
// CHECK-LABEL: func.func @rows_set_to_zero(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op multiplies weights that are masked after their sum was taken
func.func @rows_set_to_zero(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %rows: tensor<2x5xi1>, %eb: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %r = linalg.broadcast ins(%rows : tensor<2x5xi1>) outs(%eb : tensor<2x5x7xi1>) dimensions = [2]
  %w = arith.select %r, %p, %zs : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The weights are squared.
// CHECK-LABEL: func.func @squared_weights(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op multiplies more than one exponential
func.func @squared_weights(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %w = arith.mulf %p, %p : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The weights are multiplied with an argument.
// CHECK-LABEL: func.func @dropout(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op does not multiply the weights with one value
func.func @dropout(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %drop: tensor<2x5x7xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %w = arith.mulf %p, %drop : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The weights are multiplied with 2.
// CHECK-LABEL: func.func @weights_of_two(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op multiplies no exponential
func.func @weights_of_two(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %w = arith.addf %p, %p : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The scores are returned, too.
// CHECK-LABEL: func.func @scores_returned(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op uses scores or weights for something else
func.func @scores_returned(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5x7xf32>) {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o, %s : tensor<2x5x16xf32>, tensor<2x5x7xf32>
}

// The weights are returned, too.
// CHECK-LABEL: func.func @weights_returned(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op uses scores or weights for something else
func.func @weights_returned(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5x7xf32>) {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o, %p : tensor<2x5x16xf32>, tensor<2x5x7xf32>
}

// The exponentials are returned, too.
// CHECK-LABEL: func.func @exponentials_returned(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op uses scores or weights for something else
func.func @exponentials_returned(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5x7xf32>) {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o, %x : tensor<2x5x16xf32>, tensor<2x5x7xf32>
}

// The scores of another head decide, too.
// CHECK-LABEL: func.func @scores_in_another_reduction(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op uses scores or weights for something else
func.func @scores_in_another_reduction(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x7xf32>) {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %low2x7 = arith.constant dense<0xFF800000> : tensor<2x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  %t = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x7 : tensor<2x7xf32>) dimensions = [1]
  return %o, %t : tensor<2x5x16xf32>, tensor<2x7xf32>
}

// 1 is added to a sum whose summands are scaled by the maximum.
// CHECK-LABEL: func.func @one_added_to_sum(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op adds a number to the sum that the row's maximum does not scale
func.func @one_added_to_sum(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %ones = arith.constant dense<1.0> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %l1 = arith.addf %l, %ones : tensor<2x5xf32>
  %lb = linalg.broadcast ins(%l1 : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum is another softmax's.
// CHECK-LABEL: func.func @sum_of_other_scores(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op sums something else than the weights over the keys
// WHY: softmax is not raised to gqa.attention: this op computes weights that no contraction multiplies with a value
func.func @sum_of_other_scores(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %q2: tensor<2x5x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %s2 = linalg.batch_matmul ins(%q2, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %otherm = linalg.reduce { arith.maximumf } ins(%s2 : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %othermb = linalg.broadcast ins(%otherm : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %otherd = arith.subf %s2, %othermb : tensor<2x5x7xf32>
  %otherx = math.exp %otherd : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%otherx : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum runs over the first four keys.
// CHECK-LABEL: func.func @sum_over_some_keys(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op sums over another number of keys than the contraction
func.func @sum_over_some_keys(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %some = tensor.extract_slice %x[0, 0, 0] [2, 5, 4] [1, 1, 1] : tensor<2x5x7xf32> to tensor<2x5x4xf32>
  %l = linalg.reduce { arith.addf } ins(%some : tensor<2x5x4xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum is one of squares.
// CHECK-LABEL: func.func @sum_of_squares(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op sums something else than the weights
func.func @sum_of_squares(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %xx = arith.mulf %x, %x : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%xx : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum is an argument.
// CHECK-LABEL: func.func @sum_given(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op is no sum over the keys
func.func @sum_given(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %l: tensor<2x5xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5xf32>) {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %unused = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o, %unused : tensor<2x5x16xf32>, tensor<2x5xf32>
}

// Divided by the sum twice.
// CHECK-LABEL: func.func @divided_twice(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op divides the weights more than once
func.func @divided_twice(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %w = arith.divf %p, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// What is subtracted varies along the keys, and the scores decide it.
// CHECK-LABEL: func.func @maximum_over_queries(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op makes a bias, a mask or an operand of the scores
func.func @maximum_over_queries(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x7 = arith.constant dense<0xFF800000> : tensor<2x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x7 : tensor<2x7xf32>) dimensions = [1]
  %mb = linalg.broadcast ins(%m : tensor<2x7xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [1]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum is one of exponentials of other numbers.
// CHECK-LABEL: func.func @maximum_in_weights_only(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op sums something else than the weights over the keys
// WHY: softmax is not raised to gqa.attention: this op computes weights that no contraction multiplies with a value
func.func @maximum_in_weights_only(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %y = math.exp %s : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%y : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum is one of powers of 2.
// CHECK-LABEL: func.func @other_base(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op sums something else than the weights
// WHY: softmax is not raised to gqa.attention: this op computes weights that no contraction multiplies with a value
func.func @other_base(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %y = math.exp2 %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%y : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The softmax of a softmax.
// CHECK-LABEL: func.func @softmax_of_softmax(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op does something to the scores that attention does not
func.func @softmax_of_softmax(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %secondm = linalg.reduce { arith.maximumf } ins(%p : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %secondmb = linalg.broadcast ins(%secondm : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %secondd = arith.subf %p, %secondmb : tensor<2x5x7xf32>
  %secondx = math.exp %secondd : tensor<2x5x7xf32>
  %secondl = linalg.reduce { arith.addf } ins(%secondx : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %secondlb = linalg.broadcast ins(%secondl : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %secondp = arith.divf %secondx, %secondlb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%secondp, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Each key has a scale.
// CHECK-LABEL: func.func @scale_per_key(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op scales the scores by something that varies along the keys
func.func @scale_per_key(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %f: tensor<7xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %w = linalg.broadcast ins(%f : tensor<7xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [0, 1]
  %t = arith.mulf %s, %w : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The scores are squared.
// CHECK-LABEL: func.func @squared_scores(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op multiplies the scores with themselves
func.func @squared_scores(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.mulf %s, %s : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Negative scores count as 0.
// CHECK-LABEL: func.func @relu_of_scores(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op does something to the scores that attention does not
func.func @relu_of_scores(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.maximumf %s, %zs : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Scores mask themselves.
// CHECK-LABEL: func.func @scores_mask_scores(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op masks the scores by themselves
func.func @scores_mask_scores(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %c = arith.cmpf ogt, %s, %zs : tensor<2x5x7xf32>
  %t = arith.select %c, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Masked keys keep some weight: the fill is 0.
// CHECK-LABEL: func.func @fill_that_counts(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op selects something else than a masking fill
func.func @fill_that_counts(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.select %mask, %s, %zs : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The cap comes after the bias.
// CHECK-LABEL: func.func @cap_after_bias(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op caps the scores after a bias or a mask
func.func @cap_after_bias(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %b: tensor<2x5x7xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.addf %s, %b : tensor<2x5x7xf32>
  %u = math.tanh %t : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%u : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %u, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Capped twice.
// CHECK-LABEL: func.func @cap_twice(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op caps the scores twice or by a number that is not positive
func.func @cap_twice(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = math.tanh %s : tensor<2x5x7xf32>
  %u = math.tanh %t : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%u : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %u, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// A factor per row on masked scores.
// CHECK-LABEL: func.func @scale_after_mask(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op scales biased, capped or masked scores by something that is not constant
func.func @scale_after_mask(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>, %f: tensor<2x5xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %w = linalg.broadcast ins(%f : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %u = arith.mulf %t, %w : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%u : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %u, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The sum of products starts from 1.
// CHECK-LABEL: func.func @products_start_from_one(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op is no sum of products that starts from 0
func.func @products_start_from_one(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %oneo = arith.constant dense<1.0> : tensor<2x5x16xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%oneo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The output adds to itself, weighted twice.
// CHECK-LABEL: func.func @two_values(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op uses scores or weights for something else
// WHY: softmax is not raised to gqa.attention: this op uses scores or weights for something else
func.func @two_values(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %vv = arith.mulf %v, %v : tensor<2x7x16xf32>
  %o1 = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  %o2 = linalg.batch_matmul ins(%p, %vv : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  %o = arith.addf %o1, %o2 : tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The weights are the result.
// CHECK-LABEL: func.func @no_contraction(
// CHECK-NOT: gqa.attention
// WHY: softmax is not raised to gqa.attention: this op computes weights that no contraction multiplies with a value
func.func @no_contraction(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x7xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  return %p : tensor<2x5x7xf32>
}

// No softmax at all, and no remark.
// CHECK-LABEL: func.func @sigmoid(
// CHECK-NOT: gqa.attention
func.func @sigmoid(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %ones3 = arith.constant dense<1.0> : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %n = arith.negf %s : tensor<2x5x7xf32>
  %x = math.exp %n : tensor<2x5x7xf32>
  %y = arith.addf %x, %ones3 : tensor<2x5x7xf32>
  %p = arith.divf %ones3, %y : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}
