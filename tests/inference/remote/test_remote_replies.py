from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.contract import Head, InferenceError, Reading
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.metadata import (
    BadMetadata,
    Described,
    read_metadata,
    write_metadata,
)
from pipeline.inference.remote.model import RemoteModel
from pipeline.inference.remote.outputs import (
    Output,
    read_embeddings,
    read_labels,
    read_scores,
)
from pipeline.inference.remote.replies import CODES, TOKENS, UNREAD, read_reply
from pipeline.inference.remote.serving import Asked, BadRequest, read_request, write_reply
from pipeline.inference.remote.tensors import BadTensor, write_numbers

HEADS = {
    "embedding": Head("embedding", "embedding"),
    "risk": Head("risk", "score", pooling="max", views=True, threshold=0.7),
    "domain": Head("domain", "labels", ("a", "b", "c"), abstain_below=0.4),
}
OUTPUTS = [Output(head, name) for name, head in HEADS.items()]
ALL = Asked((), frozenset(HEADS), (*HEADS, TOKENS, UNREAD, CODES))

probabilities = st.floats(0, 1, width=32)


@st.composite
def readings(draw):
    vector = np.array(draw(st.lists(st.floats(-9, 9), min_size=4, max_size=4)), np.float32)
    vector[0] += 20
    return Reading(
        vector / np.linalg.norm(vector),
        {"risk": draw(probabilities)},
        {"domain": np.array(draw(st.lists(probabilities, min_size=3, max_size=3)), np.float32)},
        draw(st.integers(0, 10**6)),
        draw(st.integers(0, 10**6)),
    )


def same(one, other):
    if isinstance(one, InferenceError):
        return one.code == other.code
    return (
        np.allclose(one.embedding, other.embedding, atol=1e-6)
        and one.scores == pytest.approx(other.scores)
        and np.array_equal(one.labels["domain"], other.labels["domain"])
        and (one.tokens, one.unread) == (other.tokens, other.unread)
    )


failures = st.sampled_from(["queue_full", "deadline", "model_failed"]).map(
    lambda code: InferenceError("no", code)
)


@given(st.lists(readings() | failures, min_size=1, max_size=9))
def test_readings_and_failures_come_back_at_their_places(given_readings):
    if not any(isinstance(one, Reading) for one in given_readings):
        return
    response = pb.ModelInferResponse()
    write_reply(response, ALL, HEADS, given_readings)
    sent = pb.ModelInferResponse.FromString(response.SerializeToString())
    read = read_reply(sent, OUTPUTS, len(given_readings))
    assert all(same(*pair) for pair in zip(read, given_readings, strict=True))


def test_a_reading_does_not_keep_those_that_came_with_it():
    rows = [Reading(np.array([1, 0], np.float32)) for _ in range(64)]
    response = pb.ModelInferResponse()
    asked = Asked((), frozenset({"embedding"}), ("embedding",))
    write_reply(response, asked, HEADS, rows)
    one = read_reply(response, OUTPUTS[:1], 64)[3]
    assert one.embedding.base is None
    assert one.embedding.nbytes == 8


def test_what_a_text_without_a_reading_holds_is_no_number():
    response = pb.ModelInferResponse()
    asked = Asked((), frozenset({"risk"}), ("risk", CODES))
    good = Reading(scores={"risk": 0.25})
    write_reply(response, asked, HEADS, [InferenceError("no", "deadline"), good])
    values = np.frombuffer(response.raw_output_contents[0], np.float32)
    assert np.isnan(values[0])
    assert values[1] == 0.25


@given(st.lists(st.binary(max_size=30), max_size=6), st.integers(1, 4))
def test_any_reply_is_read_or_refused(contents, texts):
    response = pb.ModelInferResponse()
    for name, raw in zip([*HEADS, TOKENS, CODES], contents, strict=False):
        response.outputs.add(name=name, datatype="FP32", shape=[texts, 1])
        response.raw_output_contents.append(raw)
    with suppress(BadTensor):
        read_reply(response, OUTPUTS, texts)


SCORE = Output(HEADS["risk"], "out")


@pytest.mark.parametrize(
    ("output", "values", "texts", "scores"),
    [
        (SCORE, [0.25, 0.5], 2, [0.25, 0.5]),
        (SCORE, [[0.25], [0.5]], 2, [0.25, 0.5]),
        (SCORE, 0.25, 1, [0.25]),
        (Output(HEADS["risk"], "out", 1), [[0.25, 0.75]], 1, [0.75]),
        (Output(HEADS["risk"], "out", 1), [0.25, 0.75], 1, [0.75]),
        (Output(HEADS["risk"], "out", activation="sigmoid"), [0.0, 1000.0], 2, [0.5, 1.0]),
        (Output(HEADS["risk"], "out", 0, "softmax"), [[1000.0, 1000.0]], 1, [0.5]),
        (SCORE, [1.0005], 1, [1.0]),
    ],
)
def test_scores_are_found_where_the_config_says(output, values, texts, scores):
    assert read_scores(output, np.array(values), texts).tolist() == pytest.approx(scores)


@pytest.mark.parametrize(
    ("read", "output", "values", "message"),
    [
        (read_scores, SCORE, [float("nan"), 0.5], "not between 0 and 1"),
        (read_scores, SCORE, [3.5, 0.5], "`activation`"),
        (read_scores, SCORE, [[0.5, 0.5], [0.5, 0.5]], "say which one"),
        (read_scores, Output(HEADS["risk"], "out", 2), [[0.5, 0.5], [0.5, 0.5]], "no column 2"),
        (read_scores, SCORE, [0.5, 0.5, 0.5], "no row for each of 2 texts"),
        (read_scores, SCORE, [[], []], "no row"),
        (read_scores, Output(HEADS["risk"], "o", activation="softmax"), [[1e308], [1]], "between"),
        (read_labels, Output(HEADS["domain"], "out"), [[0.5, 0.5], [0.5, 0.5]], "3 labels"),
        (read_embeddings, OUTPUTS[0], [[0, 0], [1, 0]], "without a direction"),
        (read_embeddings, OUTPUTS[0], [[float("inf"), 0], [1, 0]], "without a direction"),
    ],
)
def test_what_is_no_probability_or_vector_is_refused(read, output, values, message):
    with pytest.raises(BadTensor, match=message):
        read(output, np.array(values, np.float64), 2)


def test_embeddings_of_other_servers_become_unit_vectors():
    rows = read_embeddings(OUTPUTS[0], np.array([[3.0, 4.0], [0.0, -2.0]]), 2)
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, -1.0]], atol=1e-6)


def test_a_node_tells_its_heads_in_its_metadata():
    sent = write_metadata("small", Described("small@1", HEADS)).SerializeToString()
    told = pb.ModelMetadataResponse.FromString(sent)
    assert read_metadata(told) == Described("small@1", HEADS)
    assert [(t.name, t.datatype, list(t.shape)) for t in told.inputs] == [("text", "BYTES", [-1])]
    assert [(t.name, t.datatype, list(t.shape)) for t in told.outputs] == [
        ("embedding", "FP32", [-1, -1]),
        ("risk", "FP32", [-1]),
        ("domain", "FP32", [-1, 3]),
        ("tokens", "INT32", [-1]),
        ("unread", "INT32", [-1]),
        ("code", "BYTES", [-1]),
    ]


@pytest.mark.parametrize(
    "told",
    [
        "{",
        "[]",
        '{"name": "risk"}',
        '{"name": "risk", "kind": "tensor"}',
        '{"name": "other", "kind": "score"}',
        "[" * 100_000,
    ],
)
def test_heads_that_are_told_otherwise_are_refused(told):
    metadata = write_metadata("small", Described("small@1", {"risk": HEADS["risk"]}))
    metadata.outputs[0].parameters["dragoman.head"].string_param = told
    with pytest.raises(BadMetadata):
        read_metadata(metadata)


def test_another_servers_metadata_is_not_taken_for_a_nodes():
    with pytest.raises(BadMetadata, match="serve-models"):
        read_metadata(pb.ModelMetadataResponse(platform="sklearn", versions=["1"]))


def request_of(texts, outputs=(), shape=None, raw=None):
    request = pb.ModelInferRequest()
    text = request.inputs.add(name="text", datatype="BYTES", shape=shape or [len(texts)])
    text.contents.bytes_contents.extend(texts)
    if raw is not None:
        del text.contents.bytes_contents[:]
        request.raw_input_contents.append(raw)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def test_what_the_client_writes_is_what_the_server_reads():
    model = RemoteModel("small")
    texts = ["a", "", "ä\0"]
    request = model.request([text.encode() for text in texts], OUTPUTS[:2], "small@1")
    asked = read_request(request, HEADS, 10)
    assert asked.texts == texts
    assert asked.heads == {"embedding", "risk"}
    assert asked.takes_codes
    assert request.model_version == "small@1"


def test_a_request_that_names_no_outputs_asks_for_all_heads():
    asked = read_request(request_of([b"a"]), HEADS, 10)
    assert asked.heads == HEADS.keys()
    assert not asked.takes_codes


def test_raw_texts_and_a_batch_of_columns_are_read():
    raw = b"\x01\0\0\0a\x02\0\0\0bc"
    assert read_request(request_of([], shape=[2, 1], raw=raw), HEADS, 10).texts == ["a", "bc"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (pb.ModelInferRequest(), "one input"),
        (request_of([b"secret"] * 11), "from 1 to 10"),
        (request_of([], shape=[0]), "from 1 to 10"),
        (request_of([], shape=[-1]), "from 1 to 10"),
        (request_of([b"secret"] * 4, shape=[2, 2]), "the shape"),
        (request_of([b"secret"], shape=[2]), "another size"),
        (request_of([b"secret\xff"]), "not UTF-8"),
        (request_of([b"secret"], ["secret"]), "does not have"),
        (request_of([b"secret"], [TOKENS, CODES]), "no head"),
        (request_of([], shape=[1], raw=b"secret"), "ends in the midst"),
    ],
)
def test_a_request_for_something_else_is_refused_without_quoting_it(request_, message):
    with pytest.raises(BadRequest, match=message) as caught:
        read_request(request_, HEADS, 10)
    assert "secret" not in str(caught.value)


def test_columns_of_a_server_that_wants_them_are_sent():
    model = RemoteModel("m", "3", "TEXT", tuple(OUTPUTS))
    request = model.request([b"a", b"b"], OUTPUTS, "", text_shape=[-1, 1])
    assert list(request.inputs[0].shape) == [2, 1]
    assert request.inputs[0].name == "TEXT"
    assert [output.name for output in request.outputs] == list(HEADS)
    assert request.model_version == "3"


def test_a_reply_without_what_was_asked_for_is_refused():
    response = pb.ModelInferResponse()
    write_numbers(response, "risk", "FP32", np.zeros(1, np.float32))
    with pytest.raises(BadTensor, match="no output 'domain'"):
        read_reply(response, OUTPUTS[1:], 1)
