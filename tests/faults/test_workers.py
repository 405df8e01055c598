"""A worker is killed under load: what it had begun may be lost, and nothing else is."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time

import httpx
import pytest

from tests.support.stack import eventually
from tests.support.workers import ASK, running_workers

pytestmark = pytest.mark.e2e

CLIENTS = 12
# Notes which worker was asked about which request; holds each for a moment, so that some are
# in flight whenever a worker is killed.
PLUGIN = """
import asyncio, os
from pathlib import Path
from pipeline.api import Plugin

class Plug(Plugin):
    def on_request_headers(self, exchange):
        path = Path({folder!r}) / str(os.getpid())
        with path.open("a") as notes:
            notes.write(exchange.request.headers.get("x-number") + "\\n")

    async def on_request(self, exchange):
        await asyncio.sleep(0.01)
"""
TOP = {
    "plugins_dir": "plugs",
    "plugins": {"notes": {"uses": "notes", "timeout": "10s"}},
    "routes": [{"name": "chat", "plugins": ["notes"], "backends": ["demo"]}],
}


class Load:
    """Clients that ask without pause; each request has a number."""

    def __init__(self, workers):
        self.began_s = {}
        self.failed = []
        self.served = 0
        self._http = workers.http
        self._numbers = itertools.count()
        self._is_over = False
        self._tasks = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]

    async def _client(self):
        while not self._is_over:
            number = str(next(self._numbers))
            self.began_s[number] = time.monotonic()
            headers = {"x-number": number}
            answer = await self._http.post("/v1/chat/completions", json=ASK, headers=headers)
            if answer.status_code == httpx.codes.OK:
                self.served += 1
            else:
                self.failed.append(number)

    async def more(self, number):
        """Wait until some more are served."""
        enough = self.served + number
        async with asyncio.timeout(30):
            while self.served < enough:  # noqa: ASYNC110 - the clients count
                await asyncio.sleep(0.01)

    async def end(self):
        self._is_over = True
        await asyncio.gather(*self._tasks)


@pytest.mark.parametrize("workers", [2, 4])
async def test_only_what_a_killed_worker_had_begun_is_lost(tmp_path, workers):
    notes = tmp_path / "notes"
    notes.mkdir()
    (tmp_path / "plugs").mkdir()
    (tmp_path / "plugs" / "notes.py").write_text(PLUGIN.format(folder=str(notes)))
    async with running_workers(tmp_path, TOP, workers=workers) as running:
        load = Load(running)
        await load.more(60)
        # Twice, and soon after one another: Envoy must not keep to itself what it found.
        for index in (0, 1):
            failed = len(load.failed)
            worker = running.supervisor.workers[index]
            pid = worker.pid
            killed_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            await load.more(60)
            await eventually(lambda index=index: restarted(running, index), within_s=30)
            lost = load.failed[failed:]
            begun = set((notes / str(pid)).read_text().split())
            assert len(lost) <= CLIENTS
            assert set(lost) <= begun
            assert all(load.began_s[number] <= killed_s for number in lost)
            await in_rotation(running)
            await load.more(20)
        await load.end()


async def restarted(running, index):
    state = await running.ready()
    return state["ready"] and state["workers"][index]["restarts"] == 1


async def in_rotation(running):
    """Wait until Envoy gives streams to every worker again."""

    async def all_healthy():
        answer = await running.http.get(f"{running.envoy.admin_url}/clusters?format=json")
        [host] = [c for c in answer.json()["cluster_statuses"] if c["name"] == "dragoman_host"]
        return all(
            set(one["health_status"]) == {"eds_health_status"} for one in host["host_statuses"]
        )

    await eventually(all_healthy, within_s=15)
