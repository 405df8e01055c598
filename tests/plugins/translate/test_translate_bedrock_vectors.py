"""Embeddings and reranking on Bedrock, both ways."""

from __future__ import annotations

import pytest
from cohere.v2 import V2RerankResponse
from openai.types import CreateEmbeddingResponse

from pipeline.api import InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams.bedrock_converse import BedrockUpstream
from plugins.translate.upstreams.bedrock_converse_request import BedrockOptions
from tests.support.providers.bedrock_answers import model_answer
from tests.support.providers.bedrock_rules import check

TITAN_1 = "amazon.titan-embed-text-v1"
TITAN_2 = "amazon.titan-embed-text-v2:0"
TITAN_IMAGE = "amazon.titan-embed-image-v1"
COHERE_3 = "cohere.embed-multilingual-v3"
COHERE_4 = "us.cohere.embed-v4:0"
UPSTREAM = BedrockUpstream(BedrockOptions(), new_id=lambda: "one")


def sent(model, document, operation="embedding"):
    loss = Loss()
    outgoing = UPSTREAM.request(CanonicalCall(operation, document, model), loss)
    check(outgoing.path, outgoing.document)
    assert outgoing.path.endswith("/invoke")
    return outgoing.document, list(loss.names)


@pytest.mark.parametrize(
    ("model", "asked", "body", "lost"),
    [
        (TITAN_1, {"input": "hi", "user": "me"}, {"inputText": "hi"}, []),
        (TITAN_2, {"input": ["hi"], "dimensions": 256}, {"inputText": "hi", "dimensions": 256}, []),
        (
            TITAN_2,
            {"input": "hi", "normalize": False, "input_type": "query"},
            {"inputText": "hi", "normalize": False},
            ["input_type"],
        ),
        (
            TITAN_IMAGE,
            {"input": "hi", "dimensions": 256},
            {"inputText": "hi", "embeddingConfig": {"outputEmbeddingLength": 256}},
            [],
        ),
        (
            COHERE_3,
            {"input": ["a", "b"]},
            {"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]},
            [],
        ),
        (
            COHERE_4,
            {"input": "a", "input_type": "query", "dimensions": 512, "truncate": "RIGHT"},
            {
                "texts": ["a"],
                "input_type": "search_query",
                "truncate": "RIGHT",
                "output_dimension": 512,
                "embedding_types": ["float"],
            },
            [],
        ),
        (
            COHERE_3,
            {"input": "a", "input_type": "odd"},
            {"texts": ["a"], "input_type": "search_document", "embedding_types": ["float"]},
            ["input_type"],
        ),
    ],
)
def test_requests_for_embeddings(model, asked, body, lost):
    assert sent(model, asked) == (body, lost)


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        (TITAN_2, {"input": ["a", "b"]}, "input"),
        (TITAN_2, {"input": [1, 2]}, "input"),
        (TITAN_2, {"input": []}, "input"),
        (TITAN_1, {"input": "a", "dimensions": 256}, "dimensions"),
        (COHERE_3, {"input": "a", "dimensions": 256}, "dimensions"),
        ("amazon.nova-pro-v1:0", {"input": "a"}, "model"),
    ],
)
def test_embeddings_that_no_model_makes_are_refused(model, asked, param):
    with pytest.raises(InvalidCall) as raised:
        sent(model, asked)

    assert (raised.value.code, raised.value.param) == ("unsupported_by_backend", param)


@pytest.mark.parametrize(
    ("model", "asked", "count", "tokens"),
    [(TITAN_2, {"input": "hi there"}, 1, 2), (COHERE_4, {"input": ["a", "b"]}, 2, 0)],
)
def test_answers_of_embeddings(model, asked, count, tokens):
    body, _ = sent(model, asked)
    answer = UPSTREAM.answer(model_answer(model, body), CanonicalCall("embedding", asked, model))

    made = CreateEmbeddingResponse.model_validate(answer)
    assert [one.index for one in made.data] == list(range(count))
    assert made.usage.prompt_tokens == tokens


def test_vectors_without_types_are_read_too():
    call = CanonicalCall("embedding", {"input": ["a"]}, COHERE_3)
    answer = UPSTREAM.answer({"embeddings": [[0.5, 1.0]]}, call)

    assert answer["data"][0]["embedding"] == [0.5, 1.0]


@pytest.mark.parametrize("odd", [{}, {"embeddings": {"int8": [[1]]}}, {"embeddings": [None]}])
def test_answers_without_vectors_are_value_errors(odd):
    with pytest.raises(ValueError, match="no vectors"):
        UPSTREAM.answer(odd, CanonicalCall("embedding", {"input": "a"}, COHERE_3))


@pytest.mark.parametrize(
    ("model", "asked", "body", "lost"),
    [
        (
            "cohere.rerank-v3-5:0",
            {"query": "q", "documents": ["a", "b"], "top_n": 1, "max_tokens_per_doc": 9},
            {
                "query": "q",
                "documents": ["a", "b"],
                "top_n": 1,
                "api_version": 2,
                "max_tokens_per_doc": 9,
            },
            [],
        ),
        (
            "amazon.rerank-v1:0",
            {"query": "q", "documents": ["a"], "max_tokens_per_doc": 9},
            {"query": "q", "documents": ["a"]},
            ["max_tokens_per_doc"],
        ),
    ],
)
def test_reranking(model, asked, body, lost):
    assert sent(model, asked, "rerank") == (body, lost)
    answer = UPSTREAM.answer(model_answer(model, body), CanonicalCall("rerank", asked, model))

    made = V2RerankResponse.model_validate(answer)
    assert [one.index for one in made.results] == [0]
    assert made.id == "one"


def test_a_reranking_without_results_is_a_value_error():
    with pytest.raises(ValueError, match="no results"):
        UPSTREAM.answer({}, CanonicalCall("rerank", {}, "cohere.rerank-v3-5:0"))
