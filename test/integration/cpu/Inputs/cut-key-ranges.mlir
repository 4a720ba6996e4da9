// Cuts the online attention that is marked `cut` into four ranges of keys.
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%module: !transform.any_op {transform.readonly}) {
    %online = transform.structured.match ops{["gqa.online_attention"]} attributes{cut} in %module
        : (!transform.any_op) -> !transform.any_op
    %acc, %max, %sum, %tiled, %merge, %loop = transform.structured.tile_reduction_using_forall %online
        reduction_dims = [4] by num_threads = [0, 0, 0, 0, 4] : (!transform.any_op)
        -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op,
            !transform.any_op)
    transform.yield
  }
}
