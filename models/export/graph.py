"""The encoder as an ONNX graph, in float32 or with int8 matrices.

    ids -> rows + positions -> norm -> 6 x (attention, norm, widen, gelu, narrow, norm) -> pools

It is written out operator by operator because a traced graph costs more: a sum and a norm are
faster apart than as the operator that runtimes fuse them to, and activations are quantised with
one scale that was calibrated, so that what stands beside a text in a batch changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.export.attention import MASKED, float_attention, int8_attention
from models.export.features import Features
from models.export.trunk import EPSILON, LAYERS, WIDTH

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Tensors = Mapping[str, NDArray[Any]]
_FUSED = "com.microsoft"
_OPSET = 21
# Of opset 21; older runtimes refuse a newer one than they know.
_IR = 10


class Matrices(Protocol):
    """How a graph multiplies by a weight matrix, and what goes with it."""

    @property
    def gelu(self) -> str:
        """The runtime's operator."""

    def inputs(self, graph: Graph, value: str, site: str) -> str:
        """Bring an activation into the form that `product` takes; once for all who read it."""

    def product(self, graph: Graph, value: str, name: str) -> str:
        """Multiply by `NAME.weight` and add `NAME.bias`."""

    def attention(self, graph: Graph, query: str, key: str, value: str, layer: str) -> str:
        """Attend."""


class Graph:
    """Nodes that are added one by one, each with one output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def add(self, operator: str, *inputs: str, name: str = "", domain: str = "", **a: Any) -> str:
        """Add a node and return its output's name."""
        from onnx import helper

        output = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], output, domain=domain, **a)
        )
        return output

    def fused(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add one of the runtime's own operators."""
        return self.add(operator, *inputs, domain=_FUSED, **attributes)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Keep a small constant in the graph itself."""
        self.constants[name] = value
        return name


class Floats:
    """Float32 matrices, for calibration and comparison."""

    gelu = "Gelu"

    def inputs(self, graph: Graph, value: str, site: str) -> str:
        """Give the activation a name that can be an output."""
        return graph.add("Identity", value, name=site)

    def product(self, graph: Graph, value: str, name: str) -> str:
        """Multiply and add."""
        product = graph.add("MatMul", value, f"{name}.weight")
        return graph.add("Add", product, f"{name}.bias", name=f"{name}.output")

    def attention(self, graph: Graph, query: str, key: str, value: str, layer: str) -> str:  # noqa: ARG002
        """Attend in float32."""
        return float_attention(graph, query, key, value)


class Int8:
    """Int8 matrices with a scale a column, uint8 activations with one scale and zero."""

    gelu = "FastGelu"

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def inputs(self, graph: Graph, value: str, site: str) -> str:
        """Rescale the channels to like ranges where they are not, and quantise."""
        if f"{site}.smooth" in self._tensors:
            value = graph.add("Mul", value, f"{site}.smooth")
        return graph.add("QuantizeLinear", value, f"{site}.scale", f"{site}.zero", name=site)

    def product(self, graph: Graph, value: str, name: str) -> str:
        """Multiply integers, sum them in int32, and scale the sum."""
        return graph.fused(
            "MatMulIntegerToFloat",
            value,
            f"{name}.weight",
            f"{value}.scale",
            f"{name}.scale",
            f"{value}.zero",
            "",
            f"{name}.bias",
        )

    def attention(self, graph: Graph, query: str, key: str, value: str, layer: str) -> str:
        """Attend by int8 scores."""
        return int8_attention(graph, query, key, value, layer)


def build(
    tensors: Tensors, features: Features, matrices: Matrices, taps: Sequence[str] = ()
) -> ModelProto:
    """Return the model, with its tensors inside.

    Inputs are `input_ids` and `attention_mask`, int64 [batch, tokens]; outputs are `embedding`,
    float32 [batch, 384], mean pooled and of any length, and `features` [batch, F].

    Args:
        tensors: as `models.export.quantise` names them.
        features: what to pool.
        matrices: how to multiply.
        taps: further activations to put out, by site.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = Graph()
    hidden = _encoded(graph, tensors, matrices)
    pools = _Pools(graph, hidden)
    graph.add("Identity", pools(LAYERS, "mean"), name="embedding")
    columns = [pools(one.layer, one.pooling) for one in features.pools]
    graph.add("Concat", *columns, name="features", axis=1)
    used = {name for node in graph.nodes for name in node.input}
    constants = {name: tensor for name, tensor in tensors.items() if name in used}
    shape = ["batch", "tokens"]
    model: ModelProto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "trunk",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, shape)
                for name in ("input_ids", "attention_mask")
            ],
            [
                helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH]),
                helper.make_tensor_value_info(
                    "features", TensorProto.FLOAT, ["batch", features.width]
                ),
                *(helper.make_tensor_value_info(tap, TensorProto.FLOAT, None) for tap in taps),
            ],
            [
                numpy_helper.from_array(np.asarray(tensor), name)
                for name, tensor in (constants | graph.constants).items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)],
        ir_version=_IR,
        producer_name="dragoman",
    )
    return model


def _encoded(graph: Graph, tensors: Tensors, matrices: Matrices) -> list[str]:
    """Return the hidden states, the embeddings first."""

    def norm(value: str, name: str) -> str:
        return graph.add(
            "LayerNormalization", value, f"{name}.scale", f"{name}.bias", epsilon=EPSILON
        )

    _masks(graph)
    state = norm(_embedded(graph, tensors), "norm")
    hidden = [state]
    for index in range(LAYERS):
        layer = f"layers.{index}"
        read = matrices.inputs(graph, state, f"{layer}.attention")
        query, key, value = (
            matrices.product(graph, read, f"{layer}.{part}") for part in ("query", "key", "value")
        )
        context = matrices.attention(graph, query, key, value, layer)
        read = matrices.inputs(graph, context, f"{layer}.context")
        change = matrices.product(graph, read, f"{layer}.output")
        state = norm(graph.add("Add", state, change), f"{layer}.attention_norm")
        read = matrices.inputs(graph, state, f"{layer}.state")
        wide = graph.fused(matrices.gelu, matrices.product(graph, read, f"{layer}.widen"))
        read = matrices.inputs(graph, wide, f"{layer}.wide")
        change = matrices.product(graph, read, f"{layer}.narrow")
        state = norm(graph.add("Add", state, change), f"{layer}.norm")
        hidden.append(state)
    return hidden


def _embedded(graph: Graph, tensors: Tensors) -> str:
    """Return the sum of each token's row and its position's."""
    rows = graph.add("Gather", "words.weight", "input_ids")
    if "words.scale" in tensors:
        scales = graph.add("Gather", "words.scale", "input_ids")
        rows = graph.add("Mul", graph.add("Cast", rows, to=1), scales)
    length = graph.add("Shape", "input_ids", start=1)
    zero = graph.constant("zero", np.zeros(1, np.int64))
    positions = graph.add("Slice", "positions", zero, length)
    return graph.add("Add", rows, positions)


def _masks(graph: Graph) -> None:
    """Add what attention needs to know of padding, whichever way it attends."""
    graph.add("Cast", "attention_mask", name="mask32", to=6)
    least = graph.add("ReduceMin", "attention_mask", keepdims=0)
    graph.add("Cast", least, name="is_full", to=9)
    mask = graph.add("Cast", "attention_mask", to=1)
    one = graph.constant("one", np.array(1.0, np.float32))
    far = graph.constant("far", np.array(-MASKED, np.float32))
    hidden = graph.add("Mul", graph.add("Sub", mask, one), far)
    axes = graph.constant("head_axes", np.array([1, 2], np.int64))
    graph.add("Unsqueeze", hidden, axes, name="penalty")


class _Pools:
    """Pools hidden states, each at most once."""

    def __init__(self, graph: Graph, hidden: Sequence[str]) -> None:
        self._graph = graph
        self._hidden = hidden
        self._found: dict[tuple[int, str], str] = {}
        last = graph.constant("last_axis", np.array([-1], np.int64))
        self._second = graph.constant("second_axis", np.array([1], np.int64))
        mask = graph.add("Cast", "attention_mask", to=1)
        total = graph.add("ReduceSum", mask, self._second, keepdims=1)
        # The mean as a product: [batch, 1, tokens] @ [batch, tokens, 384].
        share = graph.add("Unsqueeze", graph.add("Div", mask, total), self._second)
        self._share = share
        one = graph.constant("one", np.array(1.0, np.float32))
        far = graph.constant("far", np.array(-MASKED, np.float32))
        hidden_by = graph.add("Mul", graph.add("Sub", mask, one), far)
        self._seen = graph.add("Unsqueeze", mask, last)
        self._penalty = graph.add("Unsqueeze", hidden_by, last)

    def __call__(self, layer: int, pooling: str) -> str:
        key = (layer, pooling)
        if key not in self._found:
            self._found[key] = getattr(self, f"_{pooling}")(self._hidden[layer])
        return self._found[key]

    def _mean(self, state: str) -> str:
        return self._graph.add(
            "Squeeze", self._graph.add("MatMul", self._share, state), self._second
        )

    def _max(self, state: str) -> str:
        penalised = self._graph.add("Add", state, self._penalty)
        return self._graph.add("ReduceMax", penalised, self._second, keepdims=0)

    def _probe(self, state: str) -> str:
        product = self._graph.add("MatMul", state, "probe.weight")
        units = self._graph.add("Relu", self._graph.add("Add", product, "probe.bias"))
        # None is below zero, so zero hides a token.
        seen = self._graph.add("Mul", units, self._seen)
        return self._graph.add("ReduceMax", seen, self._second, keepdims=0)

    def _first(self, state: str) -> str:
        first = self._graph.constant("first", np.array(0, np.int64))
        return self._graph.add("Gather", state, first, axis=1)
