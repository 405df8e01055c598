"""Several worker processes as one host: shared load, lost and drained workers, one set of numbers.

The processes are real, and where load is shared there is a real Envoy before them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import eventually
from tests.support.workers import ASK, running_workers, write_config

EXCHANGES = "dragoman_exchanges_total"
HOOKS = "dragoman_plugin_duration_seconds_count"
# How soon Envoy finds that a worker is gone, with much to spare on a busy machine.
NOTICED_S = 0.3

WHO = """
import os
from pipeline.api import HeaderEdits, Plugin, Rewrite

class Plug(Plugin):
    async def startup(self):
        {startup}

    def on_response_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={{"x-worker": str(os.getpid())}}))
"""
TOP = {
    "plugins_dir": "plugs",
    "plugins": {"who": {"uses": "who"}},
    "routes": [{"name": "chat", "plugins": ["who"], "backends": ["demo"]}],
}


def write_plugin(directory, startup="pass"):
    (directory / "plugs").mkdir()
    (directory / "plugs" / "who.py").write_text(WHO.format(startup=startup))


def total(text, name):
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


class Load:
    """A few clients that ask without pause, and what became of each request."""

    def __init__(self, workers, clients=4):
        self.answers = []
        self._workers = workers
        self._is_over = False
        self._tasks = [asyncio.create_task(self._client()) for _ in range(clients)]

    async def _client(self):
        while not self._is_over:
            began_s = time.monotonic()
            self.answers.append((began_s, await self._workers.ask()))
            await asyncio.sleep(0.005)

    async def end(self):
        self._is_over = True
        await asyncio.gather(*self._tasks)
        return self.answers


@pytest.mark.e2e
async def test_workers_share_the_load_and_a_killed_one_loses_only_what_it_was_doing(tmp_path):
    write_plugin(tmp_path)
    async with running_workers(tmp_path, TOP) as workers:
        first = await workers.ready()
        assert first["ready"]
        pids = {one["pid"] for one in first["workers"]}
        served = Counter([await who(workers) for _ in range(40)])
        assert set(served) == pids
        assert min(served.values()) >= 5
        before = await counted(workers, 40)

        load = Load(workers)
        await asyncio.sleep(0.05)
        killed = workers.supervisor.workers[0]
        os.kill(killed.pid, signal.SIGKILL)
        killed_s = time.monotonic()
        await eventually(lambda: restarted(workers), within_s=15)
        pids_now = {one["pid"] for one in (await workers.ready())["workers"]}
        await eventually(lambda: served_by(workers, pids_now), within_s=10)
        answers = await load.end()

        lost = [began_s - killed_s for began_s, status in answers if status != 200]
        assert len(lost) <= 8, lost
        assert all(after_s < NOTICED_S for after_s in lost), lost
        assert len(answers) > 50
        text = await workers.metrics()
        assert total(text, EXCHANGES) >= before
        assert total(text, HOOKS) >= before
        assert total(text, "dragoman_worker_restarts_total") == 1


async def who(workers):
    answer = await workers.http.post("/v1/chat/completions", json=ASK)
    return int(answer.headers["x-worker"])


async def served_by(workers, pids):
    return {await who(workers) for _ in range(10)} == pids


async def counted(workers, exchanges):
    """Wait until exchanges are counted, which is after their answers, and return their number."""

    async def all_of_them():
        return total(await workers.metrics(), EXCHANGES) >= exchanges

    await eventually(all_of_them)
    return exchanges


async def restarted(workers):
    state = await workers.ready()
    return state["ready"] and state["workers"][0]["restarts"] == 1


@pytest.mark.e2e
async def test_a_worker_that_is_told_to_end_drains_without_losing_a_request(tmp_path):
    async with running_workers(tmp_path, unhealthy_s=1.0) as workers:
        load = Load(workers)
        await asyncio.sleep(0.05)
        os.kill(workers.supervisor.workers[0].pid, signal.SIGTERM)
        await eventually(lambda: restarted(workers), within_s=20)
        answers = await load.end()

    assert Counter(status for _, status in answers) == {200: len(answers)}
    assert len(answers) > 50


# --- `dragoman serve`, as an operator runs it


@asynccontextmanager
async def serving(directory, **server):
    """Run `dragoman serve` with two workers; gives the process and its admin address."""
    path = write_config(directory, {**TOP, "server": {"drain": "5s", **server}}, 1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from pipeline.cli.main import run; run()", "serve"),
        *("--config", str(path)),
        cwd=directory,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        # To the end of its log, which its workers write to as well: the pipe is closed then.
        await asyncio.wait_for(process.communicate(), 30)


async def admin_of(process):
    """Read the log until the supervisor serves; return where."""
    async with asyncio.timeout(30):
        while True:
            line = await process.stderr.readline()
            assert line, "it ended"
            event = json.loads(line)
            if event["event"] == "serving" and "workers" in event:
                return f"http://{event['admin']}"


async def pids_of(admin):
    async with httpx.AsyncClient() as http:
        state = (await http.get(f"{admin}/health/ready")).json()
    return [one["pid"] for one in state["workers"]]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


async def all_gone(pids):
    return not any(is_alive(pid) for pid in pids)


async def test_sigterm_ends_supervisor_and_workers_and_the_exit_code_is_zero(tmp_path):
    write_plugin(tmp_path)
    async with serving(tmp_path) as process:
        pids = await pids_of(await admin_of(process))
        # As a service manager does: to all processes, and the supervisor tells its own again.
        for pid in [process.pid, *pids]:
            os.kill(pid, signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert await all_gone(pids)
        assert [path.name for path in tmp_path.glob("host.sock*")] == []


async def test_a_second_signal_kills_workers_that_do_not_end(tmp_path):
    write_plugin(tmp_path)
    code = tmp_path / "plugs" / "who.py"
    code.write_text(
        code.read_text()
        + "\n    def shutdown(self):\n        import time\n        time.sleep(60)\n"
    )
    async with serving(tmp_path) as process:
        pids = await pids_of(await admin_of(process))
        process.send_signal(signal.SIGINT)
        await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 5) == 1
        await eventually(lambda: all_gone(pids), within_s=5)


async def test_workers_end_when_their_supervisor_is_killed(tmp_path):
    write_plugin(tmp_path)
    async with serving(tmp_path) as process:
        pids = await pids_of(await admin_of(process))
        process.kill()
        await eventually(lambda: all_gone(pids), within_s=15)


async def test_a_worker_that_cannot_start_stops_the_start_with_its_error(tmp_path):
    write_plugin(tmp_path, 'raise RuntimeError("no model")')
    async with serving(tmp_path) as process:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert errors.count(b"plugins.who: startup failed: RuntimeError: no model") == 1


async def test_a_worker_that_ends_without_a_word_stops_the_start(tmp_path):
    write_plugin(tmp_path, "os._exit(3)")
    async with serving(tmp_path) as process:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"ended with status 3 as it started" in errors


async def test_the_supervisor_imports_no_grpc(tmp_path):
    modules = "sys, pipeline.cli.serve, pipeline.server.supervisor"
    code = f"import {modules}; sys.exit('grpc' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
