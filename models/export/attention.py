"""Attention as nodes of a graph: in float32 by the runtime's operator, or with int8 scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.export.trunk import HEADS, WIDTH

if TYPE_CHECKING:
    from models.export.graph import Graph

_SIZE = WIDTH // HEADS
_BY_HEAD = [0, 2, 1, 3]
_BY_HEAD_TURNED = [0, 2, 3, 1]
# exp(-10,000) is zero in float32.
MASKED = -10_000.0


def float_attention(graph: Graph, query: str, key: str, value: str) -> str:
    """Return the context, [batch, tokens, 384]."""
    return graph.fused("MultiHeadAttention", query, key, value, "", "mask32", num_heads=HEADS)


def int8_attention(graph: Graph, query: str, key: str, value: str, name: str) -> str:
    """Return the context, its scores from int8 queries and keys.

    A key's 32 numbers are too few for a float32 product to be fast, and scores are forgiving:
    on 1,000 questions the cosine to float32 is the same to four places.

    Args:
        graph: that it is added to.
        query: [batch, tokens, 384]; key and value likewise.
        key: see `query`.
        value: see `query`.
        name: of the layer; `NAME.query.output.scale` and `NAME.key.output.scale` are constants.
    """
    byte, signed = np.array(128, np.uint8), np.array(0, np.int8)
    middle = graph.constant("query_zero", byte)
    zero = graph.constant("key_zero", signed)
    queries = graph.add("QuantizeLinear", query, f"{name}.query.output.scale", middle)
    keys = graph.add("QuantizeLinear", key, f"{name}.key.output.scale", zero)
    root = graph.constant("root", np.array(_SIZE**-0.5, np.float32))
    scores = graph.fused(
        "MatMulIntegerToFloat",
        _heads(graph, queries, _BY_HEAD),
        _heads(graph, keys, _BY_HEAD_TURNED),
        f"{name}.query.output.scale",
        graph.add("Mul", f"{name}.key.output.scale", root),
        middle,
        zero,
    )
    shares = _shares(graph, scores)
    context = graph.add("MatMul", shares, _heads(graph, value, _BY_HEAD))
    whole = graph.constant("whole", np.array([0, 0, WIDTH], np.int64))
    return graph.add("Reshape", graph.add("Transpose", context, perm=_BY_HEAD), whole)


def _heads(graph: Graph, value: str, order: list[int]) -> str:
    parted = graph.constant("parted", np.array([0, 0, HEADS, _SIZE], np.int64))
    return graph.add("Transpose", graph.add("Reshape", value, parted), perm=order)


def _shares(graph: Graph, scores: str) -> str:
    """Return the softmax of scores; the mask is only added where there is padding."""
    from onnx import TensorProto, helper

    def branch(name: str, *nodes: tuple[str, list[str]]) -> object:
        made = []
        for operator, inputs in nodes:
            output = f"{scores}_{name}_{operator}"
            made.append(helper.make_node(operator, inputs, [output], output))
        return helper.make_graph(
            made, name, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        )

    masked = f"{scores}_padded_Add"
    return graph.add(
        "If",
        "is_full",
        then_branch=branch("full", ("Softmax", [scores])),
        else_branch=branch("padded", ("Add", [scores, "penalty"]), ("Softmax", [masked])),
    )
