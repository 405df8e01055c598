"""A provider of another format over a real Envoy: attempts, answers, streams, errors, failover."""

from __future__ import annotations

import asyncio
import gzip
import json

import brotli
import pytest
import pytest_asyncio
import zstandard
from aiohttp import web

from tests.support.stack import eventually, running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PACK = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
}
CALL = {"model": "gpt-5", "messages": [{"role": "user", "content": "ping"}]}
BACKENDS = {
    "one": {},
    "slow": {"token_s": 0.4},
    "patched": {"patch": [{"op": "add", "path": "/extra", "value": 1}]},
    "busy": {"url": "busy"},
    "teapot": {"url": "teapot"},
    "breaks": {"fails": "prepare"},
    "headers": {"fails": "begin"},
    "answers": {"fails": "whole"},
    "streams": {"fails": "feed"},
}
ROUTES = {
    **{name: [name] for name in BACKENDS},
    "two": ["busy", "one"],
    "three": ["busy", "teapot", "one"],
    "plain": ["busy", "native"],
}


class Api:
    """The API's server."""

    def __init__(self):
        self.seen = []
        self.cancelled = 0

    async def answer(self, request):
        body = await request.read()
        asked = json.loads(body)
        self.seen.append((request.path, dict(request.headers), asked))
        if "messages" in asked:
            message = {"role": "assistant", "content": "native"}
            return web.json_response({"choices": [{"index": 0, "message": message}]})
        if "/busy/" in request.path:
            return web.json_response({"oops": "later"}, status=503)
        if "/teapot/" in request.path:
            return web.json_response({"oops": "too many"}, status=418)
        words = asked["q"][-1].split()
        match words:
            case ["status", status]:
                return web.json_response({"oops": "no"}, status=int(status))
            case ["empty", status]:
                return web.Response(status=int(status))
            case ["html"]:
                return web.Response(text="<html>", content_type="text/html")
            case ["big", size]:
                return web.json_response({"a": "x" * int(size), "tokens": 1})
            case ["packed", name]:
                packed = PACK[name](json.dumps({"a": name * 1000}).encode())
                headers = {"content-encoding": name, "content-type": "application/json"}
                return web.Response(body=packed, headers=headers)
            case ["stream", how, *texts]:
                return await self.stream(request, how, texts)
        return web.json_response({"a": " ".join(asked["q"]), "tokens": 1})

    async def stream(self, request, how, texts):
        name = how if how in PACK else "identity"
        headers = {"content-type": "text/lines"}
        if name != "identity":
            headers["content-encoding"] = name
        response = web.StreamResponse(headers=headers)
        if how == "unframed":
            response.force_close()
            response.headers["connection"] = "close"
        await response.prepare(request)
        data = "".join(f"{text}\n" for text in texts).encode()
        data += b"" if how in {"short", "cut", "endless"} else b".\n"
        data = PACK[name](data)
        pieces = [data] if how == "once" else [data[i : i + 3] for i in range(0, len(data), 3)]
        try:
            for piece in pieces:
                await response.write(piece)
                await asyncio.sleep(0.001)
            while how == "endless":
                await response.write(b"more\n")
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            self.cancelled += 1
            raise
        if how == "cut":
            request.transport.abort()
        else:
            await response.write_eof()
        return response


@pytest.fixture
def _tries_again(envoy_version):
    if envoy_version < (1, 37):
        pytest.skip("this version crashes where a shown answer is tried again elsewhere")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api():
    return Api()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(api, envoy):
    async with upstream_of(api.answer) as url:
        base = url.removesuffix("/v1")
        backends = {
            name: {
                "provider": "renaming",
                "token": f"token-of-{name}",
                "models": {"gpt-5": f"model-of-{name}"},
                **keys,
                "url": f"{base}/{keys.get('url', name)}",
            }
            for name, keys in BACKENDS.items()
        }
        backends["native"] = {"provider": "openai", "url": url, "api_key": "native-key"}
        config = {
            "plugins": {"brings": {"uses": "tests.support.renaming:Brings"}},
            "backends": backends,
            "routes": [
                {"name": name, "match": {"path_prefix": f"/{name}/"}, "backends": used}
                for name, used in ROUTES.items()
            ],
        }
        async with running_stack(config, binary=envoy) as made:
            yield made


@pytest.fixture
def ask(stack, api):
    async def send(route, text="ping", **fields):
        api.seen.clear()
        call = {**CALL, "messages": [{"role": "user", "content": text}], **fields}
        return await stack.http.post(f"/{route}/v1/chat/completions", json=call)

    return send


def text_of(answer):
    return answer.json()["choices"][0]["message"]["content"]


def events_of(answer):
    frames = [frame for frame in answer.text.split("\n\n") if frame]
    return [frame.removeprefix("data: ") for frame in frames]


def texts_of(answer):
    read = [json.loads(data) for data in events_of(answer) if data != "[DONE]"]
    return [one["choices"][0]["delta"]["content"] for one in read if "choices" in one]


def error_of(answer):
    [error] = [json.loads(data)["error"] for data in events_of(answer) if '"error"' in data]
    return error


async def test_a_call_goes_in_the_providers_format_and_its_answer_comes_in_the_clients(ask, api):
    answer = await ask("one")

    assert answer.status_code == 200
    assert text_of(answer) == "hello ping"
    assert answer.headers["content-length"] == str(len(answer.content))
    [(path, headers, asked)] = api.seen
    assert path == "/one/ask"
    assert headers["x-token"] == "token-of-one"
    assert asked == {"q": ["hello", "ping"], "who": "model-of-one", "live": False}


async def test_what_the_provider_cannot_carry_is_told_and_counted(ask, stack):
    answer = await ask("one", temperature=1, made_up_by_a_client=2)
    whole = await ask("one")

    assert answer.headers["x-dragoman-dropped"] == "made_up_by_a_client, temperature"
    assert "x-dragoman-dropped" not in whole.headers
    metrics = await stack.metrics()
    for field in ("temperature", "other"):
        assert f'dragoman_dropped_fields_total{{backend="one",field="{field}"}}' in metrics
    assert "made_up" not in metrics


async def test_a_patch_changes_what_is_sent(ask, api):
    await ask("patched")

    assert api.seen[0][2]["extra"] == 1


async def test_a_token_that_takes_its_time_is_waited_for(ask):
    assert text_of(await ask("slow")) == "hello ping"


@pytest.mark.parametrize("name", PACK)
async def test_an_answers_encoding_is_undone(ask, name):
    answer = await ask("one", f"packed {name}")

    assert text_of(answer) == name * 1000
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("how", [*PACK, "once", "unframed"])
async def test_a_stream_is_translated_whatever_cuts_and_encodes_it(ask, how):
    answer = await ask("one", f"stream {how} one two three", stream=True)

    assert answer.headers["content-type"] == "text/event-stream"
    assert texts_of(answer) == ["one", "two", "three"]
    assert events_of(answer)[-1] == "[DONE]"


async def test_a_stream_that_ends_too_early_ends_in_an_error_event(ask):
    answer = await ask("one", "stream short one two", stream=True)

    assert texts_of(answer) == ["one", "two"]
    assert error_of(answer)["code"] == "cut"


async def test_a_client_that_leaves_ends_the_stream_upstream(stack, api):
    before = api.cancelled
    call = {"model": "m", "messages": [{"role": "user", "content": "stream endless a"}]}
    async with stack.http.stream(
        "POST", "/one/v1/chat/completions", json={**call, "stream": True}
    ) as answer:
        async for _ in answer.aiter_raw():
            break

    async def is_cancelled():
        return api.cancelled > before

    await eventually(is_cancelled, within_s=10)


@pytest.mark.parametrize(("status", "client"), [(400, 400), (404, 404), (418, 429), (500, 500)])
async def test_an_error_comes_in_the_clients_form_with_its_status(ask, status, client):
    answer = await ask("one", f"status {status}")
    empty = await ask("one", f"empty {status}")

    assert (answer.status_code, answer.json()["error"]["message"]) == (client, "no")
    assert (empty.status_code, empty.json()["error"]["message"]) == (client, "empty")


async def test_what_is_no_answer_changes_the_status_after_the_headers(ask):
    answer = await ask("one", "html")

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "bad_upstream_answer"


@pytest.mark.usefixtures("_tries_again")
@pytest.mark.parametrize("route", ["two", "three"])
async def test_the_next_backend_answers_where_the_first_cannot(ask, api, route):
    answer = await ask(route)

    assert text_of(answer) == "hello ping"
    assert [path.split("/")[1] for path, *_ in api.seen] == [
        name for name in ROUTES[route] if name != route
    ]
    assert [asked["who"] for *_, asked in api.seen] == [f"model-of-{n}" for n in ROUTES[route]]


@pytest.mark.usefixtures("_tries_again")
async def test_a_backend_of_the_clients_format_answers_after_one_of_another(ask, api):
    answer = await ask("plain", temperature=1)

    assert text_of(answer) == "native"
    assert "x-dragoman-dropped" not in answer.headers
    assert api.seen[1][0] == "/v1/chat/completions"
    assert api.seen[1][1]["Authorization"] == "Bearer native-key"
    assert api.seen[1][2] == {**CALL, "temperature": 1}


async def test_a_provider_that_fails_before_its_attempt_is_told_without_its_words(ask):
    answer = await ask("breaks")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_error")
    assert "secret" not in answer.text


@pytest.mark.parametrize("route", ["headers", "answers"])
async def test_a_translation_that_fails_is_told_without_its_words(ask, stack, route):
    answer = await ask(route)

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "provider_error"
    assert "secret" not in answer.text
    assert 'dragoman_protocol_violations_total{kind="provider_error"}' in await stack.metrics()


async def test_a_translation_that_fails_in_mid_stream_ends_in_an_error_event(ask):
    answer = await ask("streams", "stream once one two three", stream=True)

    assert error_of(answer)["code"] == "provider_error"


@pytest.mark.parametrize("size", [100_000, 5_000_000, 20_000_000])
async def test_a_large_answer_is_translated_whole(ask, size):
    answer = await ask("one", f"big {size}")

    assert len(text_of(answer)) == size


async def test_an_answer_beyond_all_limits_is_an_error_and_envoy_lives(ask):
    answer = await ask("one", "big 50000000")

    assert answer.status_code in {500, 502}
    assert text_of(await ask("one")) == "hello ping"


@pytest.mark.usefixtures("_tries_again")
async def test_a_large_call_reaches_the_next_backend_whole(ask, api):
    answer = await ask("two", "y" * 6_000_000)

    assert answer.status_code == 200
    assert [len(asked["q"][1]) for *_, asked in api.seen] == [6_000_000] * 2


async def test_a_call_that_no_provider_can_carry_is_refused_in_the_clients_form(stack):
    call = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    answer = await stack.http.post("/one/v1/messages", json=call)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_by_backend"
    assert answer.json()["type"] == "error"


async def test_the_models_of_the_config_are_told_in_the_clients_form(stack):
    listed = (await stack.http.get("/v1/models")).json()
    routed = (await stack.http.get("/one/v1/models")).json()
    one = await stack.http.get("/v1/models/gpt-5")
    none = await stack.http.get("/v1/models/gpt-6")
    theirs = (await stack.http.get("/anthropic/v1/models")).json()

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["gpt-5"]
    assert listed["data"][0]["owned_by"] in BACKENDS
    assert routed["error"]["code"] == "not_an_llm_call"
    assert one.json()["id"] == "gpt-5"
    assert (none.status_code, none.json()["error"]["code"]) == (404, "model_not_found")
    assert (theirs["data"][0]["id"], theirs["data"][0]["type"]) == ("gpt-5", "model")
