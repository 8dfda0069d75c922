"""A graph of ONNX operators, put together node by node."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

import item_embed

OPSET = 20  # the first with Gelu; ONNX Runtime 1.17 reads it
_IR_VERSION = 9  # of the file, the one that came with this opset


class Graph:
    """Nodes and weights. A value is known by its name, a weight is in the file once however many nodes read it.

    Examples:
        >>> graph = Graph()
        >>> graph.add("Add", graph.input("x", np.float32, ["n", 2], "any"), graph.weight("one", np.ones(2, np.float32)))
        'add.0'
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, TensorProto] = {}
        self._inputs: dict[str, onnx.ValueInfoProto] = {}

    def input(self, name: str, kind: type, shape: list[str | int], meaning: str) -> str:
        """Declare an input; free dimensions have names."""
        if name not in self._inputs:
            code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            self._inputs[name] = helper.make_tensor_value_info(name, code, shape, meaning)
        return name

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Keep an array under a name."""
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def ints(self, *values: int) -> str:
        """A list of whole numbers, as operators take shapes, axes and bounds."""
        return self.weight(f"ints {values}", np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        """A float32."""
        return self.weight(f"scalar {value}", np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output, and give that output's name."""
        name = f"{operator.lower()}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def model(self, output: str, shape: list[str | int], source: str, facts: Mapping[str, str]) -> ModelProto:
        """The whole, whose one output is the value `source`, of float32, under the name `output`.

        Raises:
            onnx.checker.ValidationError: when nodes and values do not fit each other.
        """
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        nodes = [*self._nodes, helper.make_node("Identity", [source], [output], output)]
        graph = helper.make_graph(nodes, "item-embed", [*self._inputs.values()], [result], [*self._weights.values()])
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="item-embed",
            producer_version=item_embed.__version__,
        )
        helper.set_model_props(model, dict(facts))
        onnx.checker.check_model(model)
        return model
