import pytest
from openai.types import CreateEmbeddingResponse

from pipeline.api import Call, InvalidCall, Segment, Usage
from pipeline.dialects.openai_embeddings import OpenAIEmbeddings

EMBEDDINGS = OpenAIEmbeddings()
ANSWER = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
    "model": "m",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a", [("a", ("input",))]),
        (["a", "b"], [("a", ("input", 0)), ("b", ("input", 1))]),
        ([1, 2], [(None, ("input",))]),
        ([[1], [2]], [(None, ("input", 0)), (None, ("input", 1))]),
    ],
)
def test_texts_are_found_and_tokens_are_seen(value, found):
    document = {"model": "m", "input": value}
    EMBEDDINGS.check(document)

    assert [(s.text, s.at) for s in EMBEDDINGS.segments(document)] == found


def test_texts_are_rewritten_joined_and_removed():
    call = Call(EMBEDDINGS, {"model": "m", "input": ["a", "b"], "dimensions": 3}, None)
    a, _ = call.segments
    after = call.replace(segments=[Segment("system", "query:"), Segment("user", "A", at=a.at)])

    assert dict(after.document) == {"model": "m", "input": ["query:\n\nA"], "dimensions": 3}


@pytest.mark.parametrize("document", [{"model": "m"}, {"input": 1}, {"input": {}}, {"input": None}])
def test_a_call_without_a_readable_input_is_refused(document):
    with pytest.raises(InvalidCall) as caught:
        EMBEDDINGS.check(document)

    assert caught.value.param == "input"


def test_an_answer_has_usage_and_no_text():
    CreateEmbeddingResponse.model_validate(ANSWER)

    assert EMBEDDINGS.usage(ANSWER) == Usage(5, None, None)
    assert EMBEDDINGS.answer_segments(ANSWER) == ()
    assert EMBEDDINGS.with_answer_segments(ANSWER, ()) == ANSWER
    assert EMBEDDINGS.fold(EMBEDDINGS.unfold(ANSWER)) == ANSWER
    with pytest.raises(ValueError, match="no segment stands"):
        EMBEDDINGS.with_answer_segments(ANSWER, [Segment("assistant", "a", at=("data", 0))])


def test_an_embedding_cannot_say_a_text():
    with pytest.raises(ValueError, match="cannot say a text"):
        EMBEDDINGS.compose("Hi", model="m", id="x", created_s=0)
