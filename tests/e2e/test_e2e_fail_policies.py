"""A host that answers wrongly, late or never: what our configuration makes Envoy do then."""

from __future__ import annotations

import asyncio
import json
import logging

import grpc
import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import Plugin
from pipeline.wire import ext_proc_pb2 as pb
from tests.support.foreign import foreign_processor, going_on, header_of, set_header
from tests.support.stack import running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


class Both(Plugin):
    def on_request(self, exchange):
        return None

    def on_response(self, exchange):
        return None


class Closed(Both):
    on_error = "closed"


CONFIG = {
    "plugins": {name.lower(): {"uses": f"{__name__}:{name}"} for name in ("Both", "Closed")},
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": [plugin],
            # Two of them: one alone would be signed at this level, which never fails open.
            "backends": ["one", "two"],
            "timeout": "5s",
        }
        for name, plugin in (("open", "both"), ("closed", "closed"))
    ],
}
CALL = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
PHASES = ("request_headers", "request_body", "response_headers", "response_body")


async def misbehaving(requests, context):
    """Do what the request's `x-do` says in the phase that its `x-at` names."""
    do = at = ""
    async for request in requests:
        kind = request.WhichOneof("request")
        metadata = dict(context.invocation_metadata())
        if kind == "request_headers" and metadata.get("x-dragoman-level") != "upstream":
            do, at = header_of(request, "x-do"), header_of(request, "x-at")
        if kind != at:
            await context.write(going_on(request))
        elif do == "close":
            return
        elif do == "abort":
            await context.abort(grpc.StatusCode.INTERNAL, "no")
        else:
            if do == "more time":
                asking = pb.ProcessingResponse()
                asking.override_message_timeout.FromMilliseconds(4_000)
                await context.write(asking)
            await asyncio.sleep({"hang": 30, "late": 0.9, "more time": 0.9}.get(do, 0))
            await context.write(wrong(do, kind, going_on(request)))


def wrong(do, kind, right):
    """Return what is said in place of the right answer."""
    answer = pb.ProcessingResponse()
    match do:
        case "hang" | "late" | "more time":
            return right
        case "other kind":
            answer.response_trailers.SetInParent()
        case "bad header":
            set_header(getattr(right, kind).response.header_mutation, "x-bad", b"a\r\nb: c")
            return right
        case "bad length":
            getattr(right, kind).response.body_mutation.body = b"not of that length"
            return right
        case "duplex":
            right.mode_override.request_body_mode = pb.ProcessingMode.FULL_DUPLEX_STREAMED
            right.mode_override.response_body_mode = pb.ProcessingMode.FULL_DUPLEX_STREAMED
            return right
        case "answer":
            answer.immediate_response.status.code = 418
            answer.immediate_response.body = b"tea"
    return answer


async def echo(request):
    body = await request.read()
    return web.json_response({"got": len(body), "choices": []})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    # gRPC logs every abort that a case asks for.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    async with upstream_of(echo) as url, foreign_processor(misbehaving) as port:

        def instead_of_the_host(made):
            host = made["static_resources"]["clusters"][0]
            address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
            endpoint = {"endpoint": {"address": address}}
            host["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]}]
            host["type"] = "STATIC"
            del host["health_checks"]
            manager = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
            filters = manager["typed_config"]["http_filters"]
            filters[0]["typed_config"]["message_timeout"] = "0.600s"

        backend = {"provider": "openai", "url": url, "api_key": "k"}
        config = {**CONFIG, "backends": {"one": backend, "two": backend}}
        async with running_stack(config, patch=instead_of_the_host, binary=envoy) as made:
            yield made


async def ask(stack, route, do, at):
    headers = {"x-do": do, "x-at": at}
    async with asyncio.timeout(8):
        return await stack.http.post(f"/{route}/chat/completions", json=CALL, headers=headers)


def outcome(answer):
    """Return the status, and the code of an error that is worded as the client's API does."""
    if answer.status_code == 200:
        assert answer.json()["got"] == len(json.dumps(CALL, separators=(",", ":")))
        return 200, None
    return answer.status_code, answer.json()["error"]["code"]


UNAVAILABLE = (503, "upstream_unavailable")
LATE = (504, "upstream_timeout")
FINE = (200, None)
CASES = {
    "hang": (LATE, FINE),
    "late": (LATE, FINE),
    "abort": (UNAVAILABLE, FINE),
    "nothing": (UNAVAILABLE, FINE),
    "other kind": (UNAVAILABLE, FINE),
    # Not a failure: a host that ends a stream in order has no more to say, whatever the policy.
    "close": (FINE, FINE),
}


@pytest.mark.parametrize("at", PHASES)
@pytest.mark.parametrize("do", CASES)
async def test_the_routes_policy_decides(stack, do, at):
    closed, opened = CASES[do]

    answers = await asyncio.gather(*(ask(stack, route, do, at) for route in ("closed", "open")))

    assert [outcome(answer) for answer in answers] == [closed, opened]


@pytest.mark.parametrize("route", ["open", "closed"])
@pytest.mark.parametrize("at", PHASES)
async def test_a_header_that_no_header_can_be_is_an_error_either_way(stack, route, at):
    """The reason why the host checks every edit: no policy of Envoy's gets around this one."""
    assert outcome(await ask(stack, route, "bad header", at))[0] >= 500


@pytest.mark.parametrize("route", ["open", "closed"])
@pytest.mark.parametrize("at", ["request_body", "response_body"])
async def test_a_body_that_its_length_denies_is_an_error_either_way(stack, route, at):
    """The reason why the host states a length with every body."""
    assert outcome(await ask(stack, route, "bad length", at))[0] >= 500


@pytest.mark.parametrize("at", PHASES)
async def test_a_host_may_ask_for_more_time(stack, at):
    assert outcome(await ask(stack, "closed", "more time", at)) == FINE


@pytest.mark.parametrize("at", ["request_headers", "response_headers"])
async def test_a_mode_that_is_not_on_the_list_is_not_taken(stack, at):
    assert outcome(await ask(stack, "closed", "duplex", at)) == FINE


@pytest.mark.parametrize("at", PHASES)
async def test_an_immediate_answer_comes_through_in_every_phase(stack, at):
    answer = await ask(stack, "closed", "answer", at)

    assert answer.status_code == 418
