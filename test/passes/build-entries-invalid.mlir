// RUN: gqa-opt %s --split-input-file --gqa-build-entries --verify-diagnostics

// Callers have tensors of known rank, with elements that are integers or floats.
// expected-error @below {{argument 1 has type 'memref<4xf32>', which an artifact's entry cannot carry}}
func.func @buffer(%x: tensor<4xf32>, %y: memref<4xf32>) {
  return
}

// -----

// expected-error @below {{argument 0 has type 'tensor<*xf32>', which an artifact's entry cannot carry}}
func.func @unranked(%x: tensor<*xf32>) {
  return
}

// -----

// expected-error @below {{argument 0 has type 'tensor<4xcomplex<f32>>', which an artifact's entry cannot carry}}
func.func @complex(%x: tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>> {
  return %x : tensor<4xcomplex<f32>>
}

// -----

// expected-error @below {{must have one block to become an entry}}
func.func @blocks(%x: tensor<4xf32>) -> tensor<4xf32> {
  cf.br ^next
^next:
  return %x : tensor<4xf32>
}

// -----

// A call that is left was not inlined; only entries know the host.
func.func private @declared(tensor<4xf32>) -> tensor<4xf32>
func.func @caller(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'func.call' op calls 'declared', which cannot be inlined into the artifact's entry}}
  %y = call @declared(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
