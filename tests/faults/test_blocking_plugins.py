"""Plugins that block the event loop: what becomes of their neighbours, and where it shows."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import pytest_asyncio

from pipeline.api import Plugin
from tests.support.blocking import detecting
from tests.support.chain import Driven, plugin, runtime_with, step_of, uses_of
from tests.support.faulty import nothing_in_flight, value_of
from tests.support.stack import eventually, running_stack

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
BUDGET_S = 0.5
LONG_S = 3.0


class OnTheLoop(Plugin):
    """Blocks the loop for as long as a header says."""

    def on_request_headers(self, exchange):
        time.sleep(float(exchange.request.headers.get("x-block")))


class InAThread(OnTheLoop):
    """Does the same in a thread of the host's."""

    blocking = True


class Quick(Plugin):
    """Does next to nothing."""

    on_error = "closed"

    def on_request(self, exchange):
        return None


def route(name):
    return {
        "name": name,
        "match": {"path_prefix": f"/{name}/"},
        "dialect": "openai.chat",
        "plugins": [name],
        "backends": ["demo"],
    }


CONFIG = {
    # On a busy machine the host's answer after a timeout may take longer than usual.
    "envoy": {"slack": "1s"},
    "plugins": {
        "loop": {"uses": uses_of(OnTheLoop), "timeout": f"{BUDGET_S}s"},
        "thread": {"uses": uses_of(InAThread), "timeout": f"{BUDGET_S}s"},
        "calm": {"uses": uses_of(Quick), "timeout": f"{BUDGET_S}s"},
    },
    "routes": [route("loop"), route("thread"), route("calm")],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack():
    async with running_stack(CONFIG) as made:
        yield made


def ask(url, name, block_s=0.0):
    """Ask from a thread, which goes on while the loop is blocked; return status and time."""
    began_s = time.monotonic()
    headers = {"x-block": str(block_s)}
    address = f"{url}/{name}/v1/chat/completions"
    answer = httpx.post(address, json=CHAT, headers=headers, timeout=20)
    return answer.status_code, time.monotonic() - began_s


async def beside(stack, name, block_s):
    """Ask a route that blocks, and a moment later its neighbour; return both answers."""

    def both():
        with ThreadPoolExecutor(5) as pool:
            blocks = pool.submit(ask, stack.url, name, block_s)
            time.sleep(0.2)
            neighbours = [pool.submit(ask, stack.url, "calm") for _ in range(4)]
            return blocks.result(), [one.result() for one in neighbours]

    await serves(stack)
    return await asyncio.to_thread(both)


async def serves(stack):
    async def answered():
        return (await asyncio.to_thread(ask, stack.url, "calm"))[0] == 200

    await eventually(answered, within_s=20)


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_hook_that_blocks_briefly_delays_its_neighbours_and_no_more(stack):
    (status, _), neighbours = await beside(stack, "loop", 0.5)

    assert status == 200
    assert {status for status, _ in neighbours} == {200}
    assert min(took_s for _, took_s in neighbours) > 0.1


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_hook_that_blocks_past_the_budget_takes_its_neighbours_along(stack):
    (status, _), neighbours = await beside(stack, "loop", LONG_S)

    assert status == 504
    assert {status for status, _ in neighbours} == {504}
    await serves(stack)
    await nothing_in_flight(stack)


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_blocking_plugin_is_abandoned_at_its_timeout_and_disturbs_nobody(stack):
    (status, took_s), neighbours = await beside(stack, "thread", LONG_S)

    assert status == 200  # it fails open
    assert BUDGET_S <= took_s < LONG_S
    assert {status for status, _ in neighbours} == {200}


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="module")
async def test_a_block_of_300_ms_shows_in_the_lag_metric(stack):
    await asyncio.to_thread(ask, stack.url, "loop", 0.3)

    async def shows():
        return value_of(await stack.metrics(), "dragoman_loop_lag_seconds") >= 0.15

    await eventually(shows, within_s=5)


async def test_a_call_that_blocks_the_loop_is_found_in_tests_of_the_host():
    sleeps = plugin(on_request=lambda self, exchange: time.sleep(0.001))
    with detecting():
        driven = Driven(runtime_with(p=sleeps))
        await driven.asked()

    assert step_of(await driven.over(), "p").decision == "error"
