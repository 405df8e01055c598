"""Bad input over a real Envoy: a 4xx in the client's own format, with a stable code."""

from __future__ import annotations

import gzip
import json
import zlib

import brotli
import pytest
import pytest_asyncio

from pipeline.demo.upstream import DemoSettings
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PATHS = {
    "chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "completions": {"prompt": "x"},
    "embeddings": {"input": "x"},
    "responses": {"input": "x"},
    "messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9},
}
LIMIT = 20_000
CONFIG = {
    "limits": {"request_body": f"{LIMIT}B"},
    "envoy": {"body_limit": "1MiB"},
    "plugins": {
        "rules": {
            "uses": "prompt_decorator",
            "with": {"prepend": [{"role": "system", "content": "Be kind."}]},
        }
    },
    "routes": [
        {"name": "v1", "match": {"path_prefix": "/v1/"}, "backends": ["demo"]},
        {
            "name": "model",
            "match": {"path_prefix": "/bymodel/", "model": "gpt-*"},
            "backends": ["demo"],
        },
        {
            "name": "chained",
            "match": {"path_prefix": "/chained/"},
            "plugins": ["rules"],
            "backends": ["demo"],
        },
        {"name": "twice", "match": {"path_prefix": "/twice/"}, "backends": ["demo", "second"]},
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack():
    upstreams = {"demo": DemoSettings(), "second": DemoSettings()}
    async with running_stack(CONFIG, upstreams=upstreams) as made:
        yield made


@pytest.fixture
def send(stack):
    async def post(body, path="chat/completions", route="", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        before = len(stack.seen["demo"])
        answer = await stack.http.post(
            f"{route}/v1/{path}",
            content=body,
            headers={"content-type": "application/json", **names},
        )
        if answer.status_code >= 400:
            assert len(stack.seen["demo"]) == before
        return answer

    return post


def fault(answer, path="chat/completions"):
    """Return an error's status and code after checking its form."""
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    error = document["error"]
    assert error["message"]
    if path == "messages":
        assert document["type"] == "error"
        assert error["type"].endswith("_error") or error["type"] == "request_too_large"
    else:
        assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["code"]


def nested(depth):
    body = {"model": "m", **PATHS["chat/completions"]}
    inner = {}
    for _ in range(depth - 2):
        inner = {"a": inner}
    return {**body, "deep": inner}


NO_OBJECTS = {
    "cut off": (b'{"model":', "invalid_json"),
    "an array": (b"[]", "invalid_json"),
    "null": (b"null", "invalid_json"),
    "two objects": (b"{} {}", "invalid_json"),
    "NaN": (b'{"a": NaN}', "invalid_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "invalid_json"),
    "bad UTF-8": (b'{"a": "\xff"}', "invalid_utf8"),
    "a key twice": (b'{"model": "a", "model": "b"}', "duplicate_key"),
    "65 levels": (b'{"a": ' * 65 + b"1" + b"}" * 65, "too_deep"),
    "2000 levels": (b'{"a": ' * 2000 + b"1" + b"}" * 2000, "too_deep"),
    "nothing": (b"", "empty_body"),
}
ROUTES = ("", "/bymodel", "/chained", "/twice")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", NO_OBJECTS)
async def test_what_is_no_json_object(send, path, case):
    body, code = NO_OBJECTS[case]
    for route in ROUTES:
        answer = await send(body, path, route)

        assert fault(answer, path) == (400, code), route


@pytest.mark.parametrize("path", PATHS)
async def test_wrong_types_and_missing_fields(send, path):
    field = next(iter(PATHS[path]))
    good = {"model": "m", **PATHS[path]}

    assert (await send(good, path)).status_code == 200
    assert fault(await send({**good, field: 7}, path), path) == (400, "invalid_type")
    assert fault(await send({**good, "model": {}}, path), path) == (400, "invalid_type")
    assert fault(await send({**good, "stream": "yes"}, path), path) == (400, "invalid_type")
    del good[field]
    assert fault(await send(good, path), path)[0] == 400


async def test_the_depth_limit_is_sixty_four(send):
    assert (await send(nested(64))).status_code == 200
    assert fault(await send(nested(65))) == (400, "too_deep")


@pytest.mark.parametrize("route", ROUTES)
async def test_a_body_over_the_limit(send, route):
    body = {"model": "gpt-5", **PATHS["chat/completions"], "pad": ""}
    body["pad"] = "x" * (LIMIT - len(json.dumps(body)))
    assert (await send(body, route=route)).status_code == 200

    body["pad"] += "x"
    assert fault(await send(body, route=route)) == (413, "body_too_large")
    assert fault(await send({**body, "pad": "x" * 200_000}, "messages", route), "messages") == (
        413,
        "body_too_large",
    )


async def test_a_body_over_envoys_own_limit_is_refused(send):
    answer = await send(b'{"pad": "' + b"x" * 2**21 + b'"}')

    assert answer.status_code == 413


GOOD = json.dumps({"model": "m", **PATHS["chat/completions"]}).encode()


def packed(data):
    return gzip.compress(data, mtime=0)


COMPRESSED = {
    "gzip": (packed(GOOD), "gzip", None),
    "gzip, spelt otherwise": (packed(GOOD), "GZip", None),
    "deflate": (zlib.compress(GOOD), "deflate", None),
    "two members": (packed(GOOD[:20]) + packed(GOOD[20:]), "gzip", None),
    "none": (GOOD, "identity", None),
    "a bomb": (packed(b'{"pad": "' + b"x" * 5_000_000 + b'"}'), "gzip", "body_too_large"),
    "cut off": (packed(GOOD)[:-9], "gzip", "invalid_encoding"),
    "plain as gzip": (GOOD, "gzip", "invalid_encoding"),
    "gzip as deflate": (packed(GOOD), "deflate", "invalid_encoding"),
    "bad JSON": (packed(b"[}"), "gzip", "invalid_json"),
    "brotli": (brotli.compress(GOOD), "br", None),
    "plain as brotli": (GOOD, "br", "invalid_encoding"),
    "old": (GOOD, "compress", "unsupported_encoding"),
    "twice": (GOOD, "gzip, gzip", "unsupported_encoding"),
}
STATUSES = {"body_too_large": 413, "unsupported_encoding": 415}


@pytest.mark.parametrize("case", COMPRESSED)
async def test_compressed_bodies(send, case):
    body, encoding, code = COMPRESSED[case]
    for route in ("", "/chained", "/twice"):
        answer = await send(body, route=route, content_encoding=encoding)

        if code is None:
            assert answer.status_code == 200, answer.text
        else:
            assert fault(answer) == (STATUSES.get(code, 400), code)


async def test_unknown_routes(stack):
    answer = await stack.http.post("/v2/chat/completions", json={})
    assert fault(answer) == (404, "route_not_found")
    answer = await stack.http.post("/v2/messages", json={})
    assert answer.status_code == 404
    answer = await stack.http.get("/")
    assert fault(answer) == (404, "route_not_found")


async def test_an_unknown_route_answers_in_the_clients_format(stack):
    answer = await stack.http.post("/nowhere/v1/messages", json={})
    assert fault(answer, "messages") == (404, "route_not_found")


async def test_a_model_that_no_route_takes(send):
    answer = await send({"model": "other", **PATHS["messages"]}, "messages", "/bymodel")
    assert fault(answer, "messages") == (404, "route_not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_no_calls(stack, method):
    answer = await stack.http.request(method, "/v1/messages")
    assert fault(answer, "messages") == (404, "not_an_llm_call")


async def test_unknown_paths_and_multipart_are_no_calls(stack):
    answer = await stack.http.post("/v1/files", json={})
    assert fault(answer) == (404, "not_an_llm_call")
    answer = await stack.http.post("/v1/chat/completions", files={"file": b"x"})
    assert fault(answer) == (404, "not_an_llm_call")


async def test_control_headers_of_clients_reach_no_upstream(stack, send):
    spoofed = {"x_dragoman_route": "chained", "X_Dragoman_Level": "upstream", "x_dragoman_any": "1"}
    for route in ("", "/twice", "/chained"):
        answer = await send(GOOD, route=route, **spoofed)

        assert answer.status_code == 200
        seen = stack.seen["demo"][-1]
        assert not [name for name in seen.headers if name.lower().startswith("x-dragoman")]
        assert (b"Be kind" in seen.body) == (route == "/chained")


@pytest.mark.parametrize("path", ["//v1/./chat/completions", "/v1/x/../chat/completions"])
async def test_another_spelling_of_a_path_is_the_same_route(stack, path):
    answer = await stack.http.post(f"{stack.url}{path}", content=b"[]")

    assert fault(answer) == (400, "invalid_json")
