// As torch-mlir spells an addition that may broadcast its second operand.
#map = affine_map<(i) -> (i)>
func.func @add(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %a, %c0 : tensor<?xf32>
  %m = tensor.dim %b, %c0 : tensor<?xf32>
  %is_one = arith.cmpi eq, %m, %c1 : index
  %is_same = arith.cmpi eq, %n, %m : index
  %is_good = arith.ori %is_one, %is_same : i1
  cf.assert %is_good, "mismatched size for broadcast"
  %empty = tensor.empty(%n) : tensor<?xf32>
  %sum = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]}
      ins(%a : tensor<?xf32>) outs(%empty : tensor<?xf32>) {
  ^bb0(%x: f32, %out: f32):
    %i = linalg.index 0 : index
    %at = arith.select %is_one, %c0, %i : index
    %y = tensor.extract %b[%at] : tensor<?xf32>
    %r = arith.addf %x, %y : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %sum : tensor<?xf32>
}
