"""Plugins' own pages of the admin server: for whoever has the token, bounded, always JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap

import httpx
import pytest

from pipeline.api import AdminAnswer
from pipeline.config.load import check_config, load_config
from pipeline.config.source import Source
from pipeline.host.compile import compile_config
from pipeline.server import administering, asking_workers
from pipeline.server.asking_workers import merged
from pipeline.server.process import HostProcess, running
from pipeline.server.supervisor import supervised
from tests.support.chain import document_with, plugin
from tests.support.workers import write_config

TOKEN = "a-token-of-this-test-alone"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def runtime_of(directory, *, token=TOKEN, **plugins):
    document = document_with(**plugins)
    document["server"] = {
        "address": f"unix:{directory}/host.sock",
        "admin": "127.0.0.1:0",
        "drain": "100ms",
        **({"admin_token": token} if token else {}),
    }
    source = Source("d.yaml", document)
    return compile_config(check_config(source), source)


def client_of(host, **headers):
    return httpx.AsyncClient(
        base_url=f"http://{host.admin_address}", headers={**BEARER, **headers}, timeout=20
    )


def page(answer):
    """Make a plugin that answers so, by a function of the request or by a value."""

    async def administer(self, request):
        return answer(request) if callable(answer) else answer

    return plugin(administer=administer)


ECHO = page(
    lambda request: AdminAnswer(
        201,
        {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "body": request.body.decode(),
        },
    )
)


async def test_a_plugin_answers_at_its_instances_path(tmp_path):
    async with running(runtime_of(tmp_path, cache=ECHO)) as host, client_of(host) as http:
        answer = await http.post(
            "/plugins/cache/entries/a%20b/feedback?x=0&x=1&y=%26", content="hi"
        )

    assert answer.status_code == 201
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {
        "method": "POST",
        "path": "entries/a b/feedback",
        "query": {"x": "1", "y": "&"},
        "body": "hi",
    }


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Basic {TOKEN}", "Bearer \xff"])
async def test_without_the_token_nothing_is_told_and_no_plugin_asked(tmp_path, authorization):
    asked = []
    made = page(asked.append)
    async with running(runtime_of(tmp_path, cache=made)) as host, client_of(host) as http:
        headers = {"authorization": authorization.encode("latin-1")}
        answers = [
            await http.get(f"/plugins/{name}/x", headers=headers) for name in ("cache", "no")
        ]

    assert [(a.status_code, a.json()) for a in answers] == [
        (401, {"error": "a bearer token is needed"})
    ] * 2
    assert asked == []


async def test_a_config_without_a_token_has_no_such_pages(tmp_path):
    async with running(runtime_of(tmp_path, token="", cache=ECHO)) as host, client_of(host) as http:
        assert (await http.get("/plugins/cache/x")).status_code == 404


async def test_the_pages_need_no_memory_of_exchanges(tmp_path):
    document = document_with({"telemetry": {"keep": 0}}, cache=ECHO)
    document["server"] = {"admin": "127.0.0.1:0", "address": f"unix:{tmp_path}/s"}
    document["server"]["admin_token"] = TOKEN
    source = Source("d.yaml", document)
    runtime = compile_config(check_config(source), source)
    async with running(runtime) as host, client_of(host) as http:
        assert (await http.get("/plugins/cache/x")).status_code == 201


def failing(request):
    raise RuntimeError("the prompt of somebody")


def looped():
    document = {}
    document["a"] = document
    return document


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (None, 404, "plugin 'cache' has nothing at this path for GET"),
        (failing, 500, "the plugin failed: RuntimeError"),
        (lambda request: sys.exit(3), 500, "the plugin failed: SystemExit"),
        ({"a": 1}, 500, "the plugin's answer is no AdminAnswer with a JSON object"),
        (AdminAnswer(200, [1]), 500, "the plugin's answer is no AdminAnswer with a JSON object"),
        (AdminAnswer(200, {"a": b"x"}), 500, "the plugin's answer is no"),
        (AdminAnswer(200, {"a": float("nan")}), 500, "the plugin's answer is no"),
        (AdminAnswer(200, looped()), 500, "the plugin's answer is no"),
        (AdminAnswer(99, {}), 500, "the plugin's answer is no"),
    ],
)
async def test_what_a_plugin_cannot_answer_is_an_error_as_json_without_its_words(
    tmp_path, answer, status, error, capsys
):
    runtime = runtime_of(tmp_path, cache=page(answer))
    async with running(runtime) as host, client_of(host) as http:
        got = await http.get("/plugins/cache/x")

    assert got.status_code == status
    assert got.json()["error"].startswith(error)
    out = capsys.readouterr()
    assert "somebody" not in got.text + out.out + out.err
    assert "Traceback" not in got.text + out.out + out.err


async def test_an_instance_that_there_is_not_is_not_found(tmp_path):
    async with running(runtime_of(tmp_path, cache=ECHO)) as host, client_of(host) as http:
        answer = await http.get("/plugins/cash/x")

    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "there is no plugin instance 'cash'"},
    )


async def test_a_plugin_without_pages_has_none(tmp_path):
    async with running(runtime_of(tmp_path, cache=plugin())) as host, client_of(host) as http:
        assert (await http.get("/plugins/cache/x")).status_code == 404


async def test_a_body_over_the_limit_is_refused(tmp_path):
    async with running(runtime_of(tmp_path, cache=ECHO)) as host, client_of(host) as http:
        most = await http.post("/plugins/cache/x", content=b"a" * 2**20)
        more = await http.post("/plugins/cache/x", content=b"a" * (2**20 + 1))

    assert most.status_code == 201
    assert (more.status_code, more.json()) == (
        413,
        {"error": "a body has at most 1048576 bytes"},
    )


async def test_a_plugin_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(administering, "WITHIN_S", 0.05)
    given_up = asyncio.Event()

    async def administer(self, request):
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    runtime = runtime_of(tmp_path, cache=plugin(administer=administer))
    async with running(runtime) as host, client_of(host) as http:
        answer = await http.get("/plugins/cache/x")

    assert answer.status_code == 504
    assert given_up.is_set()


async def test_before_the_plugins_have_started_none_is_asked(tmp_path):
    began, go_on = asyncio.Event(), asyncio.Event()

    async def startup(self):
        began.set()
        await go_on.wait()

    made = plugin(startup=startup, administer=ECHO.administer)
    host = HostProcess(runtime_of(tmp_path, cache=made))
    starting = asyncio.create_task(host.start())
    await began.wait()
    async with client_of(host) as http:
        early = await http.get("/plugins/cache/x")
        go_on.set()
        await starting
        later = await http.get("/plugins/cache/x")
    await host.stop(unhealthy_s=0)

    assert (early.status_code, later.status_code) == (503, 201)


# --- several workers

PAGES = """
import asyncio
import os
from pipeline.api import AdminAnswer, Plugin


class Pages(Plugin):
    async def administer(self, request):
        match request.path:
            case "who":
                return AdminAnswer(200, {"pid": os.getpid(), "body": request.body.decode()})
            case "entries":
                document = {
                    "pids": [os.getpid()],
                    "count": 2,
                    "by_reason": {"ttl": 1},
                    "limit": request.query.get("limit"),
                }
                return AdminAnswer(200, document, is_local=True)
            case "one":
                if request.query["pid"] == str(os.getpid()):
                    return AdminAnswer(200, {"here": os.getpid()}, is_local=True)
                return AdminAnswer(404, {"error": "no such entry"}, is_local=True)
        return None
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "plugs").mkdir()
    (tmp_path / "plugs" / "pages.py").write_text(textwrap.dedent(PAGES))
    top = {
        "plugins_dir": "plugs",
        "plugins": {"cache": {"uses": "pages"}},
        "server": {"admin_token": TOKEN},
        "routes": [{"name": "chat", "plugins": ["cache"], "backends": ["demo"]}],
    }
    return write_config(tmp_path, top, 9, workers=2)


async def test_with_workers_one_answers_or_all_where_each_tells_of_itself(config, monkeypatch):
    async with supervised(*load_config(config, {}), config) as host, client_of(host) as http:
        pids = [worker.pid for worker in host.workers]

        one = await http.post("/plugins/cache/who", content="hello")
        assert one.json() == {"pid": pids[0], "body": "hello"}

        every = await http.get("/plugins/cache/entries?limit=5")
        assert every.status_code == 200
        assert every.json() == {
            "pids": pids,
            "count": 4,
            "by_reason": {"ttl": 2},
            "limit": "5",
        }

        second = await http.get(f"/plugins/cache/one?pid={pids[1]}")
        assert (second.status_code, second.json()) == (200, {"here": pids[1]})
        nobody = await http.get("/plugins/cache/one?pid=0")
        assert (nobody.status_code, nobody.json()) == (404, {"error": "no such entry"})
        assert (await http.get("/plugins/cache/other")).status_code == 404
        assert (await http.get("/plugins/cash/x")).status_code == 404
        wrong = await http.get("/plugins/cache/who", headers={"authorization": "Bearer no"})
        assert wrong.status_code == 401

        monkeypatch.setattr(asking_workers, "PATIENCE_S", 0.5)
        os.kill(pids[1], signal.SIGSTOP)
        try:
            rest = await http.get("/plugins/cache/entries")
        finally:
            os.kill(pids[1], signal.SIGCONT)
        assert rest.json() == {
            "pids": pids[:1],
            "count": 2,
            "by_reason": {"ttl": 1},
            "limit": None,
            "unanswered": [1],
        }

        os.kill(pids[0], signal.SIGSTOP)
        try:
            looked = await http.get("/plugins/cache/who")
            done = await http.post("/plugins/cache/who")
        finally:
            os.kill(pids[0], signal.SIGCONT)
        assert looked.json()["pid"] == pids[1]
        # The first may have done it: it must not be done twice.
        assert (done.status_code, done.json()["unanswered"]) == (504, [0])


def test_documents_are_merged_by_what_they_hold():
    first = {"l": [1], "n": 1, "f": 0.5, "b": True, "s": "a", "o": {"n": 1, "s": "x"}, "odd": [1]}
    other = {"l": [2], "n": 2, "f": 1.0, "b": True, "s": "b", "o": {"n": 2, "m": 3}, "odd": "x"}
    before = json.dumps([first, other])

    assert merged([first, {**other, "new": 1}]) == {
        "l": [1, 2],
        "n": 3,
        "f": 1.5,
        "b": True,
        "s": "a",
        "o": {"n": 3, "s": "x", "m": 3},
        "odd": [1],
        "new": 1,
    }
    assert json.dumps([first, other]) == before
