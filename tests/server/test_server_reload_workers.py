"""Reloading several workers: all of them or none, and whoever dies in between follows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load_config
from pipeline.server.control import MAX_LINE_BYTES, NoReport, Order, read_report, write_order
from pipeline.server.restarts import RestartPolicy
from pipeline.server.supervised import Role, Worker, WorkerFailed
from pipeline.server.supervisor import supervised
from tests.support.chain import until
from tests.support.stack import eventually
from tests.support.workers import write_config

POLL_S = 0.05

# It starts unless a file says otherwise, or waits until another is there.
SAYS = """
import asyncio, os
from pathlib import Path
from pipeline.api import Plugin, PluginConfig

HERE = Path(__file__).parent.parent

class Options(PluginConfig):
    say: str = "one"

class Says(Plugin[Options]):
    Config = Options

    async def startup(self):
        with (HERE / "log").open("a") as log:
            log.write(f"up {self.config.say}\\n")
        if self.config.say == "once":
            # The first worker that comes here can, the others cannot.
            os.close(os.open(HERE / "taken", os.O_CREAT | os.O_EXCL))
        if self.config.say == "slow":
            while not (HERE / "go").exists():
                await asyncio.sleep(0.02)

    async def shutdown(self):
        with (HERE / "log").open("a") as log:
            log.write(f"down {self.config.say}\\n")
"""


def top(say="one", **more):
    return {
        "plugins_dir": "plugs",
        "plugins": {"p": {"uses": "says", "with": {"say": say}}},
        "routes": [{"name": "chat", "plugins": ["p"], "backends": ["demo"]}],
        **more,
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plugs").mkdir()
    (tmp_path / "plugs" / "says.py").write_text(SAYS)
    return tmp_path


def log_of(folder):
    return sorted((folder / "log").read_text().splitlines())


@asynccontextmanager
async def workers_of(folder, **how):
    path = write_config(folder, top(), 1)
    config, source = load_config(path, os.environ)
    async with supervised(config, source, path, poll_s=POLL_S, **how) as supervisor:
        yield supervisor


async def admin(supervisor, path):
    async with httpx.AsyncClient() as http:
        return await http.get(f"http://{supervisor.admin_address}{path}")


async def detail(supervisor):
    return (await admin(supervisor, "/health/ready")).json()["config"]


async def hash_in(worker):
    """Return the generation and hash that a worker itself tells."""
    answer = await worker._get("/health/ready")
    assert answer is not None
    shown = json.loads(answer)["config"]
    return shown["generation"], shown["hash"]


async def test_all_workers_take_a_config_and_the_aggregate_shows_it(folder):
    told = []

    async def follow(config, source):
        told.append(config.plugins["p"].with_["say"])
        return ""

    async with workers_of(folder, on_generation=follow) as supervisor:
        before = await detail(supervisor)
        write_config(folder, top("two"), 1)
        await until(lambda: told)
        shown = await detail(supervisor)

        assert (shown["generation"], shown["last_error"]) == (2, None)
        assert shown["hash"] != before["hash"]
        assert [await hash_in(w) for w in supervisor.workers] == 2 * [(2, shown["hash"])]
        assert told == ["two"]
        text = (await admin(supervisor, "/metrics")).text
        assert 'dragoman_config_reloads_total{result="applied"} 1.0' in text
        assert 'dragoman_envoy_updates_total{result="taken"} 1.0' in text
        assert "dragoman_config_last_reload_successful 1.0" in text
        assert 'dragoman_config_generation{worker="0"} 2.0' in text
        assert 'dragoman_config_generation{worker="1"} 2.0' in text
        assert f'dragoman_config_info{{hash="{shown["hash"]}"}} 1.0' in text
        assert log_of(folder) == ["down one", "down one", "up one", "up one", "up two", "up two"]


async def test_where_one_worker_cannot_none_does_and_what_had_started_is_shut_down(folder):
    async with workers_of(folder) as supervisor:
        pids = [worker.pid for worker in supervisor.workers]
        write_config(folder, top("once"), 1)
        await until(lambda: supervisor._reloader._last_error is not None)
        shown = await detail(supervisor)

        assert shown["generation"] == 1
        [problem] = shown["last_error"]["problems"]
        assert "plugins.p: startup failed: FileExistsError" in problem
        assert [(await hash_in(w))[0] for w in supervisor.workers] == [1, 1]
        assert [worker.pid for worker in supervisor.workers] == pids
        assert 'result="refused"} 1.0' in (await admin(supervisor, "/metrics")).text

        # None is left in a state from which it could not go on.
        write_config(folder, top("two"), 1)
        await until(lambda: supervisor.running.generation == 2)
        assert [(await hash_in(w))[0] for w in supervisor.workers] == [2, 2]
        assert log_of(folder).count("down once") == 2


async def test_a_worker_that_starts_anew_has_the_committed_config_whatever_the_file_says(folder):
    async with workers_of(folder) as supervisor:
        write_config(folder, top("two"), 1)
        await until(lambda: supervisor.running.generation == 2)
        (folder / "dragoman.yaml").write_text("routes: [\n")
        killed = supervisor.workers[0]
        os.kill(killed.pid, signal.SIGKILL)
        await until(lambda: killed.restarts == 1 and killed.state == "serving")

        assert await hash_in(killed) == await hash_in(supervisor.workers[1])
        await until(lambda: supervisor._reloader._last_error is not None)
        assert (await detail(supervisor))["generation"] == 2


async def test_a_worker_that_dies_while_it_prepares_follows_the_others(folder):
    async with workers_of(folder) as supervisor:
        write_config(folder, top("slow"), 1)
        await until(lambda: log_of(folder).count("up slow") == 2)
        killed = supervisor.workers[0]
        os.kill(killed.pid, signal.SIGKILL)
        # It is back, with the old config, before the others have prepared.
        await until(lambda: killed.restarts == 1 and killed.state == "serving")
        assert await hash_in(killed) == (1, (await detail(supervisor))["hash"])
        (folder / "go").touch()
        await until(lambda: supervisor.running.generation == 2)

        shown = await detail(supervisor)
        assert [await hash_in(w) for w in supervisor.workers] == 2 * [(2, shown["hash"])]


async def test_a_worker_that_dies_between_prepare_and_commit_follows_the_others(folder):
    async with workers_of(folder) as supervisor:
        victim = supervisor.workers[0]
        prepare = victim.prepare

        async def then_die(order):
            report = await prepare(order)
            os.kill(victim.pid, signal.SIGKILL)
            await until(lambda: victim.pid is None)
            return report

        victim.prepare = then_die
        write_config(folder, top("two"), 1)
        await until(lambda: supervisor.running.generation == 2)
        await until(lambda: victim.restarts == 1 and victim.state == "serving")
        await until(lambda: victim._generation == 2)

        shown = await detail(supervisor)
        assert [await hash_in(w) for w in supervisor.workers] == 2 * [(2, shown["hash"])]
        assert shown["last_error"] is None


async def test_a_key_that_takes_a_restart_is_refused_before_any_worker_is_asked(folder):
    async with workers_of(folder) as supervisor:
        write_config(folder, top("two"), 1, workers=3)
        await until(lambda: supervisor._reloader._last_error is not None)
        [problem] = (await detail(supervisor))["last_error"]["problems"]
        assert "server.workers: a restart is needed" in problem
        assert log_of(folder) == ["up one", "up one"]


async def test_the_supervisor_reloads_on_a_hang_up_and_workers_ignore_it(folder):
    async with workers_of(folder) as supervisor:
        for worker in supervisor.workers:
            os.kill(worker.pid, signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)

        async def unchanged():
            return 'result="unchanged"' in (await admin(supervisor, "/metrics")).text

        await eventually(unchanged, within_s=10)
        assert all(worker.restarts == 0 for worker in supervisor.workers)


async def test_a_report_of_many_problems_reaches_the_supervisor(folder):
    async with workers_of(folder) as supervisor:
        wanted = top()
        absent = {f"p{n}": {"uses": f"json:{'x' * 9000}"} for n in range(10)}
        wanted["plugins"] = {**wanted["plugins"], **absent}
        write_config(folder, wanted, 1)
        await until(lambda: supervisor._reloader._last_error is not None)

        problems = (await detail(supervisor))["last_error"]["problems"]
        assert len(problems) == 10
        assert sum(map(len, problems)) > 2**16
        assert all(worker.restarts == 0 for worker in supervisor.workers)


WHOLE = b'{"attempt": 1, "address": "", "problems": [], "changes": []}\n'


async def heard(line):
    reader = asyncio.StreamReader(limit=2**10)
    reader.feed_data(line)
    reader.feed_eof()
    return await read_report(reader)


@given(st.integers(0, len(WHOLE) - 1))
def test_half_a_line_is_that_of_a_worker_that_ended(end):
    assert asyncio.run(heard(WHOLE[:end])) is None


@given(
    st.one_of(
        st.binary().map(lambda line: line.replace(b"\n", b"")),
        st.sampled_from([b"null", b"[]", b'{"problems": 1}', b'{"problems": [{}]}', b"[" * 10**5]),
        st.sampled_from([b'{"problems": [], "changes": [], "more": 1}']),
    )
)
def test_a_line_that_is_no_report_is_told_as_such(line):
    with pytest.raises(NoReport):
        asyncio.run(heard(line + b"\n"))


class Babbling(Role):
    """Starts a process that says what is no report, and goes on."""

    @property
    def command(self):
        said = "import os, time; os.write(0, b'{\\n'); time.sleep(60)"
        return [sys.executable, "-c", said]


async def test_a_worker_that_says_what_is_no_report_is_ended(tmp_path):
    role = Babbling(0, "unix:x", tmp_path / "0.sock", tmp_path / "dragoman.yaml", 0.0)
    policy = RestartPolicy(time.monotonic, lambda: 0.0)
    ended = []
    worker = Worker(role, policy, ended.append, Order("start", 0, 1))
    ready = asyncio.get_running_loop().create_future()

    async with asyncio.timeout(20):
        await worker.keep(ready)

    assert ended == [0]
    with pytest.raises(WorkerFailed, match="status -9"):
        await ready


async def test_orders_and_reports_of_any_length_pass_the_line():
    import socket

    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
    from pipeline.errors import ConfigError, Problem
    from pipeline.server.control import Line

    line = Line(*await asyncio.open_connection(sock=theirs, limit=MAX_LINE_BYTES))
    order = Order("prepare", 7, 3, yaml.safe_dump({"x": "é\n" * 100_000}), 1.5)
    write_order(writer, order)
    assert await line.order() == order
    problem = Problem("a.b", "wrong\nin two lines", "f", 3)
    line.failed(7, ConfigError(problem))
    line.done(8, changes=("one",))
    failed, done = await read_report(reader), await read_report(reader)
    assert (failed.attempt, failed.problems) == (7, (problem,))
    assert (done.attempt, done.changes) == (8, ("one",))
    writer.close()
    assert await line.order() is None
    line._writer.close()
