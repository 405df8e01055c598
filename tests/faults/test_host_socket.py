"""The socket between Envoy and the host is hurt: the client's answer is in time and in its format.

A guarded route (its plugin fails closed) gives an error, an open one goes on without the host.
"""

from __future__ import annotations

import asyncio
import time

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import Plugin
from tests.support.chain import chat_answer, uses_of
from tests.support.faulty import faulty_stack, host_tasks, no_more_tasks_than, nothing_in_flight
from tests.support.stack import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

BUDGET_S = 0.5
# Two messages may each take the budget, and a busy machine what it likes.
IN_TIME_S = 4.0
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
MESSAGES = {**CHAT, "max_tokens": 9}
ENDS = []


class Looks(Plugin):
    """Reads calls; notes how exchanges end."""

    on_error = "closed"

    def on_request(self, exchange):
        return None

    def on_complete(self, exchange, outcome):
        ENDS.append((exchange.id, outcome.ending))


def looks(on_error):
    return {"uses": uses_of(Looks), "on_error": on_error, "timeout": f"{BUDGET_S}s"}


CONFIG = {
    "plugins": {"shut": looks("closed"), "let": looks("open")},
    "routes": [
        {
            "name": "guard",
            "match": {"path_prefix": "/guard/"},
            "dialect": "openai.chat",
            "plugins": ["shut"],
            "backends": ["demo"],
        },
        {
            "name": "open",
            "match": {"path_prefix": "/open/"},
            "dialect": "openai.chat",
            "plugins": ["let"],
        },
    ],
}


async def answers(request):
    await request.read()
    return web.json_response(chat_answer("hi"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory):
    async with faulty_stack(tmp_path_factory.mktemp("host"), CONFIG, answers) as faulty:
        yield faulty


@pytest_asyncio.fixture(loop_scope="module")
async def faulty(made):
    """The stack, well before each test and after."""
    await well(made)
    await nothing_in_flight(made.stack)
    tasks = host_tasks()
    yield made
    made.heal()
    made.to_host.reset()
    await well(made)
    await nothing_in_flight(made.stack)
    await no_more_tasks_than(tasks)


async def well(faulty):
    async def answered():
        return (await ask(faulty, "guard"))[0] == 200

    await eventually(answered, within_s=20)


async def ask(faulty, route, path="chat/completions", body=CHAT):
    """Return status, document and time of an answer."""
    began_s = time.monotonic()
    answer = await faulty.stack.http.post(f"/{route}/v1/{path}", json=body)
    return answer.status_code, answer.json(), time.monotonic() - began_s


def hole(faulty):
    faulty.to_host.swallow()


def deaf(faulty):
    faulty.to_host.up.is_hole = True


def mute(faulty):
    faulty.to_host.down.is_hole = True


def drip(faulty):
    faulty.to_host.up.bytes_per_s = faulty.to_host.down.bytes_per_s = 100


def late(faulty):
    faulty.to_host.down.delay_s = 2 * BUDGET_S


def half_open(faulty):
    faulty.to_host.half_open()


SILENT = [hole, deaf, mute, drip, late, half_open]


@pytest.mark.parametrize("hurt", SILENT)
async def test_a_guarded_route_answers_in_the_clients_format_within_its_budget(faulty, hurt):
    hurt(faulty)
    status, document, took_s = await ask(faulty, "guard")
    other, message, _ = await ask(faulty, "guard", "messages", MESSAGES)

    assert (status, document["error"]["code"]) == (504, "upstream_timeout")
    assert set(document["error"]) == {"message", "type", "param", "code"}
    assert (other, message["type"], message["error"]["code"]) == (504, "error", "upstream_timeout")
    assert BUDGET_S <= took_s < IN_TIME_S


@pytest.mark.parametrize("hurt", SILENT)
async def test_an_open_route_goes_on_without_the_host(faulty, hurt):
    hurt(faulty)
    status, document, took_s = await ask(faulty, "open")

    assert (status, document["choices"][0]["message"]["content"]) == (200, "hi")
    assert BUDGET_S <= took_s < IN_TIME_S


async def test_a_host_that_is_slow_but_in_time_is_waited_for(faulty):
    faulty.to_host.down.delay_s = 0.1
    status, _, took_s = await ask(faulty, "guard")

    assert status == 200
    assert took_s >= 0.1


async def test_a_host_that_resets_is_asked_once_more(faulty):
    faulty.to_host.down.is_hole = True
    asked = asyncio.ensure_future(ask(faulty, "guard"))
    await asyncio.sleep(0.05)
    faulty.heal()
    faulty.to_host.reset()
    status, _, took_s = await asked

    assert status == 200
    assert took_s < IN_TIME_S


@pytest.mark.parametrize("way", ["up", "down"])
async def test_bytes_that_are_garbled_on_the_way_once_do_no_harm(faulty, way):
    getattr(faulty.to_host, way).garbles = 1

    status, document, _ = await ask(faulty, "guard")

    assert getattr(faulty.to_host, way).garbles == 0
    assert (status, document["choices"][0]["message"]["content"]) == (200, "hi")


@pytest.mark.parametrize("way", ["up", "down"])
async def test_bytes_that_are_always_garbled_are_a_host_that_is_gone(faulty, way):
    getattr(faulty.to_host, way).garbles = 1_000
    shut, error, took_s = await ask(faulty, "guard")
    let, document, _ = await ask(faulty, "open")

    assert (shut, error["error"]["code"]) == (503, "upstream_unavailable")
    assert (let, document["choices"][0]["message"]["content"]) == (200, "hi")
    assert took_s < IN_TIME_S


async def test_a_host_that_refuses_connections_is_answered_for_at_once(faulty):
    faulty.to_host.refuses = True
    faulty.to_host.reset()
    shut, error, took_s = await ask(faulty, "guard")
    let, _, _ = await ask(faulty, "open")

    assert (shut, error["error"]["code"]) == (503, "upstream_unavailable")
    assert let == 200
    assert took_s < IN_TIME_S


async def test_an_exchange_whose_connection_is_lost_ends_once_in_the_host(faulty):
    ENDS.clear()
    faulty.to_host.down.is_hole = True
    asked = asyncio.ensure_future(ask(faulty, "guard"))
    await asyncio.sleep(BUDGET_S / 3)
    faulty.to_host.half_open()
    status, document, _ = await asked

    assert status == 504
    assert document["error"]["code"] == "upstream_timeout"
    await nothing_in_flight(faulty.stack)
    assert [ending for _, ending in ENDS] == ["cancelled"]
