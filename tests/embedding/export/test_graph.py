import numpy as np
import onnx
import onnxruntime
import pytest

from item_embed.embedding.export.graph import Graph


def test_values_go_where_nodes_take_them_and_a_weight_is_kept_once() -> None:
    graph = Graph()
    x = graph.input("x", np.float32, ["rows", 2], "numbers")
    twice = graph.add("Mul", graph.input("x", np.float32, ["rows", 2], "numbers"), graph.scalar(2))
    again = graph.add("Mul", twice, graph.scalar(2))
    shifted = graph.add("Add", again, graph.weight("shift", np.array([[1, 2]], np.float32)))
    model = graph.model("y", ["rows", 1], graph.add("ReduceSum", shifted, graph.ints(1)), {"of": "a test"})
    assert x == "x"
    assert len(model.graph.input) == 1
    assert sorted(weight.name for weight in model.graph.initializer) == ["ints (1,)", "scalar 2", "shift"]
    assert {prop.key: prop.value for prop in model.metadata_props} == {"of": "a test"}
    assert model.graph.input[0].doc_string == "numbers"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], {"x": np.array([[1, 10], [2, 20], [3, 30]], np.float32)})
    assert y.tolist() == [[47], [91], [135]]


def test_what_does_not_fit_together_is_no_model() -> None:
    graph = Graph()
    with pytest.raises(onnx.checker.ValidationError):
        graph.model("y", ["rows"], graph.add("Relu", "a value that nothing gives"), {})
