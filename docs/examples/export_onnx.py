"""ONNX: the operator Attention, opset 23, with 8 query heads and 2 key/value heads, to attention.mlir.

    python3 export_onnx.py

Needs the packages onnx and iree-base-compiler. The operator is replaced by the body that its specification gives it, in
plain operators; IREE's importer takes those. Also writes q.npy, k.npy, v.npy and expected.npy, the answer of ONNX's
reference implementation.
"""

import pathlib
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, shape_inference
from onnx.reference import ReferenceEvaluator

Q_HEADS, KV_HEADS, LENGTH, HEAD_DIM = 8, 2, 24, 64
OPSET = 23


def make_model():
    shapes = {"q": Q_HEADS, "k": KV_HEADS, "v": KV_HEADS, "out": Q_HEADS}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, heads, LENGTH, HEAD_DIM))
              for name, heads in shapes.items()}
    node = helper.make_node("Attention", ["q", "k", "v"], ["out"], is_causal=1)
    graph = helper.make_graph([node], "attention", [values[name] for name in "qkv"], [values["out"]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def expand(model):
    """The operators in the body of Attention instead of itself."""
    function = model.functions.add()
    schema = onnx.defs.get_schema("Attention", OPSET)
    body = schema.get_function_with_opset_version(OPSET) if not schema.has_context_dependent_function else None
    source = body or schema.get_context_dependent_function(
        model.graph.node[0].SerializeToString(),
        [value.type.SerializeToString() for value in model.graph.input])
    function.ParseFromString(source if isinstance(source, bytes) else source.SerializeToString())
    function.domain = model.graph.node[0].domain = "expanded"
    model.opset_import.append(helper.make_opsetid("expanded", 1))
    return shape_inference.infer_shapes(inliner.inline_local_functions(model), data_prop=True)


def main():
    generator = np.random.default_rng(1)
    model = make_model()
    arrays = {name: generator.standard_normal((1, heads, LENGTH, HEAD_DIM), dtype=np.float32)
              for name, heads in (("q", Q_HEADS), ("k", KV_HEADS), ("v", KV_HEADS))}
    arrays["expected"] = ReferenceEvaluator(model).run(None, arrays)[0]
    onnx.save(expand(model), "attention.onnx")
    tools = pathlib.Path(sys.executable).parent
    subprocess.run([tools / "iree-import-onnx", "attention.onnx", "-o", "attention.torch.mlir"], check=True)
    subprocess.run([tools / "iree-opt", "attention.torch.mlir", "-o", "attention.mlir",
                    "--torch-onnx-to-torch-backend-pipeline",
                    "--torch-backend-to-linalg-on-tensors-backend-pipeline"], check=True)
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)


if __name__ == "__main__":
    main()
