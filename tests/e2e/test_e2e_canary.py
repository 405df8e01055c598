"""Secrets over a real Envoy: in no log, metric, error, header or gRPC status."""

from __future__ import annotations

import asyncio
import io

import pytest
import pytest_asyncio

from pipeline.api import Plugin
from pipeline.demo.upstream import DemoSettings
from pipeline.observability.logs import configure_logs
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PROMPT, CLIENT_KEY, API_KEY, RAISED = (
    f"canary-{name}-5f2c" for name in ("prompt", "client", "key", "raised")
)
CANARIES = (PROMPT, CLIENT_KEY, API_KEY, RAISED, "5f2c")


class Raising(Plugin):
    def on_request_headers(self, exchange):
        if exchange.request.headers.get("x-raise") == "headers":
            raise RuntimeError(RAISED + exchange.request.headers.get("authorization"))

    def on_request(self, exchange):
        if exchange.request.headers.get("x-raise") == "call":
            raise ValueError(RAISED + exchange.call.segments[-1].text)

    async def on_response(self, exchange):
        if exchange.request.headers.get("x-raise") == "answer":
            raise KeyError(RAISED, exchange.response.answer.text)

    async def on_complete(self, exchange, outcome):
        if "x-raise" in exchange.request.headers:
            raise OSError(RAISED)


CONFIG = {
    "telemetry": {"log_level": "debug"},
    "plugins": {
        "closed": {"uses": f"{__name__}:Raising", "on_error": "closed"},
        "open": {"uses": f"{__name__}:Raising", "on_error": "open"},
    },
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": [name],
            "backends": backends,
        }
        for name, backends in (("open", ["demo"]), ("closed", ["busy", "demo"]))
    ],
    "backends": {"demo": {"api_key": API_KEY}, "busy": {"api_key": API_KEY + "2"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running():
    log = io.StringIO()
    configure_logs("debug", "json", log)
    upstreams = {"demo": DemoSettings(), "busy": DemoSettings(fail_status=503)}
    async with running_stack(CONFIG, upstreams=upstreams) as stack:
        yield stack, log


@pytest.mark.parametrize("route", ["open", "closed"])
async def test_no_canary_gets_out(running, route, capfd):
    stack, log = running
    url = f"/{route}/v1/chat/completions"
    key = {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY}
    # The demo repeats nothing of this, so that answers may be searched as well.
    system = {"role": "system", "content": PROMPT}
    call = {"model": "m", "messages": [system, {"role": "user", "content": "hello"}]}
    wrong = {"model": "m", "messages": [{"role": PROMPT, "content": {"x": PROMPT}}], PROMPT: 1}
    answers = []
    for place in ("no", "headers", "call", "answer"):
        headers = {**key, "x-raise": place}
        for stream in (False, True):
            body = {**call, "stream": stream}
            answers.append(await stack.http.post(url, json=body, headers=headers))
    malformed = (
        b'{"' + PROMPT.encode() + b'":',
        b'{"a": "' + PROMPT.encode() + b'\xff"}',
        f'{{"{PROMPT}": 1, "{PROMPT}": 2}}'.encode(),
    )
    answers += [await stack.http.post(url, content=bad, headers=key) for bad in malformed]
    answers.append(await stack.http.post(url, json=wrong, headers=key))
    answers.append(await stack.http.post(f"/{PROMPT}", json=call, headers=key))
    answers.append(await stack.http.get(f"{url}?{PROMPT}", headers=key))
    await asyncio.sleep(0.05)

    statuses = {answer.status_code for answer in answers}
    assert statuses >= ({200, 400, 404, 503} if route == "closed" else {200, 400, 404})
    captured = capfd.readouterr()
    envoy = stack.envoy.log_file.read_text()
    stats = (await stack.http.get(f"{stack.envoy.admin_url}/stats")).text
    said = "".join(f"{answer.headers.multi_items()}{answer.text}" for answer in answers)
    places = {
        "answers": said,
        "log": log.getvalue(),
        "output": captured.out + captured.err,
        "Envoy's log": envoy,
        "Envoy's stats": stats,
        "metrics": await stack.metrics(),
    }
    assert '"event": "exchange"' in places["log"]
    for canary in CANARIES:
        assert [place for place, text in places.items() if canary in text] == []
    # The keys did go where they belong.
    assert stack.seen["demo"][-1].headers["Authorization"] == f"Bearer {API_KEY}"


@pytest.mark.parametrize(
    "broken",
    [
        "pipeline.host.session.RouterSession.request_headers",
        "pipeline.stream.machine.Machine.receive",
    ],
)
async def test_a_fault_of_the_hosts_own_says_nothing_of_itself(running, monkeypatch, broken):
    def fail(*_, **__):
        raise RuntimeError(RAISED)

    monkeypatch.setattr(broken, fail)
    stack, log = running
    answer = await stack.http.post("/closed/v1/chat/completions", json={"model": "m"})

    # The route's fail policy decides: this one has a plugin that fails closed.
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "upstream_unavailable"
    assert RAISED not in answer.text
    assert RAISED not in log.getvalue()
    assert RAISED not in stack.envoy.log_file.read_text()
    assert "RuntimeError" in log.getvalue()
