"""`dragoman explain` where backends are of another format: folded, or one of several."""

from __future__ import annotations

import json

import pytest

from bench.claude import HEAD, TAIL, WORD

CONFIG = """\
plugins: {brings: {uses: "tests.support.renaming:Brings"}}
backends:
  one: {provider: renaming, url: "http://one", token: sesame}
  next: {provider: renaming, url: "http://next", token: sesame, token_s: 0.02}
  native: {provider: openai, api_key: sk-secret}
  claude: {provider: anthropic, api_key: sk-secret}
routes:
  - {name: folded, match: {path_prefix: /folded/}, backends: [one]}
  - {name: claude, match: {path_prefix: /claude/}, backends: [claude]}
  - {name: native, match: {path_prefix: /native/}, backends: [native]}
  - {name: several, match: {path_prefix: /several/}, backends: [one, next]}
"""
CALL = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def explain(dragoman, folder):
    (folder / "translated.yaml").write_text(CONFIG)

    def run(*arguments, route="folded", call=CALL):
        request = {"path": f"/{route}/v1/chat/completions", "body": call}
        (folder / "request.json").write_text(json.dumps(request))
        options = ("--config", "translated.yaml", "--json")
        return json.loads(
            dragoman("explain", "--request", "request.json", *arguments, *options).stdout
        )

    return run


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("folded", "prepared and its answer translated at router level: one backend"),
        ("several", "a stream of its own at upstream level: headers and body"),
    ],
)
def test_a_route_tells_where_its_attempts_are_prepared(dragoman, folder, route, words):
    (folder / "translated.yaml").write_text(CONFIG)
    output = dragoman("explain", route, "--config", "translated.yaml").output

    assert words in " ".join(output.split())


def test_a_request_is_shown_as_its_only_backend_gets_it(explain):
    verdict = explain(call={**CALL, "seed": 1})["verdict"]

    assert verdict["headers"][":path"] == "/ask"
    assert verdict["headers"]["x-token"] == "•••"
    assert any('"q": [' in line for line in verdict["diff"])
    assert "one is not sent seed" in verdict["notes"]


def test_an_answer_of_the_backends_own_becomes_the_clients(explain, folder):
    (folder / "answer").write_text('{"a": "pong", "tokens": 1}')
    explained = explain("--answer", "answer")

    assert any('"content": "pong"' in line for line in explained["answer"]["diff"])
    assert explained["ending"] == "completed"


def test_a_stream_of_the_backends_own_becomes_the_clients(explain, folder):
    (folder / "answer").write_bytes(b"".join([*HEAD, WORD, *TAIL]))
    explained = explain("--answer", "answer", route="claude", call={**CALL, "stream": True})

    added = [line for line in explained["answer"]["diff"] if line.startswith("+")]
    assert any("chat.completion.chunk" in line for line in added)
    assert "+data: [DONE]" in added


def test_an_answer_that_stays_as_it_is_is_not_shown_to_the_host(explain, folder):
    (folder / "answer").write_text('{"id": "a", "object": "chat.completion", "choices": []}')
    explained = explain("--answer", "answer", route="native")

    assert any("does not show its answers" in note for note in explained["answer"]["notes"])


def test_attempts_at_several_are_shown_with_the_tokens_that_they_wait_for(explain):
    notes = explain(route="several", call={**CALL, "seed": 1})["verdict"]["notes"]

    for name in ("one", "next"):
        [sets] = [note for note in notes if f"an attempt at {name} sets" in note]
        assert "x-token: •••" in sets
        assert f"an attempt at {name} leaves out seed" in notes
