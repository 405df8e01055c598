"""`dragoman explain`: a route's chain, and one request through it."""

from __future__ import annotations

import json

import pytest

CALL = {"model": "m", "messages": [{"role": "user", "content": "hello\nthere"}]}
ANSWER = {
    "id": "a",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "well"},
            "finish_reason": "stop",
        }
    ],
}


@pytest.fixture
def trial(dragoman, folder):
    def run(*arguments, call=CALL, **described):
        headers = {"Authorization": "Bearer sk-of-the-client"}
        value = {"path": "/v1/chat/completions", "headers": headers, "body": call, **described}
        (folder / "request.json").write_text(json.dumps(value))
        result = dragoman("explain", *arguments, "--request", "request.json", "--json")
        return json.loads(result.stdout)

    return run


def chunk(text, finish=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**body, 'choices': [choice]})}\n\n"


def test_a_route_is_explained_phase_by_phase(dragoman):
    explained = json.loads(dragoman("explain", "chat", "--json").stdout)

    assert explained["dialect"] == "openai.chat"
    phases = {
        phase["phase"]: [[hook["instance"] for hook in group] for group in phase["groups"]]
        for phase in explained["phases"]
    }
    assert phases == {
        "Request": [["guard", "second"], ["loud"]],
        "Whole answer": [["loud"]],
        "Streamed answer": [["loud"]],
    }
    assert explained["envoy"]["request_body"] is True
    assert {lint["rule"] for lint in explained["lints"]} == {
        "guard-not-enforced",
        "guard-conditional",
        "stream-held-back",
    }


def test_the_explanation_words_policies_and_envoy_modes(dragoman):
    output = dragoman("explain", "chat").output

    assert "1∥ guard" in output
    assert "side by side" in output
    assert 'tenant != "nobody"' in output
    assert "JSON whole (BUFFERED), streams event by event" in output
    assert "sk-secret" not in output
    assert "not sent (NONE)" in dragoman("explain", "plain").output
    assert "a stream of its own at upstream level" in dragoman("explain", "stream").output


def test_the_order_of_backends_shows_their_weights(dragoman, folder):
    text = (folder / "dragoman.yaml").read_text()
    shared = text.replace("[openai, spare]", "[{openai: 3, spare: 1}, last]").replace(
        "routes:", "  last: {provider: openai, api_key: sk-secret-3}\nroutes:"
    )
    (folder / "shared.yaml").write_text(shared)

    told = " ".join(dragoman("explain", "stream", "--config", "shared.yaml").stdout.split())

    assert "3x openai (" in told
    assert "| 1x spare (" in told
    assert "→ last (" in told


def test_an_unknown_route_is_a_problem_with_a_hint(dragoman):
    result = dragoman("explain", "chatt", exit_code=1)

    assert (
        result.stderr
        == "dragoman.yaml:10: routes: there is no route 'chatt'; did you mean 'chat'?\n"
    )


@pytest.mark.parametrize(
    "arguments", [[], ["chat", "--path", "/x"], ["chat", "--request", "nothing.json"]]
)
def test_a_wrong_command_line_exits_with_2(dragoman, arguments):
    dragoman("explain", *arguments, exit_code=2)


@pytest.mark.parametrize(
    "content", ["no json", "[]", "[" * 100_000, '{"path": "/v1/x", "headers": {"a b": "1"}}']
)
def test_a_file_that_is_no_request_exits_with_2(dragoman, folder, content):
    (folder / "request.json").write_text(content)

    dragoman("explain", "--request", "request.json", exit_code=2)


def test_every_decision_of_a_request_is_shown_with_what_it_changes(trial):
    explained = trial()

    assert explained["route"] == "chat"
    assert [
        (s["instance"], s["decision"], s["reason"], s["applied"]) for s in explained["steps"]
    ] == [
        ("guard", "continue", "clean", True),
        ("second", "continue", "clean", False),
        ("loud", "rewrite", "shouted", True),
    ]
    loud = explained["steps"][-1]
    assert loud["headers"] == {"x-loud": "yes", "x-api-token": "•••"}
    assert loud["diff"] == ["@@ -1,3 +1,3 @@", " [user]", "-hello", "-there", "+HELLO", "+THERE"]
    assert explained["verdict"]["goes"] == "upstream"
    assert any("HELLO" in line for line in explained["verdict"]["diff"])


def test_no_credential_is_ever_shown(trial, dragoman):
    explained = json.dumps(trial(), ensure_ascii=False)
    people = dragoman("explain", "--request", "request.json").output

    for output in (explained, people):
        assert "•••" in output
        for secret in ("sk-secret-1", "sk-secret-2", "sk-of-the-client", "t0p"):
            assert secret not in output


def test_a_refusal_is_shown_as_the_client_gets_it(trial):
    explained = trial(call={"model": "m", "messages": [{"role": "user", "content": "bomb"}]})

    assert explained["ending"] == "refused"
    assert [step["decision"] for step in explained["steps"]] == ["refuse", "refuse"]
    assert explained["verdict"]["status"] == 403
    assert "no_bombs" in explained["verdict"]["title"]
    assert json.loads("".join(explained["verdict"]["body"]))["error"]["code"] == "no_bombs"


def test_a_plugin_that_fails_is_shown_with_the_kind_of_its_failure(trial):
    explained = trial(call={"model": "m", "messages": [{"role": "user", "content": "break"}]})

    assert (explained["steps"][0]["decision"], explained["steps"][0]["reason"]) == (
        "error",
        "plugin_error",
    )
    assert explained["verdict"]["status"] == 503


def test_a_request_that_no_route_takes_is_answered_as_the_host_would(trial):
    explained = trial(path="/nowhere")

    assert explained["route"] is None
    assert explained["steps"] == []
    assert "route_not_found" in explained["verdict"]["title"]


def test_a_body_alone_takes_the_path_of_the_named_route(dragoman, folder):
    raw = b'{"model": "m",   "messages": [{"role": "user", "content": "hi"}]}'
    (folder / "body.json").write_bytes(raw)
    explained = json.loads(dragoman("explain", "stream", "--request", "body.json", "--json").stdout)

    assert explained["request"] == "POST /stream/v1/chat/completions"
    assert f"body as it came, byte for byte ({len(raw)} bytes)" in explained["verdict"]["notes"]
    attempts = [note for note in explained["verdict"]["notes"] if "attempt" in note]
    assert len(attempts) == 2
    assert all("authorization: •••" in note for note in attempts)


def test_an_answer_runs_back_through_the_chain(trial, folder):
    (folder / "answer.json").write_text(json.dumps(ANSWER))
    explained = trial("--answer", "answer.json")

    assert explained["ending"] == "completed"
    assert explained["steps"][-1]["diff"] == ["@@ -1,2 +1,2 @@", " [assistant]", "-well", "+WELL"]
    assert any("WELL" in line for line in explained["answer"]["diff"])


def test_a_streamed_answer_is_shown_by_what_became_of_its_events(trial, folder):
    stream = chunk("um ") + chunk("yes") + chunk("", "stop") + "data: [DONE]\n\n"
    (folder / "answer.sse").write_text(stream)
    explained = trial("--answer", "answer.sse", path="/stream/v1/chat/completions")

    last = explained["steps"][-1]
    assert (last["instance"], last["hook"]) == ("trim", "on_response_event")
    assert last["events"] == {"held back": 1, "passed": 3}
    assert last["diff"] == ["@@ -1 +1 @@", "-um yes", "+yes"]
    assert "um " not in [line for line in explained["answer"]["diff"] if line.startswith("+")]


def test_for_people_steps_are_numbered_with_their_time(trial, dragoman):
    trial()
    output = dragoman("explain", "--request", "request.json").output

    assert "POST /v1/chat/completions → route chat · openai.chat · tenant key-" in output
    assert "  1  guard on_request" in output
    assert "not applied" in output
    assert "      +HELLO" in output
    assert "to openai (openai, https://api.openai.com/v1)" in output
