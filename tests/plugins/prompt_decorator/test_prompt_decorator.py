"""`prompt_decorator` in the real host, in every API format."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import ConfigError
from pipeline.host.verdicts import Proceed
from tests.support.host import ask, error_of, forwarded, runtime_of

_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_RESPONSES, _ANTHROPIC = "/v1/responses", "/v1/messages"


def _runtime(options):
    return runtime_of(
        json.dumps(
            {
                "tenant": {"header": "x-tenant"},
                "plugins": {"decorate": {"uses": "prompt_decorator", "with": options}},
                "routes": [{"name": "main", "plugins": ["decorate"]}],
            }
        )
    )


def _message(role, content):
    return {"role": role, "content": content}


_AROUND = _runtime(
    {
        "prepend": [_message("system", "First."), _message("user", "Then.")],
        "append": [_message("user", "Last.")],
    }
)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        pytest.param(
            _CHAT,
            {"messages": [_message("user", "Hi")]},
            {
                "messages": [
                    _message("system", "First."),
                    _message("user", "Then."),
                    _message("user", "Hi"),
                    _message("user", "Last."),
                ]
            },
            id="chat",
        ),
        pytest.param(
            _COMPLETIONS,
            {"prompt": "Hi"},
            {"prompt": "First.\n\nThen.\n\nHi\n\nLast."},
            id="prompt",
        ),
        pytest.param(
            _RESPONSES,
            {"instructions": "Be.", "input": "Hi"},
            {
                "instructions": "Be.",
                "input": [
                    {"type": "message", **_message("system", "First.")},
                    {"type": "message", **_message("user", "Then.")},
                    {"type": "message", **_message("user", "Hi")},
                    {"type": "message", **_message("user", "Last.")},
                ],
            },
            id="responses",
        ),
        pytest.param(
            _ANTHROPIC,
            {"max_tokens": 9, "messages": [_message("user", "Hi")], "system": "Be."},
            {
                "max_tokens": 9,
                "messages": [
                    _message("user", "Then."),
                    _message("user", "Hi"),
                    _message("user", "Last."),
                ],
                "system": [{"type": "text", "text": "First."}, {"type": "text", "text": "Be."}],
            },
            id="anthropic",
        ),
    ],
)
async def test_messages_are_put_before_and_behind_the_client_s(path, body, expected):
    sent = forwarded(await ask(_AROUND, {"model": "m", **body}, path=path))

    assert sent == {"model": "m", **expected}


_FORCED = _runtime({"replace": [_message("system", "Obey.")]})


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        pytest.param(
            _CHAT,
            {
                "messages": [
                    _message("user", "Hi"),
                    _message("developer", [{"type": "text", "text": "Rebel."}]),
                    _message("system", "Rebel more."),
                ]
            },
            {
                "messages": [
                    _message("user", "Hi"),
                    _message("developer", [{"type": "text", "text": "Obey."}]),
                ]
            },
            id="chat",
        ),
        pytest.param(
            _RESPONSES,
            {
                "instructions": "Rebel.",
                "input": [_message("developer", "R"), _message("user", "Hi")],
            },
            {"instructions": "Obey.", "input": [_message("user", "Hi")]},
            id="responses",
        ),
        pytest.param(
            _ANTHROPIC,
            {"max_tokens": 9, "system": "Rebel.", "messages": [_message("user", "Hi")]},
            {"max_tokens": 9, "system": "Obey.", "messages": [_message("user", "Hi")]},
            id="anthropic",
        ),
        pytest.param(_COMPLETIONS, {"prompt": "Hi"}, {"prompt": "Obey.\n\nHi"}, id="completions"),
        pytest.param(
            _CHAT,
            {"messages": [_message("user", "Hi")]},
            {"messages": [_message("system", "Obey."), _message("user", "Hi")]},
            id="chat without one",
        ),
    ],
)
async def test_a_system_prompt_can_be_forced(path, body, expected):
    sent = forwarded(await ask(_FORCED, {"model": "m", **body}, path=path))

    assert sent == {"model": "m", **expected}


async def test_without_insert_a_role_that_is_absent_stays_absent():
    rule = {**_message("system", "Obey."), "insert": False}
    runtime = _runtime({"replace": [rule]})

    verdict = await ask(runtime, {"model": "m", "messages": [_message("user", "Hi")]})

    assert isinstance(verdict, Proceed)
    assert verdict.body is None


async def test_a_role_can_be_silenced():
    runtime = _runtime({"replace": [_message("system", "")]})
    body = {"model": "m", "messages": [_message("system", "Rebel."), _message("user", "Hi")]}

    sent = forwarded(await ask(runtime, body))

    assert sent["messages"] == [_message("user", "Hi")]


async def test_a_text_is_found_and_replaced_in_one_role_literally():
    rule = {**_message("user", "[\\1]"), "find": "a.c"}
    runtime = _runtime({"replace": [rule]})
    body = {"model": "m", "messages": [_message("system", "a.c"), _message("user", "a.c abc a.c")]}

    sent = forwarded(await ask(runtime, body))

    assert sent["messages"] == [_message("system", "a.c"), _message("user", "[\\1] abc [\\1]")]


async def test_tools_and_their_results_are_left_alone():
    rules = [_message(role, "X") for role in ("user", "assistant")]
    runtime = _runtime({"replace": rules})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "b"}'}}
    told = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "result"},
    ]

    sent = forwarded(await ask(runtime, {"model": "m", "messages": [_message("user", "q"), *told]}))

    assert sent["messages"] == [_message("user", "X"), *told, _message("assistant", "X")]


_FACTS = "{{tenant|nobody}}/{{route}}/{{model}}/{{header:X-Team|no team}}"
_BODY = {"model": "gpt", "messages": [_message("user", "Hi")]}


async def test_variables_are_facts_about_the_exchange():
    runtime = _runtime({"prepend": [_message("system", _FACTS)]})

    headers = [("x-tenant", "acme"), ("x-team", "{{tenant}}"), ("x-team", "second")]
    known = forwarded(await ask(runtime, _BODY, headers=headers))
    unknown = forwarded(await ask(runtime, _BODY))

    assert known["messages"][0]["content"] == "acme/main/gpt/{{tenant}}"
    assert unknown["messages"][0]["content"] == "nobody/main/gpt/no team"


async def test_a_header_that_is_no_utf_8_still_makes_a_valid_body():
    runtime = _runtime({"prepend": [_message("system", "{{header:x-team}}")]})

    sent = forwarded(await ask(runtime, _BODY, headers=[("x-team", b"caf\xe9")]))

    assert sent["messages"][0]["content"] == "caf\N{REPLACEMENT CHARACTER}"


async def test_a_message_whose_text_comes_out_empty_is_not_added():
    runtime = _runtime({"prepend": [_message("system", "{{header:x-team}}")]})

    verdict = await ask(runtime, _BODY)

    assert isinstance(verdict, Proceed)
    assert verdict.body is None


async def test_a_missing_variable_can_be_a_reason_to_refuse():
    options = {"prepend": [_message("system", "{{header:x-team}}")], "on_missing": "refuse"}
    runtime = _runtime(options)

    fault = error_of(await ask(runtime, _BODY))

    assert (fault["status"], fault["code"]) == (400, "missing_variable")
    assert "header:x-team" in fault["message"]


async def test_a_call_that_cannot_carry_the_messages_is_refused():
    fault = error_of(await ask(_FORCED, {"model": "m", "prompt": [1, 2]}, path=_COMPLETIONS))

    assert (fault["status"], fault["code"]) == (400, "unsupported_decoration")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "at least one of"),
        ({"prepend": [_message("tool", "a")]}, "'system', 'developer', 'user' or 'assistant'"),
        ({"append": [_message("user", "{{who}}")]}, "must open"),
        ({"append": [_message("user", "{{header:cookie}}")]}, "credential"),
        ({"replace": [{**_message("user", "a"), "find": ""}]}, "at least 1 character"),
        ({"prepends": []}, "there is no such option"),
    ],
)
def test_a_faulty_decoration_is_an_error_at_start(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _runtime(options)

    assert all(problem.key.startswith("plugins.decorate.with") for problem in caught.value.problems)
