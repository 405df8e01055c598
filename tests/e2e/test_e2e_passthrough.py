"""What no plugin changes: byte for byte the same, in both directions, whatever it looks like."""

from __future__ import annotations

import gzip
import json

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import HeaderEdits, Plugin, Rewrite
from tests.support.stack import running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CALL = (
    b'{ "zeta":[1.0,1e2,-0,12345678901234567890123], "model" :"caf\\u00e9 \xf0\x9f\x8d\x92",\r\n'
    b'\t"messages":[{"content":"a\\/b \\ud83c\\udf52","role":"user","x_unknown":{"b":1,"a":2}}] ,\n'
    b'"stream":false,"alpha":null}  \n'
)
ANSWER = (
    b'\n{"x_first": 1.50,"choices":[ {"message":{"content":"\\u00e9","role":"assistant"},'
    b'"index":0,"finish_reason":"stop"}],"id":"1" , "zz":{"b":1,"a":12345678901234567890123}}\n'
)


class Reading(Plugin):
    """Reads everything and changes nothing."""

    def on_request(self, exchange):
        # An equal call is no change.
        call = exchange.call.replace(segments=exchange.call.segments, model=exchange.call.model)
        return Rewrite(call=call)

    def on_response(self, exchange):
        return Rewrite(
            answer=exchange.response.answer.replace(segments=exchange.response.answer.segments)
        )


class Header(Plugin):
    """Changes headers alone."""

    def on_request_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-added": "1"}, remove=frozenset({"x-gone"})))

    def on_request(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-later": "2"}))

    def on_response_headers(self, exchange):
        edits = HeaderEdits(set={"x-answer": "3"}, remove=frozenset({"x-upstream"}))
        return Rewrite(headers=edits)

    def on_response(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-whole": "4"}))


class Longer(Plugin):
    """Changes how long a body is, both ways."""

    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(set_params={"pad": "x" * 1000}))

    def on_response(self, exchange):
        answer = exchange.response.answer
        segment = answer.segments[0]
        made = type(segment)(segment.role, "y" * 500, segment.kind, segment.at)
        return Rewrite(answer=answer.replace(segments=[made]))


ROUTES = {"none": [], "reading": ["reading"], "header": ["header"], "longer": ["longer"]}
CONFIG = {
    "plugins": {
        name.lower(): {"uses": f"{__name__}:{name}"} for name in ("Reading", "Header", "Longer")
    },
    "routes": [
        *(
            {
                "name": name,
                "match": {"path_prefix": f"/{name}/"},
                "plugins": plugins,
                "backends": ["scripted"],
            }
            for name, plugins in ROUTES.items()
        ),
        {
            "name": "unchecked",
            "match": {"path_prefix": "/unchecked/"},
            "backends": ["scripted"],
            "check": False,
        },
        {
            "name": "other",
            "match": {"path_prefix": "/other/"},
            "plugins": ["reading"],
            "backends": ["scripted"],
            "other": "pass",
        },
    ],
}


class Upstream:
    """Answers with fixed bytes and keeps what it was sent."""

    def __init__(self):
        self.body = ANSWER
        self.headers = {"content-type": "application/json", "x-upstream": "1"}
        self.status = 200
        self.got = None

    async def answer(self, request):
        self.got = (request.method, request.raw_path, request.headers, await request.read())
        return web.Response(body=self.body, headers=self.headers, status=self.status)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(envoy):
    upstream = Upstream()
    async with upstream_of(upstream.answer) as url:
        backend = {"provider": "openai", "url": url, "api_key": "k"}
        async with running_stack(
            {**CONFIG, "backends": {"scripted": backend}}, binary=envoy
        ) as stack:
            yield stack.http, upstream


@pytest.fixture
def http(running):
    return running[0]


@pytest.fixture
def upstream(running):
    running[1].__init__()
    return running[1]


def post(http, route, body=CALL, headers=(), path="chat/completions"):
    headers = {"content-type": "application/json", **dict(headers)}
    return http.post(f"/{route}/v1/{path}", content=body, headers=headers)


@pytest.mark.parametrize("route", ["none", "reading", "header", "unchecked", "other"])
async def test_both_bodies_are_untouched(http, upstream, route):
    answer = await post(http, route)

    assert answer.status_code == 200, answer.text
    assert upstream.got[3] == CALL
    assert upstream.got[2]["content-length"] == str(len(CALL))
    assert answer.content == ANSWER
    assert answer.headers["content-length"] == str(len(ANSWER))


async def test_header_edits_arrive_on_both_sides(http, upstream):
    answer = await post(http, "header", headers={"x-gone": "1", "x-kept": "1"})

    sent = upstream.got[2]
    assert (sent["x-added"], sent["x-later"], sent["x-kept"]) == ("1", "2", "1")
    assert "x-gone" not in sent
    assert (answer.headers["x-answer"], answer.headers["x-whole"]) == ("3", "4")
    assert "x-upstream" not in answer.headers


async def test_a_changed_length_is_the_right_length(http, upstream):
    answer = await post(http, "longer")

    assert json.loads(upstream.got[3])["pad"] == "x" * 1000
    assert upstream.got[2]["content-length"] == str(len(upstream.got[3]))
    assert answer.json()["choices"][0]["message"]["content"] == "y" * 500
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_what_surrounds_a_change_is_kept(http, upstream):
    answer = await post(http, "longer")

    sent = json.loads(upstream.got[3])
    assert list(sent) == ["zeta", "model", "messages", "stream", "alpha", "pad"]
    assert sent["messages"] == json.loads(CALL)["messages"]
    assert b"12345678901234567890123" in upstream.got[3]
    assert list(answer.json()) == ["x_first", "choices", "id", "zz"]
    assert b"12345678901234567890123" in answer.content


async def test_chunked_bodies(http, upstream):
    async def pieces():
        yield CALL[:50]
        yield CALL[50:]

    await post(http, "longer", pieces())
    assert json.loads(upstream.got[3])["pad"] == "x" * 1000
    await post(http, "reading", pieces())
    assert upstream.got[3] == CALL


async def test_an_untouched_gzipped_call_stays_gzipped(http, upstream):
    packed = gzip.compress(CALL)
    await post(http, "reading", packed, {"content-encoding": "gzip"})

    assert upstream.got[3] == packed
    assert upstream.got[2]["content-encoding"] == "gzip"


async def test_a_changed_gzipped_call_is_plain(http, upstream):
    await post(http, "longer", gzip.compress(CALL), {"content-encoding": "gzip"})

    assert json.loads(upstream.got[3])["pad"] == "x" * 1000
    assert "content-encoding" not in upstream.got[2]


async def test_a_gzipped_answer_is_read_or_left_alone(http, upstream):
    upstream.body = gzip.compress(ANSWER)
    upstream.headers = {"content-type": "application/json", "content-encoding": "gzip"}

    async def raw(route):
        url = f"/{route}/v1/chat/completions"
        async with http.stream("POST", url, content=CALL) as answer:
            return answer.headers, b"".join([piece async for piece in answer.aiter_raw()])

    assert (await raw("reading"))[1] == upstream.body
    headers, changed = await raw("longer")
    assert json.loads(changed)["choices"][0]["message"]["content"] == "y" * 500
    assert "content-encoding" not in headers


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"a":1,"a":2}', b"\xff"])
async def test_an_answer_that_is_none_goes_through_where_plugins_fail_open(http, upstream, body):
    upstream.body = body
    answer = await post(http, "longer")

    assert (answer.status_code, answer.content) == (200, body)


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_providers_error_is_untouched(http, upstream, status):
    upstream.status = status
    upstream.body = b'{"error" : {"message":"no"}}'
    answer = await post(http, "longer")

    assert (answer.status_code, answer.content) == (status, upstream.body)


async def test_other_requests_pass_untouched(http, upstream):
    upstream.body, upstream.headers = b"\x00\xffpng", {"content-type": "image/png"}

    answer = await http.get("/other/v1/files/7?purpose=x%20y")
    assert (answer.content, answer.headers["content-type"]) == (b"\x00\xffpng", "image/png")
    assert upstream.got[:2] == ("GET", "/v1/files/7?purpose=x%20y")
    assert upstream.got[2]["authorization"] == "Bearer k"

    await http.post("/other/v1/audio/transcriptions", files={"file": b"\x00{" * 1000})
    assert upstream.got[3].count(b"\x00{") == 1000
    await http.delete("/other/v1/files/7")
    assert upstream.got[0] == "DELETE"
    await http.post("/other/v1/chat/completions", files={"file": b"x"})
    assert upstream.got[0] == "POST"
    await http.put("/other/v1/unknown", content=b"{not json")
    assert upstream.got[3] == b"{not json"
    answer = await http.head("/other/v1/unknown")
    assert answer.status_code == 200


async def test_what_passes_others_still_checks_calls(http, upstream):
    answer = await post(http, "other", b"{not json")

    assert answer.json()["error"]["code"] == "invalid_json"
    assert upstream.got is None
