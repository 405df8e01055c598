"""Publishing to a real Envoy under load: no request fails, no connection ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from pipeline.config.schema import Config
from pipeline.envoy.bootstrap import resources, watching
from pipeline.envoy.process import EnvoyFailed, EnvoyProcess
from pipeline.envoy.published import Outcome, Published
from tests.envoy.conftest import make_plan
from tests.support.stack import eventually, upstream_of

pytestmark = pytest.mark.e2e

CLIENTS = 4


class Upstream:
    """Answers with its name; a path that ends in `/stream` streams until it is released."""

    def __init__(self, name):
        self.name = name
        self.release = asyncio.Event()

    async def answer(self, request):
        await request.read()
        if not request.path.endswith("/stream"):
            return web.Response(text=self.name)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        await self.release.wait()
        await response.write(b"data: last\n\n")
        return response


class Gateway:
    """An Envoy that watches files, and what is published to it."""

    def __init__(self, values):
        self.values = values
        self.published = None
        self.envoy = None

    def made(self, backends, routes, **plans):
        config = Config.model_validate({**self.values, "backends": backends, "routes": routes})
        # There is no host: what fails open goes on without.
        defaults = {one.name: make_plan(one.name, fails_open=True) for one in config.routes}
        return config, {**defaults, **plans}

    def resources(self, *args, **plans):
        return resources(*self.made(*args, **plans))

    async def stats(self, *names):
        async with aiohttp.ClientSession(self.envoy.admin_url) as session:
            found = {}
            for name in names:
                async with session.get("/stats", params={"filter": f"^{name}$"}) as answer:
                    found[name] = (await answer.text()).partition(": ")[2].strip()
            return found


@pytest.fixture
async def upstreams():
    one, two = Upstream("one"), Upstream("two")
    async with upstream_of(one.answer) as url_one, upstream_of(two.answer) as url_two:
        one.url, two.url = url_one, url_two
        yield one, two
        one.release.set()
        two.release.set()


@pytest.fixture
async def gateway(tmp_path):
    opened = []

    async def open_(backends, routes, **settings):
        ports = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        made = Gateway({"server": {"address": f"unix:{tmp_path}/host.sock"}, "envoy": ports})
        opened.append(made)
        config, plans = made.made(backends, routes)
        folder = tmp_path / "watched"
        made.published = Published(folder, resources(config, plans), **settings)
        made.envoy = EnvoyProcess(tmp_path, concurrency=2)
        await made.envoy.start(watching(config, plans, folder))
        await made.published.attach(made.envoy.admin_url, made.envoy.log_file)
        return made

    yield open_
    for made in opened:
        await made.published.close()
        await made.envoy.stop()


def backend(url):
    return {"provider": "openai", "url": url}


def route(name, to, **settings):
    return {"name": name, "match": {"path_prefix": f"/{name}"}, "backends": [to], **settings}


@asynccontextmanager
async def load(address, path="/chat", clients=CLIENTS):
    """Keep asking over as many connections; gives the answers, each a status and a text."""
    seen, is_over = [], asyncio.Event()

    async def client():
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(f"http://{address}", connector=connector) as session:
            while not is_over.is_set():
                async with session.post(path, data=b"{}") as answer:
                    seen.append((answer.status, await answer.text()))

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    try:
        yield seen
    finally:
        is_over.set()
        # An exception of a client is a connection or a request that was lost.
        await asyncio.gather(*tasks)


async def more(seen, count=20):
    """Wait for some more answers."""
    wanted = len(seen) + count

    async def enough():
        return len(seen) >= wanted

    await eventually(enough, within_s=20)


async def test_reloads_under_load_fail_no_request_and_end_no_connection(gateway, upstreams):
    one, two = upstreams
    backends = {"one": backend(one.url)}
    made = await gateway(backends, [route("chat", "one"), route("old", "one")])
    url = f"http://{made.envoy.address}"
    async with aiohttp.ClientSession(url) as session, load(made.envoy.address) as seen:
        await more(seen)
        stream = await session.post("/old/stream", data=b"{}")
        assert await stream.content.readline() == b"data: first\n"
        # A route more, a route less, other modes, a longer budget, another backend.
        for given, routes, plans in (
            (backends, [route("chat", "one"), route("old", "one"), route("new", "one")], {}),
            (backends, [route("chat", "one"), route("new", "one")], {}),
            (
                backends,
                [route("chat", "one"), route("new", "one")],
                {
                    "chat": make_plan(
                        "chat", fails_open=True, response_headers=True, response_body=True
                    )
                },
            ),
            (
                backends,
                [route("chat", "one")],
                {"chat": make_plan("chat", fails_open=True, budget_s=9.0)},
            ),
            ({"one": backend(two.url)}, [route("chat", "one")], {}),
        ):
            outcome = await made.published.publish(made.resources(given, routes, **plans))
            assert outcome == Outcome("live")
            await more(seen)
        async with session.post("/new", data=b"{}") as answer:
            assert answer.status == 404
        await more(seen)
        # Both connections of the session live, as do those of the clients.
        found = await made.stats(
            "http.dragoman.downstream_cx_total", "http.dragoman.downstream_cx_destroy"
        )
        one.release.set()
        assert await stream.content.read() == b"\ndata: last\n\n"

    assert found == {
        "http.dragoman.downstream_cx_total": str(CLIENTS + 2),
        "http.dragoman.downstream_cx_destroy": "0",
    }
    assert {status for status, _ in seen} == {200}
    words = [text for _, text in seen]
    assert {"one", "two"} == set(words)
    assert words[-1] == "two"


async def test_a_route_that_is_not_touched_keeps_its_upstream_connections(gateway, upstreams):
    one, two = upstreams
    backends = {"one": backend(one.url), "two": backend(two.url)}
    made = await gateway(backends, [route("chat", "one"), route("other", "two")])
    async with load(made.envoy.address) as seen:
        await more(seen)
        total = "cluster.route_chat.upstream_cx_total"
        before = await made.stats(total)
        changed = [route("chat", "one"), route("other", "one", timeout="7s")]
        outcome = await made.published.publish(made.resources(backends, changed))
        await more(seen)
        after = await made.stats(total)

    assert outcome == Outcome("live")
    assert before == after
    assert {status for status, _ in seen} == {200}


async def test_what_is_as_it_was_is_not_published(gateway, upstreams, tmp_path):
    routes = [route("chat", "one")]
    backends = {"one": backend(upstreams[0].url)}
    made = await gateway(backends, routes)
    files = sorted((tmp_path / "watched").rglob("resources.json"))
    before = [(file.stat().st_ino, file.read_bytes()) for file in files]

    outcome = await made.published.publish(made.resources(backends, routes))

    assert outcome == Outcome("unchanged")
    assert len(files) == 3
    assert [(file.stat().st_ino, file.read_bytes()) for file in files] == before


def spoilt_routes(found):
    routes = json.loads(json.dumps(found.routes))
    routes["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = "-3s"
    return replace(found, routes=routes)


def spoilt_clusters(found):
    clusters = {name: {**one, "connect_timeout": "-1s"} for name, one in found.clusters.items()}
    return replace(found, clusters=clusters)


def spoilt_filter(found):
    kind = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    typed = {**found.filter["typed_config"], "status_on_error": {"code": 99}}
    assert kind != typed["@type"]
    return replace(found, filter={**found.filter, "typed_config": typed})


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [(spoilt_routes, "routes"), (spoilt_clusters, "clusters"), (spoilt_filter, "filter")],
)
async def test_what_envoy_refuses_is_put_back_and_can_be_mended(
    gateway, upstreams, tmp_path, spoil, kind
):
    one, two = upstreams
    made = await gateway({"one": backend(one.url)}, [route("chat", "one")])
    files = sorted((tmp_path / "watched").rglob("resources.json"))
    before = [file.read_bytes() for file in files]
    moved = made.resources({"one": backend(two.url)}, [route("chat", "one")])
    async with load(made.envoy.address) as seen:
        await more(seen)
        refused = await made.published.publish(spoil(moved))
        after = [file.read_bytes() for file in files]
        await more(seen)
        mended = await made.published.publish(moved)
        await more(seen)

    assert refused.state == "refused"
    assert refused.reason.startswith(f"{kind}: ")
    assert "without a word" not in refused.reason
    assert after == before
    assert mended == Outcome("live")
    assert {status for status, _ in seen} == {200}
    assert {text for _, text in seen} == {"one", "two"}


async def test_a_cluster_stays_until_no_exchange_can_need_it(gateway, upstreams):
    one, two = upstreams
    routes = [route("chat", "one", timeout="200ms")]
    made = await gateway({"one": backend(one.url)}, routes, least_linger_s=0.0)

    await made.published.publish(made.resources({"one": backend(two.url)}, routes))
    both = await made.stats("cluster_manager.active_clusters")

    async def is_gone():
        found = await made.stats("cluster_manager.active_clusters")
        return found == {"cluster_manager.active_clusters": "2"}

    # The host's, and that of the route.
    assert both == {"cluster_manager.active_clusters": "3"}
    await eventually(is_gone, within_s=20)


async def test_a_config_that_comes_back_is_taken_again(gateway, upstreams):
    one, two = upstreams
    routes = [route("chat", "one")]
    made = await gateway({"one": backend(one.url)}, routes)
    first, second = (made.resources({"one": backend(up.url)}, routes) for up in (one, two))
    heard = []
    async with aiohttp.ClientSession(f"http://{made.envoy.address}") as session:
        for wanted in (second, first, second):
            assert await made.published.publish(wanted) == Outcome("live")

            async def is_there(wanted=wanted):
                async with session.post("/chat", data=b"{}") as answer:
                    heard.append(await answer.text())
                return heard[-1] == ("two" if wanted is second else "one")

            await eventually(is_there, within_s=5)


async def test_an_envoy_that_refuses_what_it_starts_with_is_a_failure(tmp_path, upstreams):
    values = {"server": {"address": f"unix:{tmp_path}/host.sock"}}
    ports = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    made = Gateway({**values, "envoy": ports})
    given = {"one": backend(upstreams[0].url)}, [route("chat", "one")]
    config, plans = made.made(*given)
    folder = tmp_path / "watched"
    published = Published(folder, spoilt_routes(resources(config, plans)))
    envoy = EnvoyProcess(tmp_path, concurrency=1)
    await envoy.start(watching(config, plans, folder))
    try:
        with pytest.raises(EnvoyFailed, match=r"refused its routes: .*duration"):
            await published.attach(envoy.admin_url, envoy.log_file)
    finally:
        await envoy.stop()


async def test_an_envoy_that_has_gone_is_a_refusal(gateway, upstreams):
    one, two = upstreams
    routes = [route("chat", "one")]
    made = await gateway({"one": backend(one.url)}, routes)
    await made.envoy.stop()

    outcome = await made.published.publish(made.resources({"one": backend(two.url)}, routes))

    assert outcome.state == "refused"
    assert "admin endpoint cannot be read" in outcome.reason
