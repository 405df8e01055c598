"""Reloads of host and Envoy together under load: nothing fails, and no two configs are mixed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from rich.console import Console

from pipeline.cli.following import Following
from pipeline.config.load import load_config
from pipeline.doctor.case import Case
from pipeline.doctor.expected import expect
from pipeline.doctor.probe import ask_envoy, ask_host
from pipeline.doctor.rules import examine
from pipeline.envoy.bootstrap import resources, watching
from pipeline.envoy.process import EnvoyProcess
from pipeline.envoy.published import Published
from pipeline.host.compile import compile_config
from pipeline.observability.logs import configure_logs
from pipeline.server.process import running
from tests.support.stack import eventually, upstream_of

pytestmark = pytest.mark.e2e

CLIENTS = 4
ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def chunk(text=None, finish=None):
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


class Upstream:
    """Takes its own key alone; answers with its name and what plugins said.

    A stream lasts until it is released.
    """

    def __init__(self, name):
        self.name = name
        self.release = asyncio.Event()

    async def answer(self, request):
        body = await request.json()
        if request.headers.get("authorization") != f"Bearer key-of-{self.name}":
            return web.json_response({"error": {"message": "not mine"}}, status=401)
        if body.get("stream"):
            return await self._stream(request)
        text = f"{self.name} {request.headers.get('x-word', '-')}"
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        }
        document = {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}
        return web.json_response(document)

    async def _stream(self, request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk("first"))
        await self.release.wait()
        await response.write(chunk("last") + chunk(finish="stop") + b"data: [DONE]\n\n")
        return response


class Running:
    """A host and an Envoy that follow a file."""

    def __init__(self, file, host, envoy, console):
        self.file = file
        self.host = host
        self.envoy = envoy
        self.console = console
        self.followed = asyncio.Event()

    async def reload(self, document):
        """Change the file, and wait until Envoy was told."""
        self.followed.clear()
        made = self.file.with_name("made.yaml")
        made.write_text(yaml.safe_dump(document))
        made.replace(self.file)
        async with asyncio.timeout(20):
            await self.followed.wait()

    async def stat(self, name):
        async with (
            aiohttp.ClientSession(self.envoy.admin_url) as session,
            session.get("/stats", params={"filter": f"^{name}$"}) as answer,
        ):
            return (await answer.text()).partition(": ")[2].strip()

    async def findings(self):
        config, source = load_config(self.file, os.environ)
        dump = await ask_envoy(self.envoy.admin_url)
        runtime = compile_config(config, source)
        runtime.pool.shutdown()
        expected = expect(config, runtime.plans)
        faults = await ask_host(Case(dump, expected).addresses, is_tls=False)
        return [(one.rule, one.what) for one in examine(Case(dump, expected, faults=faults))]


@asynccontextmanager
async def following(directory, document):
    """Run what `dragoman run` runs."""
    file = directory / "dragoman.yaml"
    file.write_text(yaml.safe_dump(document))
    config, source = load_config(file, os.environ)
    runtime = compile_config(config, source)
    configure_logs("warning", "console")
    console = Console(file=io.StringIO(), width=200)
    watched = directory / "envoy.d"
    async with AsyncExitStack() as stack:
        published = Published(watched, resources(config, runtime.plans))
        stack.push_async_callback(published.close)
        follower = Following(config, published, console)

        async def follow(config, source):
            refused = await follower.follow(config, source)
            made.followed.set()
            return refused

        host = await stack.enter_async_context(
            running(runtime, reload_from=file, on_generation=follow, poll_s=0.02)
        )
        envoy = EnvoyProcess(directory, concurrency=2)
        made = Running(file, host, envoy, console)
        await envoy.start(watching(config, runtime.plans, watched))
        stack.push_async_callback(envoy.stop)
        await published.attach(envoy.admin_url, envoy.log_file)
        yield made


@pytest.fixture
async def upstreams():
    one, two = Upstream("one"), Upstream("two")
    async with upstream_of(one.answer) as url_one, upstream_of(two.answer) as url_two:
        one.url, two.url = url_one, url_two
        yield one, two
        one.release.set()
        two.release.set()


@pytest.fixture
def make(tmp_path):
    """Makes a config: routes by name to their plugins, each `kind:word`."""

    def make_(upstream, **routes):
        plugins = {
            f"{kind.lower()}-{word}": {
                "uses": f"tests.support.reload_plugin:{kind}",
                "with": {"word": word},
            }
            for chain in routes.values()
            for kind, word in (one.split(":") for one in chain)
        }
        return {
            "server": {"address": f"unix:{tmp_path}/host.sock", "admin": "127.0.0.1:0"},
            "envoy": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "telemetry": {"log_level": "error"},
            "plugins": plugins,
            "backends": {
                "model": {
                    "provider": "openai",
                    "url": upstream.url,
                    "api_key": f"key-of-{upstream.name}",
                }
            },
            "routes": [
                {
                    "name": name,
                    "match": {"path": "/v1/chat/completions", "headers": {"x-route": name}},
                    "plugins": [one.lower().replace(":", "-") for one in chain],
                    "backends": ["model"],
                    "check": False,
                }
                for name, chain in routes.items()
            ],
        }

    return make_


@asynccontextmanager
async def load(address, clients=CLIENTS):
    """Keep asking over as many connections; gives the answers, each a status and a text."""
    seen, is_over = [], asyncio.Event()

    async def client():
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(f"http://{address}", connector=connector) as session:
            while not is_over.is_set():
                seen.append(await ask(session, "chat"))

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    try:
        yield seen
    finally:
        is_over.set()
        # An exception of a client is a connection or a request that was lost.
        await asyncio.gather(*tasks)


async def ask(session, route):
    async with session.post("/v1/chat/completions", json=ASK, headers={"x-route": route}) as answer:
        document = await answer.json()
    if answer.status != 200:
        return answer.status, json.dumps(document)
    return 200, document["choices"][0]["message"]["content"]


async def more(seen, count=40):
    """Wait for some more answers."""
    wanted = len(seen) + count

    async def enough():
        return len(seen) >= wanted

    await eventually(enough, within_s=30)


async def test_reloads_under_load_fail_no_request_and_end_no_connection(tmp_path, make, upstreams):
    one, two = upstreams
    first = make(one, chat=["OnHeaders:a"], long=["OnAnswer:old"])
    async with following(tmp_path, first) as made:
        url = f"http://{made.envoy.address}"
        async with aiohttp.ClientSession(url) as session, load(made.envoy.address) as seen:
            await more(seen)
            stream = await session.post(
                "/v1/chat/completions", json={**ASK, "stream": True}, headers={"x-route": "long"}
            )
            assert b"first old" in await stream.content.readline()
            for document, wanted in (
                # A route more, a route less, a body mode more, another backend, a mode less.
                (make(one, chat=["OnHeaders:a"], long=["OnAnswer:new"], more=[]), "one a"),
                (make(one, chat=["OnHeaders:a"], more=[]), "one a"),
                (make(one, chat=["OnHeaders:c", "OnAnswer:c"], more=[]), "one c c"),
                (make(two, chat=["OnHeaders:d", "OnAnswer:d"], more=[]), "two d d"),
                (make(two, chat=["OnHeaders:e"], more=[]), "two e"),
                (make(one, chat=["OnHeaders:c", "OnAnswer:c"], more=[]), "one c c"),
                (make(two, chat=["OnHeaders:d", "OnAnswer:d"], more=[]), "two d d"),
                (make(one, chat=["OnHeaders:a"], more=[]), "one a"),
                (make(two, chat=["OnHeaders:e"], more=[]), "two e"),
            ):
                await made.reload(document)
                await more(seen)
                assert seen[-1] == (200, wanted)
            assert await ask(session, "more") == (200, "two -")
            assert (await ask(session, "long"))[0] == 404
            destroyed = await made.stat("http.dragoman.downstream_cx_destroy")
            total = await made.stat("http.dragoman.downstream_cx_total")
            one.release.set()
            rest = await stream.content.read()
        findings = await made.findings()
        said = made.console.file.getvalue()

    assert set(seen) == {(200, text) for text in ("one a", "one c c", "two d d", "two e")}
    assert b"last old" in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    assert (total, destroyed) == (str(CLIENTS + 2), "0")
    assert said.count("Envoy has taken its part") == 9
    assert findings == []


async def test_a_plugins_option_changes_nothing_for_envoy(tmp_path, make, upstreams):
    one, _ = upstreams
    async with following(tmp_path, make(one, chat=["OnHeaders:a"])) as made:
        files = sorted((tmp_path / "envoy.d").rglob("resources.json"))
        before = [file.read_bytes() for file in files]
        changed = make(one, chat=["OnHeaders:a"])
        changed["plugins"]["onheaders-a"]["with"]["word"] = "b"
        await made.reload(changed)
        async with aiohttp.ClientSession(f"http://{made.envoy.address}") as session:
            assert await ask(session, "chat") == (200, "one b")

        assert [file.read_bytes() for file in files] == before
        assert "nothing changes for Envoy" in made.console.file.getvalue()


async def test_what_wants_a_restart_is_said_and_the_doctor_finds_it(tmp_path, make, upstreams):
    one, two = upstreams
    async with following(tmp_path, make(one, chat=["OnHeaders:a"])) as made:
        assert await made.findings() == []
        changed = make(two, chat=["OnHeaders:b"])
        changed["envoy"]["body_limit"] = "20MiB"
        changed["limits"] = {"request_body": "32MiB"}
        await made.reload(changed)
        async with aiohttp.ClientSession(f"http://{made.envoy.address}") as session:
            assert await ask(session, "chat") == (200, "two b")
        found = [rule for rule, _ in await made.findings()]

        assert "Start `dragoman run` again for: envoy.body_limit" in made.console.file.getvalue()
    assert "config_drift" in found


async def line_with(process, word):
    """Wait for a line of a process's output."""
    said = []
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            said.append(line)
            if word in line:
                return line
    raise AssertionError("".join(said))


@pytest.mark.parametrize("workers", [1, 2])
async def test_run_follows_its_file(tmp_path, make, upstreams, workers):
    one, two = upstreams
    document = make(one, chat=["OnHeaders:a"])
    document["server"]["workers"] = workers
    file = tmp_path / "dragoman.yaml"
    file.write_text(yaml.safe_dump(document))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from pipeline.cli.main import run; run()", "run"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        url = re.search(r"http://[\d.:]+", await line_with(process, "is ready at"))
        async with aiohttp.ClientSession(url[0]) as session:
            assert await ask(session, "chat") == (200, "one a")
            document = make(two, chat=["OnHeaders:b", "OnAnswer:b"])
            document["server"]["workers"] = workers
            made = tmp_path / "made.yaml"
            made.write_text(yaml.safe_dump(document))
            made.replace(file)

            await line_with(process, "Envoy has taken its part")

            assert await ask(session, "chat") == (200, "two b b")
    finally:
        process.terminate()
        await process.wait()
    assert process.returncode == 0
