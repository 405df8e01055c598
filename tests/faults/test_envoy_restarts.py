"""Envoy ends under load, killed or told to: the host leaks nothing and serves the next one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from pathlib import Path

import httpx
import pytest
import structlog

from pipeline.api import Plugin
from pipeline.demo.upstream import DemoSettings
from pipeline.envoy.process import EnvoyProcess
from tests.support.chain import uses_of
from tests.support.faulty import host_tasks, no_more_tasks_than, nothing_in_flight
from tests.support.stack import running_stack

pytestmark = pytest.mark.e2e

ENDS = []
CHAT = {"model": "m", "messages": [{"role": "user", "content": "say: one two three four"}]}


class Reads(Plugin):
    """Reads answers; notes how exchanges end."""

    def on_response_event(self, exchange, event):
        return None

    def on_response(self, exchange):
        return None

    def on_complete(self, exchange, outcome):
        ENDS.append((exchange.id, outcome.ending))


CONFIG = {
    "plugins": {"reads": {"uses": uses_of(Reads), "on_error": "closed"}},
    "routes": [{"name": "chat", "plugins": ["reads"], "backends": ["demo"]}],
}


async def client(url, answers):
    """Ask, whole and streamed in turn, until Envoy is gone."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        for turn in range(10_000):
            body = {**CHAT, "stream": turn % 2 == 1}
            try:
                answer = await http.post("/v1/chat/completions", json=body)
            except httpx.TransportError:
                return
            answers.append(answer.status_code)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told"])
async def test_the_host_leaks_nothing_and_serves_the_next_envoy_at_once(caplog, tmp_path, number):
    ENDS.clear()
    demo = {"demo": DemoSettings(pace_s=0.005)}
    with caplog.at_level(logging.WARNING), structlog.testing.capture_logs() as events:
        async with running_stack(CONFIG, upstreams=demo) as stack:
            tasks = host_tasks()
            answers = []
            clients = [asyncio.create_task(client(stack.url, answers)) for _ in range(8)]
            async with asyncio.timeout(20):
                while len(answers) < 40:  # noqa: ASYNC110 - the load runs by itself
                    await asyncio.sleep(0.01)
            os.kill(stack.envoy._process.pid, number)
            await asyncio.wait_for(stack.envoy.wait(), 15)
            await asyncio.wait_for(asyncio.gather(*clients), 15)

            await nothing_in_flight(stack)
            await no_more_tasks_than(tasks)
            assert set(answers) == {200}
            assert len({one for one, _ in ENDS}) == len(ENDS)
            assert len(ENDS) >= len(answers)
            assert {ending for _, ending in ENDS} <= {"completed", "cancelled"}

            await serves_another(stack, tmp_path)
            await nothing_in_flight(stack)
    # What the upstream says when Envoy leaves it is not the host's.
    said = [one.getMessage() for one in caplog.records if not one.name.startswith("aiohttp")]
    assert said == []
    assert [one for one in events if one["log_level"] in {"error", "warning"}] == []


async def serves_another(stack, directory: Path):
    """Start another Envoy for the same host; its very first request must be served."""
    document = json.loads((stack.envoy._directory / "envoy.json").read_text())
    envoy = EnvoyProcess(directory, concurrency=1)
    await envoy.start(document)
    try:
        async with httpx.AsyncClient(base_url=f"http://{envoy.address}", timeout=20) as http:
            answer = await http.post("/v1/chat/completions", json=CHAT)
        assert answer.status_code == 200, answer.text
    finally:
        await envoy.stop()
