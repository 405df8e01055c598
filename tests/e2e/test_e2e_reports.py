"""What is always on: report headers, metrics, health, `on_complete`'s outcome."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio

from pipeline.api import HeaderEdits, Plugin, Refuse, Reply, Rewrite
from tests.support.stack import eventually, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


class Asking(Plugin):
    """Has a request phase alone: no response message is paid for its report."""

    def on_request(self, exchange):
        match exchange.call.model:
            case "reply":
                return Reply(exchange.answer("hi"))
            case "refuse":
                return Refuse(400, "no", "no")
        return None


class Both(Plugin):
    def on_request(self, exchange):
        return None

    def on_response_event(self, exchange, event):
        return None

    def on_response(self, exchange):
        return None


class Labels(Plugin):
    """Edits response headers, those of the report among them."""

    def on_response_headers(self, exchange):
        seen = "via" if exchange.response.via_upstream else "local"
        return Rewrite(headers=HeaderEdits(set={"x-seen": f"{exchange.response.status} {seen}"}))


CONFIG = {
    "plugins": {
        name.lower(): {"uses": f"{__name__}:{name}"} for name in ("Asking", "Both", "Labels")
    },
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": plugins,
            "backends": backends,
        }
        for name, plugins, backends in (
            ("none", [], ["demo"]),
            ("asking", ["asking"], ["demo"]),
            ("both", ["asking", "both"], ["demo"]),
            ("labels", ["labels"], ["demo"]),
            ("pair", ["asking", "both"], ["demo", "second"]),
        )
    ],
    "backends": {"second": {"provider": "openai", "url": "http://127.0.0.1:9/v1", "api_key": "k"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    async with running_stack(CONFIG, binary=envoy) as made:
        yield made


@pytest.fixture
def ask(stack):
    async def send(route, model="m", **fields):
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], **fields}
        return await stack.http.post(f"/{route}/v1/chat/completions", json=body)

    return send


def report(answer):
    """Return the decisions by plugin after checking the form of all three headers."""
    overhead = answer.headers.get_list("x-dragoman-overhead-ms")
    assert len(overhead) == 1
    assert 0 < float(overhead[0]) < 1000
    (timing,) = answer.headers.get_list("server-timing")
    metrics = timing.split(", ")
    assert all(re.fullmatch(r"[a-z0-9_-]+;dur=\d+\.\d\d", metric) for metric in metrics), timing
    assert metrics[0].startswith("dragoman;dur=")
    plugins = answer.headers.get_list("x-dragoman-plugins")
    assert len(plugins) == 1
    ran = [] if plugins == ["none"] else plugins[0].split(", ")
    decisions = dict(one.split("=") for one in ran)
    assert [metric.partition(";")[0] for metric in metrics[1:]] == list(decisions)
    return decisions


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("none", {}),
        ("asking", {"asking": "continue"}),
        ("both", {"asking": "continue", "both": "continue"}),
        ("labels", {"labels": "rewrite"}),
        ("pair", {"asking": "continue", "both": "continue"}),
    ],
)
async def test_an_answer_carries_the_report(ask, route, expected, stream):
    answer = await ask(route, stream=stream)

    assert answer.status_code == 200
    assert report(answer) == expected


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ["asking", "both", "pair"])
async def test_so_do_replies_and_refusals(ask, route, stream):
    assert report(await ask(route, "reply", stream=stream)) == {"asking": "reply"}
    assert report(await ask(route, "refuse", stream=stream)) == {"asking": "refuse"}


async def test_so_do_bad_calls_on_a_known_route(ask):
    answer = await ask("both", messages=7)

    assert answer.status_code == 400
    assert report(answer) == {}


async def test_a_plugin_edits_the_answers_headers(ask):
    assert (await ask("labels")).headers["x-seen"] == "200 via"
    assert (await ask("labels", stream=True)).headers["x-seen"] == "200 via"


async def test_a_failure_of_envoys_own_is_not_from_the_provider(stack):
    # The route's only backend is alive, so make Envoy itself answer: a body beyond its limit.
    body = b'{"model": "m", "pad": "' + b"x" * (33 * 2**20) + b'"}'
    answer = await stack.http.post("/labels/v1/chat/completions", content=body)

    assert answer.status_code == 413
    assert answer.headers.get("x-seen", "413 local") == "413 local"


async def test_health_and_metrics(ask, stack):
    await ask("both")
    admin = f"http://{stack.host.admin_address}"

    assert (await stack.http.get(f"{admin}/health/live")).json() == {"live": True}
    ready = await stack.http.get(f"{admin}/health/ready")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    assert ready.json()["routes"] == ["none", "asking", "both", "labels", "pair"]
    metrics = await stack.metrics()
    assert 'dragoman_plugin_info{distribution="test_e2e_reports",instance="both"' in metrics
    decided = 'dragoman_plugin_decisions_total{applied="true",decision="continue"'

    async def are_over():
        metrics = await stack.metrics()
        return "dragoman_streams_active 0.0" in metrics and decided in metrics

    await eventually(are_over)


async def test_exchanges_are_counted_with_their_ending_and_status(ask, stack):
    for route, model, wanted in (
        ("both", "m", 'ending="completed",route="both",status_class="2xx"'),
        ("asking", "reply", 'ending="replied",route="asking",status_class="2xx"'),
        ("asking", "refuse", 'ending="refused",route="asking",status_class="4xx"'),
    ):
        await ask(route, model)

        async def is_counted(wanted=wanted):
            return f"dragoman_exchanges_total{{{wanted}}}" in await stack.metrics()

        await eventually(is_counted)
