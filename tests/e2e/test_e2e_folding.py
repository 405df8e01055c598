"""A route's only backend is of another format: one stream per exchange, which translates too."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import HeaderEdits, Plugin, Rewrite
from tests.support.raw_http import chunked, raw_upstream
from tests.support.stack import eventually, running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SEEN = defaultdict(list)
DROPPED = []
CALL = {"model": "m", "messages": [{"role": "user", "content": "ping"}]}


class Looks(Plugin):
    """Notes what it is shown."""

    def on_response_headers(self, exchange):
        response = exchange.response
        seen = (response.status, response.headers.get("content-type"), response.via_upstream)
        SEEN[exchange.id].append(seen)

    def on_response(self, exchange):
        SEEN[exchange.id].append(exchange.response.answer.text)

    def on_response_event(self, exchange, event):
        SEEN[exchange.id].append(event.text)

    def on_complete(self, exchange, outcome):
        DROPPED.append(outcome.dropped)


class Reroutes(Plugin):
    """Sends calls to another route once they have been read."""

    def on_request(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-to": "other"}))


class Api:
    """The other format; it answers as the text of a call says."""

    def __init__(self):
        self.asked = []

    async def answer(self, request):
        body = await request.read()
        self.asked.append((request.path, dict(request.headers), body))
        match json.loads(body)["q"][-1].split():
            case ["fail", times] if len(self.asked) <= int(times):
                return web.json_response({"oops": "later"}, status=503)
            case ["status", status]:
                return web.json_response({"oops": "no"}, status=int(status))
            case ["stream", *words]:
                response = web.StreamResponse(headers={"content-type": "text/lines"})
                await response.prepare(request)
                for word in [*words, "."]:
                    await response.write(word.encode() + b"\n")
                await response.write_eof()
                return response
        return web.json_response({"a": "pong", "tokens": 1})


def cut_short(_):
    """Answer with a stream that ends before its answer does, and trailers after it."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/lines\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + chunked([b"one\n", b"two\n"], {"x-after": "1"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api():
    return Api()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(api, envoy):
    async with upstream_of(api.answer) as url, raw_upstream(cut_short) as port:
        other = {"provider": "renaming", "token": "t"}
        backends = {
            "one": {**other, "url": url},
            "cut": {**other, "url": f"http://127.0.0.1:{port}"},
            "gone": {**other, "url": "http://127.0.0.1:1"},
            "native": {"provider": "openai", "url": url, "api_key": "k"},
            "lost": {"provider": "openai", "url": "http://127.0.0.1:1/v1", "api_key": "k"},
        }
        routes = [
            {"name": "other", "match": {"headers": {"x-to": "other"}}, "backends": ["one"]},
            {"name": "bare", "backends": ["one"]},
            {"name": "looks", "backends": ["one"], "plugins": ["looks"]},
            {"name": "several", "backends": ["one", "native"], "plugins": ["looks"]},
            {"name": "again", "backends": ["one"], "retries": {"attempts": 3}},
            {"name": "cut", "backends": ["cut"]},
            {"name": "gone", "backends": ["gone"], "plugins": ["looks"]},
            {"name": "lost", "backends": ["lost"]},
            {"name": "moves", "backends": ["native"], "plugins": ["reroutes"]},
        ]
        for route in routes[1:]:
            route["match"] = {"path_prefix": f"/{route['name']}/"}
        plugins = {name.lower(): {"uses": f"{__name__}:{name}"} for name in ("Looks", "Reroutes")}
        plugins["brings"] = {"uses": "tests.support.renaming:Brings"}
        config = {"plugins": plugins, "backends": backends, "routes": routes}
        async with running_stack(config, binary=envoy) as made:
            yield made


@pytest.fixture
def ask(stack, api):
    async def send(route, text="ping", path="/v1/chat/completions", **fields):
        api.asked.clear()
        call = {**CALL, "messages": [{"role": "user", "content": text}], **fields}
        return await stack.http.post(f"/{route}{path}", json=call)

    return send


def words_of(answer):
    frames = [frame.removeprefix("data: ") for frame in answer.text.split("\n\n") if frame]
    read = [json.loads(frame) for frame in frames if frame != "[DONE]"]
    return [one["choices"][0]["delta"]["content"] for one in read if "choices" in one]


async def streams_of(stack):
    """Return how many streams Envoy has opened to the host."""
    name = "cluster.dragoman_host.upstream_rq_total"
    text = (await stack.http.get(f"{stack.envoy.admin_url}/stats?filter={name}")).text
    return int(text.split()[-1])


async def test_an_exchange_has_one_stream(ask, stack):
    before = await streams_of(stack)
    answers = await asyncio.gather(*(ask("bare") for _ in range(40)))

    assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {"pong"}
    # Health checks count too; they are few.
    assert 40 <= await streams_of(stack) - before < 60


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ping", [(200, "application/json", True), "pong"]),
        ("stream one two", [(200, "text/event-stream", True), "one", "two", ""]),
        ("status 418", [(429, "application/json", True)]),
    ],
)
async def test_plugins_see_the_clients_format(ask, text, shown):
    SEEN.clear()
    answer = await ask("looks", text, stream=text.startswith("stream"))

    assert list(SEEN.values()) == [shown]
    assert answer.status_code == shown[0][0]
    assert answer.headers["x-dragoman-plugins"] == "looks=continue"


@pytest.mark.parametrize("route", ["looks", "several"])
async def test_what_the_backend_is_not_sent_is_in_the_outcome(ask, route):
    DROPPED.clear()
    answer = await ask(route, temperature=1)

    async def is_told():
        return ("temperature",) in DROPPED

    assert answer.headers["x-dragoman-dropped"] == "temperature"
    await eventually(is_told)


async def test_another_attempt_at_the_only_backend_sends_the_same_again(ask, api):
    answer = await ask("again", "fail 2")

    assert answer.status_code == 200
    assert len(api.asked) == 3
    assert len({(path, body) for path, _, body in api.asked}) == 1
    assert {headers["x-token"] for _, headers, _ in api.asked} == {"t"}


async def test_the_last_failure_is_the_clients_in_its_own_form(ask, api):
    answer = await ask("again", "fail 9")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "oops")
    assert len(api.asked) == 3


async def test_envoys_own_errors_are_not_translated(ask, envoy_version):
    SEEN.clear()
    answer = await ask("gone")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_unavailable")
    # Older versions show none of their own errors.
    shown = [[(503, "application/json", False)]] if envoy_version >= (1, 37) else []
    assert list(SEEN.values()) == shown


async def test_envoys_own_errors_are_in_the_clients_form(ask):
    answer = await ask("lost", path="/v1/messages", max_tokens=9)

    assert (answer.status_code, answer.json()["type"]) == (503, "error")


async def test_what_a_translation_adds_at_the_end_arrives_before_trailers(ask):
    answer = await ask("cut", "stream", stream=True)

    assert words_of(answer) == ["one", "two"]
    assert '"code":"cut"' in answer.text


async def test_a_call_that_a_plugin_sends_to_another_route_is_translated_there(ask, api):
    answer = await ask("moves")

    assert answer.json()["choices"][0]["message"]["content"] == "pong"
    assert api.asked[0][0] == "/v1/ask"


async def test_many_streams_at_once_each_end_in_their_own_words(ask):
    words = [f"{n} {n + 1} {n + 2}" for n in range(20)]
    answers = await asyncio.gather(*(ask("looks", f"stream {w}", stream=True) for w in words))

    assert [" ".join(words_of(answer)) for answer in answers] == words


def in_haste(made):
    """Let Envoy wait for an answer of the host no longer than for a plugin."""
    manager = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    manager["typed_config"]["http_filters"][0]["typed_config"]["message_timeout"] = "0.500s"


async def test_a_credential_that_takes_longer_than_a_message_may_is_waited_for(envoy):
    api = Api()
    async with upstream_of(api.answer) as url:
        config = {
            "plugins": {"brings": {"uses": "tests.support.renaming:Brings"}},
            "backends": {"slow": {"provider": "renaming", "url": url, "token_s": 1.2}},
            "routes": [{"name": "slow", "backends": ["slow"]}],
        }
        async with running_stack(config, binary=envoy, patch=in_haste) as stack:
            answer = await stack.http.post("/v1/chat/completions", json=CALL)

    assert answer.status_code == 200
    assert len(api.asked) == 1
