"""Dialects whose answers are numbers: rerank, and counts of tokens."""

import pytest
from cohere.v2.types import V2RerankResponse

from pipeline.api import Call, InvalidCall, Segment, Usage
from pipeline.dialects.cohere_rerank import CohereRerank
from pipeline.dialects.registry import builtin
from pipeline.dialects.token_counts import AnthropicCountTokens, OpenAIInputTokens, VllmTokenize

RERANK, ANTHROPIC, OPENAI, VLLM = (
    CohereRerank(),
    AnthropicCountTokens(),
    OpenAIInputTokens(),
    VllmTokenize(),
)
ALL = [RERANK, ANTHROPIC, OPENAI, VLLM]
DOCUMENT = {"model": "m", "query": "q", "documents": ["a", {"text": "b", "year": 3}], "top_n": 1}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/rerank", "cohere.rerank"),
        ("/v2/rerank", "cohere.rerank"),
        ("/cohere/v2/rerank", "cohere.rerank"),
        ("/v1/messages/count_tokens", "anthropic.count_tokens"),
        ("/anthropic/v1/messages/count_tokens", "anthropic.count_tokens"),
        ("/v1/responses/input_tokens", "openai.input_tokens"),
        ("/openai/v1/responses/input_tokens", "openai.input_tokens"),
        ("/tokenize", "vllm.tokenize"),
    ],
)
def test_paths_are_known_behind_any_prefix(path, name):
    assert builtin().for_path(path).name == name


def test_query_and_documents_are_segments_in_place():
    RERANK.check(DOCUMENT)

    assert [(one.text, one.at) for one in RERANK.segments(DOCUMENT)] == [
        ("q", ("query",)),
        ("a", ("documents", 0)),
        ("b", ("documents", 1, "text")),
    ]


def test_a_document_that_is_removed_keeps_its_place_and_a_new_text_joins_the_query():
    call = Call(RERANK, DOCUMENT, None)
    query, _, b = call.segments
    rewritten = Segment("user", "B", at=b.at)
    after = call.replace(segments=[Segment("system", "rank:"), query, rewritten])

    assert dict(after.document) == {
        **DOCUMENT,
        "query": "rank:\n\nq",
        "documents": ["", {"text": "B", "year": 3}],
    }


def test_an_unchanged_list_of_segments_changes_nothing():
    assert RERANK.with_segments(DOCUMENT, RERANK.segments(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"query": None}, "query"),
        ({"query": 1}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 1]}, "documents[1]"),
        ({"model": 1}, "model"),
    ],
)
def test_a_rerank_without_query_or_documents_is_refused(change, param):
    with pytest.raises(InvalidCall) as caught:
        RERANK.check({**DOCUMENT, **change})

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ({"meta": {"tokens": {"input_tokens": 5, "output_tokens": 0}}}, Usage(5, 0)),
        ({"meta": {"billed_units": {"search_units": 1}}}, Usage()),
        ({"usage": {"prompt_tokens": 4, "total_tokens": 4}}, Usage(4)),
        ({"usage": {"total_tokens": 3}}, Usage(3)),
        ({}, Usage()),
    ],
)
def test_a_reranks_tokens_are_read_where_a_server_counts_them(answer, tokens):
    answer = {"id": "1", "results": [{"index": 0, "relevance_score": 0.5}], **answer}
    V2RerankResponse.model_validate({k: v for k, v in answer.items() if k != "usage"})

    assert RERANK.usage(answer) == tokens


def test_a_reranks_error_is_coheres():
    error = RERANK.error(status=400, code="invalid_type", message="bad", param="query")

    assert error == {"message": "bad", "code": "invalid_type", "param": "query"}
    assert RERANK.error(status=500, code="c", message="m") == {"message": "m", "code": "c"}


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        (ANTHROPIC, {"input_tokens": 7}),
        (OPENAI, {"object": "response.input_tokens", "input_tokens": 7}),
        (VLLM, {"count": 7, "max_model_len": 9, "tokens": []}),
    ],
)
def test_a_count_is_the_usage_of_its_call(dialect, answer):
    assert dialect.usage(answer) == Usage(7)
    assert dialect.usage({}) == Usage()


def test_a_call_to_be_counted_is_read_as_one_to_be_answered():
    messages = [{"role": "user", "content": "a"}]
    tools = [{"name": "t", "input_schema": {}}]
    anthropic = {"model": "m", "system": "s", "messages": messages, "tools": tools}
    openai = {"model": "m", "instructions": "s", "input": "a"}
    for dialect, document in ((ANTHROPIC, anthropic), (OPENAI, openai)):
        dialect.check(document)
        assert [one.text for one in dialect.segments(document)] == ["s", "a"]
    assert [tool.name for tool in ANTHROPIC.tools(anthropic)] == ["t"]


@pytest.mark.parametrize("field", ["prompt", "text", "content"])
def test_every_servers_tokenize_is_read_and_rewritten(field):
    document = {"model": "m", field: "a"}
    VLLM.check(document)
    call = Call(VLLM, document, None)
    (found,) = call.segments
    after = call.replace(segments=[Segment("user", "b", at=found.at)])

    assert dict(after.document) == {"model": "m", field: "b"}


def test_tokenize_takes_a_chat():
    document = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    call = Call(VLLM, document, None)
    after = call.replace(segments=[Segment("system", "s"), *call.segments])

    assert [one["role"] for one in after.document["messages"]] == ["system", "user"]
    with pytest.raises(InvalidCall):
        VLLM.check({"messages": []})
    with pytest.raises(InvalidCall):
        VLLM.check({"prompt": 1})


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_numbers_have_no_text_no_calls_and_cannot_be_made_up(dialect):
    answer = {"results": [], "input_tokens": 1, "count": 1}

    assert dialect.answer_segments(answer) == ()
    assert dialect.with_answer_segments(answer, ()) == answer
    assert dialect.tool_calls(answer) == ()
    assert dialect.finish_reason(answer) == ""
    assert dialect.event_segments("", answer) == ()
    assert dialect.with_event_segments("", answer, ()) == answer
    assert dialect.fold(dialect.unfold(answer)) == answer
    with pytest.raises(ValueError, match="cannot say a text"):
        dialect.compose("hi", model="m", id="1", created_s=1)
