"""Graphs whose products of matrices are of whole numbers."""

from pathlib import Path

from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata


def quantise(graph: ModelProto, file: Path, *, exact: tuple[str, ...] = ()) -> None:
    """Write a graph whose products by weights are of 8 bits: weights once, what they multiply each time.

    Weights have 7 bits: with 8, sums of products overflow on x86 processors without VNNI, and vectors would depend on
    the machine.

    Args:
        graph: in float32.
        file: the file to write.
        exact: what the names of weights begin with that stay in float32.

    Examples:
        >>> quantise(onnx.load("model.onnx"), Path("int8.onnx"), exact=("whitening",))  # doctest: +SKIP
    """
    weights = {weight.name for weight in graph.graph.initializer if not weight.name.startswith(exact)}
    products = [node.name for node in graph.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    add_pre_process_metadata(graph)  # or a warning would ask for it: there is nothing in the graph to be simplified
    quantize_dynamic(
        graph, file, nodes_to_quantize=products, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
    )
