"""Providers as the host holds them: their options, where they come from, what they may do."""

from __future__ import annotations

import gzip
import itertools
import json
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import HeaderEdits
from pipeline.errors import ConfigError
from pipeline.host import loading, preparing
from pipeline.host.attempt import AttemptSession
from pipeline.host.models import models_of
from pipeline.host.names import HOST_METADATA
from pipeline.host.preparing import dropped_words
from pipeline.host.verdicts import Finish, Proceed
from tests.support.chain import Seen
from tests.support.host import error_of, runtime_of, session_of

BRINGS = {"brings": {"uses": "tests.support.renaming:Brings"}}
CALL = {"model": "m", "messages": [{"role": "user", "content": "ping"}]}
PAIRS = ((":method", b"POST"), (":path", b"/v1/chat/completions"), ("content-length", b"70"))
JSON_ANSWER = ((":status", b"200"), ("content-type", b"application/json"))
LINES_ANSWER = ((":status", b"200"), ("content-type", b"text/lines"))


def config(backend, **more):
    return {
        "plugins": BRINGS,
        "backends": {"b": {"provider": "renaming", "url": "http://h", **backend}},
        "routes": [{"name": "r", "backends": ["b"], **more}],
    }


def runtime(backend=None, **more):
    """Compile a route with one backend, whose attempts are folded into the router level."""
    return runtime_of(config(backend or {}, **more))


def runtime_of_two(backend=None, **more):
    """Compile a route with a second backend, so that attempts have streams of their own."""
    document = config(backend or {}, **more)
    document["backends"]["next"] = {**document["backends"]["b"], "url": "http://next"}
    document["routes"][0]["backends"] = ["b", "next"]
    return runtime_of(document)


def problems(text):
    with pytest.raises(ConfigError) as caught:
        runtime_of(text)
    return caught.value.problems


def named(name):
    return (
        f'filter_metadata {{ key: "dragoman" value {{ fields {{ key: "backend" '
        f'value {{ string_value: "{name}" }} }} }} }}'
    )


@pytest.fixture(params=[runtime, runtime_of_two], ids=["router", "upstream"])
def compiled_of(request):
    """Compile a route whose attempts are at the router level, or at one of their own."""
    return request.param


class Attempted:
    """One attempt, phase by phase, at the level that its route has it at."""

    def __init__(self, compiled, *, pairs=PAIRS, backend="b", **attributes):
        self.seen = Seen()
        self.dropped = []
        self.seen.dropped = lambda name, fields: self.dropped.append((name, fields))
        route = compiled.routes["r"]
        self.session = (
            AttemptSession(compiled, route, self.seen)
            if route.plan.attempts
            else session_of(compiled, self.seen)
        )
        self.pairs = pairs
        self.attributes = {HOST_METADATA: named(backend), **attributes}

    async def ask(self, call=CALL):
        verdict = await self.session.request_headers(
            self.pairs, ends=False, attributes=self.attributes
        )
        if isinstance(verdict, Proceed) and verdict.wish == "whole":
            verdict = await self.session.request_body(json.dumps(call).encode())
        return verdict

    async def head(self, pairs=JSON_ANSWER, *, ends=False):
        return await self.session.response_headers(pairs, ends=ends, attributes={})


# --- options


def test_options_are_checked_by_the_provider_at_their_lines():
    text = """
plugins: {brings: {uses: "tests.support.renaming:Brings"}}
routes: [{name: r, backends: [b]}]
backends:
  b:
    provider: renaming
    url: http://h
    greetin: hi
    token_s: soon
"""
    [found] = problems(text)

    assert (found.line, found.key) == (8, "backends.b.greetin")
    assert "provider 'renaming': its own are fails, greeting, token, token_s" in found.message
    assert "did you mean 'greeting'?" in found.message
    [found] = problems(text.replace("greetin:", "greeting:"))
    assert (found.line, found.key) == (9, "backends.b.token_s")


def test_a_misspelt_key_that_all_backends_have_is_found_too():
    [found] = problems(config({"api_kye": "k"}))

    assert "did you mean 'api_key'?" in found.message


def test_secrets_among_options_come_from_files_and_the_environment(tmp_path):
    (tmp_path / "token").write_text("sesame\n")
    text = json.dumps(config({"token": f"file:{tmp_path}/token", "greeting": "${WORD}"}))
    compiled = runtime_of(text, {"WORD": "hey"})
    options = compiled.links["b"].backend.options

    assert (options.token.get_secret_value(), options.greeting) == ("sesame", "hey")
    assert "sesame" not in repr(compiled)
    assert "sesame" in compiled.links["b"].secrets


def test_a_secret_file_that_is_missing_is_told_at_its_key(tmp_path):
    [found] = problems(config({"token": f"file:{tmp_path}/none"}))

    assert found.key == "backends.b.token"
    assert "cannot read the secret file" in found.message


def test_options_that_make_no_sense_together_are_told_at_the_backend():
    [found] = problems(config({"fails": "connect"}))

    assert (found.key, found.message) == ("backends.b", "these options make no sense together")


def test_a_provider_without_a_url_of_its_own_wants_one():
    [found] = problems(config({"url": None}))

    assert found.key == "backends.b.url"


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        ({"headers": {"set": {"content-length": "1"}}}, "backends.b.headers.set"),
        ({"headers": {"set": {"x": "a\nb"}}}, "backends.b.headers"),
        ({"patch": [{"op": "jump", "path": "/a"}]}, "backends.b.patch[0]"),
        ({"patch": [{"op": "add", "path": "/a"}]}, "backends.b.patch[0]"),
    ],
)
def test_what_cannot_be_sent_is_refused_when_the_config_is_read(keys, at):
    [found] = problems(config(keys))

    assert found.key == at


async def test_headers_and_patch_come_after_the_providers_own(compiled_of):
    compiled = compiled_of(
        {
            "headers": {"set": {"x-token": "other", "x-more": "1"}, "remove": ["x-gone"]},
            "patch": [
                {"op": "replace", "path": "/who", "value": "patched"},
                {"op": "remove", "path": "/absent/deep"},
            ],
        }
    )
    verdict = await Attempted(compiled).ask()

    assert json.loads(verdict.body)["who"] == "patched"
    assert verdict.edits.set["x-token"] == "other"
    assert "x-gone" in verdict.edits.remove


async def test_a_patch_that_does_not_fit_is_the_clients_error(compiled_of):
    compiled = compiled_of({"patch": [{"op": "replace", "path": "/nothing", "value": 1}]})
    verdict = await Attempted(compiled).ask()

    assert (verdict.status, verdict.code) == (400, "patch_failed")


# --- where providers come from


@pytest.fixture
def installed(monkeypatch):
    def install(*values):
        found = [
            EntryPoint("renaming", value, "dragoman.providers")
            for value in (values or ["tests.support.renaming:Brings"])
        ]
        monkeypatch.setattr(
            loading, "entry_points", lambda group: found if group == found[0].group else []
        )
        loading.installed_providers.cache_clear()

    yield install
    monkeypatch.undo()
    loading.installed_providers.cache_clear()


def test_a_named_provider_brings_its_plugin_along(installed):
    installed()
    compiled = runtime_of({**config({}), "plugins": {}})

    assert list(compiled.instances) == ["tests.support.renaming:Brings"]
    assert compiled.links["b"].backend.provider == "renaming"


def test_a_configured_instance_serves_as_well(installed):
    installed("nowhere:Nothing")

    assert list(runtime().instances) == ["brings"]


def test_two_plugins_that_bring_the_same_provider_are_refused(installed):
    installed("a:B", "c:D")
    [found] = problems({**config({}), "plugins": {}})

    assert "several plugins bring a provider 'renaming' along: a:B, c:D" in found.message


async def test_connections_live_as_long_as_the_runtime():
    compiled = runtime()
    connection = compiled.links["b"].connection
    await compiled.startup()
    was_open = connection.is_open
    await compiled.shutdown()

    assert (was_open, connection.is_open) == (True, False)


async def test_a_connection_that_cannot_start_stops_nothing(monkeypatch):
    compiled = runtime()

    async def fail():
        raise OSError("no network")

    monkeypatch.setattr(compiled.links["b"].connection, "start", fail)
    await compiled.startup()
    verdict = await Attempted(compiled).ask()
    await compiled.shutdown()

    assert verdict.body is not None


# --- plans


CHAT_PATH = {"match": {"path": "/v1/chat/completions"}}
ELSEWHERE = {"match": {"path": "/elsewhere"}}
NEEDS = [
    # backend, route, and whether calls are read and answers translated for them
    ({"provider": "openai"}, {}, (True, True)),
    ({"provider": "openai"}, {"dialect": "openai.chat"}, (False, False)),
    ({"provider": "openai", "models": {"a": "b"}}, CHAT_PATH, (True, False)),
    ({}, {}, (True, True)),
    ({}, CHAT_PATH, (True, True)),
    ({}, ELSEWHERE, (False, False)),
    ({}, {**ELSEWHERE, "other": "pass"}, (True, True)),
    ({}, {**ELSEWHERE, "dialect": "openai.chat"}, (True, True)),
]


@pytest.mark.parametrize(("backend", "route", "needs"), NEEDS)
def test_the_router_level_is_sent_what_the_only_backend_needs(backend, route, needs):
    plan = runtime(backend, check=False, **route).routes["r"].plan

    assert (plan.attempts, plan.attempt_body, plan.attempt_answer) == (False, False, False)
    assert (plan.request_body, plan.response_body) == needs
    assert plan.response_headers == plan.response_body


@pytest.mark.parametrize(("backend", "route", "needs"), NEEDS)
def test_attempts_are_sent_what_one_of_several_backends_needs(backend, route, needs):
    plan = runtime_of_two(backend, check=False, **route).routes["r"].plan

    assert (plan.attempts, plan.attempt_body, plan.attempt_answer) == (True, *needs)
    assert (plan.request_body, plan.response_headers, plan.response_body) == (False,) * 3


async def test_an_attempt_at_what_is_folded_leaves_it_as_it_is():
    origin = {"metadata.filter_metadata['dragoman']['path']": "/v1/chat/completions"}
    compiled = runtime()
    session = AttemptSession(compiled, compiled.routes["r"], Seen())
    attributes = {HOST_METADATA: named("b"), **origin}
    verdict = await session.request_headers(PAIRS, ends=False, attributes=attributes)

    assert verdict == Proceed(hides_answer=True)


# --- attempts


async def test_dropped_fields_are_reported_at_every_attempt():
    attempt = Attempted(runtime_of_two())
    lossy = await attempt.ask({**CALL, "temperature": 1})
    whole = await Attempted(runtime_of_two()).ask()

    assert lossy.report["dropped"] == "temperature"
    assert whole.report["dropped"] == ""
    assert attempt.dropped == [("b", ("temperature",))]


async def test_dropped_fields_are_reported_where_the_attempt_is_folded():
    attempt = Attempted(runtime())
    lossy = await attempt.ask({**CALL, "temperature": 1})
    whole = await Attempted(runtime()).ask()

    assert lossy.report["dropped"] == "temperature"
    assert "dropped" not in whole.report
    assert attempt.dropped == [("b", ("temperature",))]


@given(st.lists(st.text(max_size=80), max_size=60))
def test_dropped_names_make_a_legal_and_bounded_header(names):
    value = dropped_words(names)

    HeaderEdits(set={"x-dragoman-dropped": value})
    assert len(value) < 3000
    assert value.count(", ") <= 32


async def test_a_slow_token_is_an_error_in_time(monkeypatch, compiled_of):
    async def late(waiting, *_):
        waiting.close()
        raise TimeoutError

    monkeypatch.setattr(preparing, "in_time", late)
    attempt = Attempted(compiled_of())
    verdict = await attempt.ask()

    assert (verdict.status, verdict.code) == (503, "credential_timeout")
    assert attempt.seen.violations == ["credential_timeout"]


async def test_an_attempt_awaits_its_provider_no_longer_than_its_budget():
    link = runtime({"token_s": 30.0}).links["b"]
    request, call = await _asked()
    verdict = await preparing.prepared(link, request, call, call.dialect, Seen(), budget_s=0.01)

    assert verdict.code == "credential_timeout"


async def _asked():
    from pipeline.api import Call
    from pipeline.dialects.openai_chat import OpenAIChat
    from pipeline.host.reading import read_request

    return read_request(PAIRS)[0], Call(OpenAIChat(), dict(CALL), None)


async def test_a_provider_that_raises_is_told_without_its_words(compiled_of):
    attempt = Attempted(compiled_of({"fails": "prepare"}))
    verdict = await attempt.ask()

    assert (verdict.status, error_of(verdict)["code"]) == (503, "provider_error")
    assert b"secret" not in verdict.body
    assert attempt.seen.violations == ["provider_error"]


async def test_another_backends_key_never_reaches_the_next():
    keyed = {"metadata.filter_metadata['dragoman']['keyed']": "yes"}
    compiled = runtime_of_two({"provider": "openai"})
    pairs = (*PAIRS, ("authorization", b"Bearer of-another"))
    verdict = await Attempted(compiled, pairs=pairs, **keyed).ask()

    assert {"authorization", "x-api-key", "api-key"} <= verdict.edits.remove


async def test_an_unchanged_body_is_framed_as_it_was_before_the_attempt_with_another():
    def of(key):
        return f"metadata.filter_metadata['dragoman']['{key}']"

    origin = {of("path"): "/v1/chat/completions", of("content_length"): "70"}
    changed = (*PAIRS[:1], (":path", b"/ask"), ("content-length", b"12"))
    compiled = runtime_of_two({"provider": "openai"})
    verdict = await Attempted(compiled, pairs=changed, **origin).ask()

    assert verdict.edits.set["content-length"] == "70"
    assert verdict.edits.set[":path"] == "/chat/completions"


# --- answers


async def test_an_encoded_answer_is_plain_for_the_provider(compiled_of):
    attempt = Attempted(compiled_of())
    await attempt.ask()
    headed = await attempt.head((*JSON_ANSWER, ("content-encoding", b"gzip")))
    verdict = await attempt.session.response_body(gzip.compress(b'{"a": "pong"}'))

    assert headed.wish == "whole"
    assert headed.edits.remove >= {"content-encoding", "content-length"}
    assert b"pong" in verdict.body


@pytest.mark.parametrize("body", [b"nonsense", gzip.compress(b'{"a": 1}', mtime=0)[:-5]])
async def test_an_answer_that_is_encoded_wrongly_is_an_error(body, compiled_of):
    attempt = Attempted(compiled_of())
    await attempt.ask()
    await attempt.head((*JSON_ANSWER, ("content-encoding", b"gzip")))
    verdict = await attempt.session.response_body(body)

    assert verdict.edits.set[":status"] == "502"
    assert json.loads(verdict.body)["error"]["code"] == "unreadable_answer"


async def test_an_encoding_that_nobody_knows_is_an_error(compiled_of):
    attempt = Attempted(compiled_of())
    await attempt.ask()
    verdict = await attempt.head((*JSON_ANSWER, ("content-encoding", b"compress")))

    assert isinstance(verdict, Finish)
    assert (verdict.status, verdict.code) == (502, "unreadable_answer")


async def test_a_response_without_a_body_gets_one(compiled_of):
    attempt = Attempted(compiled_of())
    await attempt.ask()
    verdict = await attempt.head(((":status", b"418"),), ends=True)

    assert verdict.edits.set[":status"] == "429"
    assert json.loads(verdict.body)["error"]["message"] == "empty"


@pytest.mark.parametrize("made", [runtime(), runtime_of_two()], ids=["router", "upstream"])
@given(cuts=st.lists(st.integers(0, 20), max_size=6))
async def test_a_stream_gives_the_same_bytes_however_it_is_cut(made, cuts):
    data = b"one\ntwo\nthree\n.\n"
    out = []
    for places in ([], sorted(cuts)):
        attempt = Attempted(made)
        await attempt.ask({**CALL, "stream": True})
        verdict = await attempt.head(LINES_ANSWER)
        assert verdict.wish == "bytes"
        bounds = [0, *places, len(data)]
        emits = [
            await attempt.session.response_bytes(data[a:b], ended=False)
            for a, b in itertools.pairwise(bounds)
        ]
        emits.append(await attempt.session.response_bytes(b"", ended=True))
        out.append(b"".join(emit.data for emit in emits))

    assert out[0] == out[1]
    assert out[0].endswith(b"data: [DONE]\n\n")


async def test_a_fault_of_the_stream_ends_it_once(compiled_of):
    attempt = Attempted(compiled_of())
    await attempt.ask({**CALL, "stream": True})
    await attempt.head(LINES_ANSWER)
    emit = attempt.session.fault_in_stream(status=502, code="answer_too_large", message="m")
    after = await attempt.session.response_bytes(b"more\n", ended=True)

    assert b"answer_too_large" in emit.data
    assert emit.end
    assert after.data == b""
    assert attempt.seen.violations == ["answer_too_large"]


# --- models


def test_models_are_those_that_the_config_names_without_wildcards():
    compiled = runtime_of(
        {
            "backends": {
                "a": {"provider": "openai", "models": {"x": "1", "y": "2"}},
                "b": {"provider": "openai", "models": {"x": "3"}},
            },
            "routes": [
                {"name": "r", "match": {"model": "z"}, "backends": ["b"]},
                {"name": "s", "match": {"model": "w*"}, "backends": ["a"]},
                {"name": "t", "match": {"model": "v"}},
            ],
        }
    )

    assert models_of(compiled.config) == {"x": "a", "y": "a", "z": "b", "v": "dragoman"}
