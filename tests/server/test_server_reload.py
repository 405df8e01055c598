"""Reloading in one process: another chain for what begins, the same one for what is in flight."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import os
import signal
import weakref
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest
import structlog
import yaml

from pipeline.api import HeaderEdits, PluginConfig, Rewrite
from pipeline.config.load import load_config
from pipeline.host.compile import compile_config
from pipeline.host.names import ROUTE_METADATA
from pipeline.observability.logs import configure_logs
from pipeline.server.process import running, settle
from pipeline.server.watching import Watch
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.service import SERVICE
from tests.support.chain import HELLO, plugin, until, uses_of
from tests.support.stack import eventually

POLL_S = 0.02
LOG: list[str] = []
REFS: list[weakref.ref[object]] = []


@pytest.fixture(autouse=True)
def logs_on_standard_output():
    """Log as nobody has configured it, whatever ran before in this process."""
    structlog.reset_defaults()


class Options(PluginConfig):
    say: str = "one"


def says(self, exchange):
    return Rewrite(headers=HeaderEdits(set={"x-says": self.config.say}))


async def up(self):
    if self.config.say == "broken":
        raise RuntimeError("it is broken")
    LOG.append(f"up {self.config.say}")


async def down(self):
    LOG.append(f"down {self.config.say}")


SAYS = plugin(Config=Options, on_request=says, startup=up, shutdown=down)


@pytest.fixture(autouse=True)
def empty_log():
    LOG.clear()


class Site:
    """A folder with a config.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "dragoman.yaml"

    def document(self, say="one", **top):
        server = {"address": f"unix:{self.folder}/h.sock", "admin": "127.0.0.1:0", "drain": "3s"}
        return {
            "plugins": {"p": {"uses": uses_of(SAYS), "with": {"say": say}}},
            "backends": {"b": {"provider": "openai", "url": "http://h/v1", "api_key": "k"}},
            "routes": [{"name": "chat", "plugins": ["p"], "backends": ["b"]}],
            **top,
            "server": {**server, **top.get("server", {})},
        }

    def write(self, say="one", **top):
        self.put(yaml.safe_dump(self.document(say, **top)))

    def put(self, text):
        """Replace the file as editors do."""
        made = self.folder / ".dragoman.yaml.swp"
        made.write_text(text)
        made.replace(self.path)

    @asynccontextmanager
    async def host(self, **how):
        made = running(
            compile_config(*load_config(self.path, os.environ)),
            reload_from=self.path,
            poll_s=POLL_S,
            **how,
        )
        async with made as process:
            yield process


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.write()
    return made


async def reached(process, generation):
    await until(lambda: process.running.generation == generation)


async def ready(process):
    url = f"http://{process.admin_address}/health/ready"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return (await answer.json())["config"]


async def metric(process, name):
    url = f"http://{process.admin_address}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        lines = (await answer.text()).splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith(name)]
    return {series: float(value) for series, _, value in found}


async def followed(process, generation, refused=None):
    """Wait until it is told which generation Envoy runs, and why not the latest."""

    async def is_told():
        return (await ready(process))["envoy"] == {"generation": generation, "refused": refused}

    await eventually(is_told, within_s=10)


async def unchanged(process):
    """Wait until an attempt found that nothing has changed."""
    series = 'dragoman_config_reloads_total{result="unchanged"}'

    async def counted():
        return series in await metric(process, "dragoman_config_reloads")

    await eventually(counted, within_s=10)


@asynccontextmanager
async def stream_to(process, route="chat"):
    async with grpc.aio.insecure_channel(process.address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Process",
            request_serializer=pb.ProcessingRequest.SerializeToString,
            response_deserializer=pb.ProcessingResponse.FromString,
        )
        stream = call(metadata=((ROUTE_METADATA, route),)) if route else call()
        try:
            yield stream
        finally:
            stream.cancel()


REQUEST = {
    ":method": "POST",
    ":path": "/v1/chat/completions",
    ":authority": "h",
    "content-type": "application/json",
}


async def begin(stream):
    message = pb.ProcessingRequest()
    message.protocol_config.request_body_mode = pb.ProcessingMode.BUFFERED
    for key, value in REQUEST.items():
        message.request_headers.headers.headers.add(key=key, raw_value=value.encode())
    await stream.write(message)
    return await asyncio.wait_for(stream.read(), 10)


async def said(stream):
    """Send the call, and return what the plugin of its chain says."""
    message = pb.ProcessingRequest()
    message.request_body.body = json.dumps(HELLO).encode()
    message.request_body.end_of_stream = True
    await stream.write(message)
    answer = await asyncio.wait_for(stream.read(), 10)
    edits = answer.request_body.response.header_mutation.set_headers
    return {e.header.key: e.header.raw_value.decode() for e in edits}.get("x-says")


async def asked(process, route="chat"):
    async with stream_to(process, route) as stream:
        await begin(stream)
        return await said(stream)


async def test_what_is_in_flight_ends_on_its_chain_and_what_begins_has_the_new_one(site):
    async with site.host() as process:
        async with stream_to(process) as old:
            await begin(old)
            site.write("two")
            await reached(process, 2)
            assert await asked(process) == "two"
            assert (await ready(process))["replaced"] == [{"generation": 1, "streams": 1}]
            assert LOG == ["up one", "up two"]
            assert await said(old) == "one"
            await old.done_writing()
            assert await old.read() is grpc.aio.EOF
        await until(lambda: "down one" in LOG)
        assert (await ready(process))["replaced"] == []
    assert LOG == ["up one", "up two", "down one", "down two"]


async def test_a_plugin_that_stays_the_same_is_not_started_again(site):
    async with site.host() as process:
        site.write("one", limits={"exchanges": 7})
        await reached(process, 2)
        assert await asked(process) == "one"
        assert process.runtime.config.limits.exchanges == 7
        assert LOG == ["up one"]
    assert LOG == ["up one", "down one"]


BAD = {
    "not YAML": ("plugins: [", "not valid YAML"),
    "empty": ("", "routes: at least one route is needed"),
    "torn": ("plugins:\n  p: {uses: x", "not valid YAML"),
    "unknown key": ("servr: {}\nroutes: [{name: a}]\n", ":1: servr: there is no such option"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_file_that_cannot_be_used_keeps_the_old_config_and_says_why(site, case, capfd):
    text, problem = BAD[case]
    async with site.host() as process:
        before = await ready(process)
        assert before["last_error"] is None
        site.put(text)
        await until(lambda: process._reloader._last_error is not None)
        shown = await ready(process)

        assert (shown["generation"], shown["hash"]) == (1, before["hash"])
        assert problem in shown["last_error"]["problems"][0]
        assert str(site.path) in shown["last_error"]["problems"][0]
        counted = await metric(process, "dragoman_config_")
        assert counted['dragoman_config_reloads_total{result="refused"}'] == 1
        assert counted["dragoman_config_last_reload_successful"] == 0
        assert counted["dragoman_config_generation"] == 1
        assert await asked(process) == "one"

        site.write("two")
        await reached(process, 2)
        await until(lambda: process._reloader._last_error is None)
        counted = await metric(process, "dragoman_config_")
        assert counted["dragoman_config_last_reload_successful"] == 1
        assert counted["dragoman_config_generation"] == 2
        [info] = [name for name in counted if name.startswith("dragoman_config_info")]
        assert (await ready(process))["hash"] in info


@pytest.mark.parametrize(
    ("top", "problem"),
    [
        ({"plugins": {"p": {"uses": "nothing_of_the_kind"}}}, "plugins.p.uses: no installed"),
        (
            {"plugins": {"p": {"uses": uses_of(SAYS), "with": {"say": "broken"}}}},
            "plugins.p: startup failed: RuntimeError: it is broken",
        ),
        ({"server": {"admin": "127.0.0.1:1"}}, "server.admin: a restart is needed"),
        ({"server": {"address": "unix:/x.sock"}}, "server.address: a restart is needed"),
        ({"telemetry": {"log_level": "debug"}}, "telemetry.log_level: a restart is needed"),
        ({"envoy": {"listen": "127.0.0.1:1"}}, "envoy.listen: a restart is needed"),
        ({"limits": {"request_body": "100MiB"}}, "limits.request_body: a restart is needed"),
        ({"server": {"admin_token": "t" * 20}}, "server.admin_token: a restart is needed"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
async def test_a_config_that_cannot_be_served_is_refused_at_its_key(site, top, problem):
    async with site.host() as process:
        site.write("two", **top)
        await until(lambda: process._reloader._last_error is not None)
        [found] = process._reloader._last_error["problems"]

        assert problem in found
        assert process.running.generation == 1
        assert await asked(process) == "one"
        assert (["up one", "down broken"] if "broken" in problem else ["up one"]) == LOG


async def test_a_started_plugin_of_a_config_that_fails_is_shut_down(site):
    both = {
        "a": {"uses": uses_of(SAYS), "with": {"say": "new"}},
        "b": {"uses": uses_of(SAYS), "with": {"say": "broken"}},
    }
    async with site.host() as process:
        site.write(plugins=both, routes=[{"name": "chat", "plugins": ["a", "b"]}])
        await until(lambda: process._reloader._last_error is not None)
        assert LOG == ["up one", "up new", "down broken", "down new"]


async def test_a_hang_up_tries_even_where_nothing_changed_and_says_so(site, capfd):
    site.write(server={"reload": "signal"})
    async with site.host() as process:
        os.kill(os.getpid(), signal.SIGHUP)
        await unchanged(process)
        site.write("two", server={"reload": "signal"})
        await asyncio.sleep(5 * POLL_S)
        assert process.running.generation == 1
        os.kill(os.getpid(), signal.SIGHUP)
        await reached(process, 2)
    assert capfd.readouterr().out.count("config unchanged") == 1


async def test_comments_and_order_of_writing_are_no_change(site):
    async with site.host() as process:
        await until(lambda: process._reloader._watch._known)
        site.put("# a comment\n" + site.path.read_text())
        await unchanged(process)
        assert process.running.generation == 1


async def test_a_swap_of_symbolic_links_as_kubelet_does_it_is_seen(site, tmp_path):
    site.path.unlink()

    def version(name, say):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dragoman.yaml").write_text(yaml.safe_dump(site.document(say)))
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    version("..1", "one")
    site.path.symlink_to("..data/dragoman.yaml")
    async with site.host() as process:
        version("..2", "two")
        await reached(process, 2)
        assert await asked(process) == "two"
        # A plugin that stays the same stays through a swap, too.
        assert LOG == ["up one", "up two", "down one"]


async def test_a_secret_in_a_file_that_changes_is_taken_up_and_never_shown(site, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("first-secret-key")
    backends = {"b": {"provider": "openai", "url": "http://h/v1", "api_key": f"file:{secret}"}}
    site.write(backends=backends)
    async with site.host() as process:
        before = await ready(process)
        secret.write_text("other-secret-key")
        await reached(process, 2)
        shown = await ready(process)

        [link] = process.runtime.routes["chat"].links
        assert link.backend.api_key == "other-secret-key"
        assert shown["hash"] != before["hash"]
        assert "secret-key" not in str(shown)
        assert LOG == ["up one"]


async def test_a_file_that_is_being_written_is_left_alone_until_it_rests(site):
    """Truncated, then filled in pieces: what is read is the whole."""
    text = yaml.safe_dump(site.document("two"))
    async with site.host() as process:
        seen = await process._reloader._watch.look()
        with site.path.open("w") as file:
            for at in range(0, len(text), 40):
                file.write(text[at : at + 40])
                file.flush()
                await asyncio.sleep(POLL_S / 4)
        await reached(process, 2)
        assert await process._reloader._watch.look() != seen
        assert await asked(process) == "two"


async def test_requests_that_come_together_are_one_attempt(site, monkeypatch):
    async with site.host() as process:
        begun, go, attempts = asyncio.Event(), asyncio.Event(), []
        prepare = process.prepare

        async def slow(config, source):
            attempts.append(config)
            begun.set()
            await go.wait()
            return await prepare(config, source)

        monkeypatch.setattr(process, "prepare", slow)
        site.write("two")
        await begun.wait()
        for _ in range(20):
            process._reloader.request()
        go.set()
        await reached(process, 2)
        await until(lambda: not process._reloader._asked.is_set())
        assert len(attempts) == 1


async def test_a_stop_while_a_plugin_starts_gives_the_reload_up(site):
    async def hangs(self):
        LOG.append("up hanging")
        await asyncio.Event().wait()

    hanging = plugin(startup=hangs, shutdown=lambda self: LOG.append("down hanging"))
    async with site.host():
        site.write(plugins={"p": {"uses": uses_of(hanging)}})
        await until(lambda: "up hanging" in LOG)
    assert LOG == ["up one", "up hanging", "down hanging", "down one"]


async def test_a_route_that_is_gone_is_served_for_an_envoy_that_still_names_it(site):
    async with site.host() as process:
        routes = [{"name": "other", "plugins": ["p"], "backends": ["b"]}]
        site.write("two", routes=routes)
        await reached(process, 2)
        assert await asked(process, "chat") == "one"
        assert await asked(process, "other") == "two"


async def test_what_must_change_in_somebodys_own_envoy_is_told(site, capfd):
    async with site.host() as process:
        routes = [{"name": "chat", "plugins": ["p"], "backends": ["b"], "timeout": "7s"}]
        site.write("two", routes=routes)
        await reached(process, 2)
        await until(lambda: process._reloader._envoy["changes"])
        assert (await ready(process))["envoy"] == {
            "generation": 2,
            "changes": ["route chat: its timeout is now 7 s"],
        }
        name = "dragoman_config_envoy_generation"
        assert await metric(process, name) == {name: 2}
        site.write("three", routes=routes)
        await reached(process, 3)
        assert (await ready(process))["envoy"]["generation"] == 2
    assert "envoy must be configured anew" in capfd.readouterr().out


@pytest.fixture
def logs():
    """Log as a process does: structlog's default reads lines of code from files."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_who_keeps_envoy_in_step_is_called_with_the_new_config(site, logs):
    told = []

    async def follow(config, source):
        told.append((config.plugins["p"].with_["say"], source.file))
        if len(told) == 1:
            raise RuntimeError("Envoy is gone")
        return ""

    async with site.host(on_generation=follow) as process:
        site.write("two")
        await reached(process, 2)
        await until(lambda: told)
        assert told == [("two", str(site.path))]
        await followed(process, 1, "it was not told: RuntimeError")
        assert (await ready(process))["last_error"] is None
        assert "envoy was not told of the config" in logs.getvalue()

        site.write("three")
        await reached(process, 3)
        await followed(process, 3)
        assert await metric(process, "dragoman_envoy_updates_total") == {
            'dragoman_envoy_updates_total{result="refused"}': 1,
            'dragoman_envoy_updates_total{result="taken"}': 1,
        }


async def test_what_envoy_refused_leaves_it_the_config_that_it_runs_until_it_takes_one(site):
    answers = {"two": "routes: no such thing", "three": "filter: nor this", "four": ""}

    async def follow(config, source):
        return answers[config.plugins["p"].with_["say"]]

    def routes(name):
        return [{"name": name, "plugins": ["p"], "backends": ["b"]}]

    async with site.host(on_generation=follow) as process:
        process.generations._kept_s = 0.01

        site.write("two", routes=routes("other"))
        await followed(process, 1, answers["two"])
        site.write("three", routes=routes("third"))
        await followed(process, 1, answers["three"])
        await until(lambda: "down two" in LOG)
        await asyncio.sleep(0.03)  # longer than one is kept where Envoy follows
        assert await asked(process, "chat") == "one"
        assert await asked(process, "third") == "three"

        site.write("four", routes=routes("third"))
        await followed(process, 4)
        await until(lambda: "down one" in LOG)
        await until(lambda: "down three" in LOG)
        assert await asked(process, "third") == "four"


async def test_a_token_can_be_replaced_while_the_host_runs(site):
    site.write(server={"admin_token": "first-token-of-20-chars"})
    async with site.host() as process, aiohttp.ClientSession() as http:
        site.write(server={"admin_token": "other-token-of-20-chars"})
        await reached(process, 2)
        url = f"http://{process.admin_address}/exchanges/none"
        codes = []
        for token in ("first-token-of-20-chars", "other-token-of-20-chars"):
            async with http.get(url, headers={"authorization": f"Bearer {token}"}) as answer:
                codes.append(answer.status)
        assert codes == [401, 404]


async def test_a_watch_waits_until_a_file_that_changes_has_come_to_rest(tmp_path):
    file = tmp_path / "f"
    file.write_text("a")
    watch = Watch(lambda: [file], POLL_S)
    seen = await watch.look()
    waiting = asyncio.ensure_future(watch.changed(seen))
    file.unlink()
    file.write_text("b")
    found = await asyncio.wait_for(waiting, 10)
    assert found != seen
    assert await watch.look() == found


# --- `dragoman check` beside a host that runs


def check(process, path, *more):
    """Run the command in another thread: it asks the host of this one."""
    from typer.testing import CliRunner

    from pipeline.cli.main import app

    arguments = ["check", "--json", "--config", str(path), "--admin", process.admin_address, *more]
    return asyncio.to_thread(CliRunner().invoke, app, arguments)


async def findings(process, path):
    result = await check(process, path)
    return {
        one["rule"]: one["message"]
        for one in json.loads(result.stdout)
        if one["rule"] in {"running-host", "reload-refused"}
    }


async def test_check_compares_the_file_with_what_runs(site):
    async with site.host() as process:
        shown = await ready(process)
        found = await findings(process, site.path)
        assert f"runs generation 1, hash {shown['hash']}: this config" in found["running-host"]

        other = Site(site.folder / "other")
        other.folder.mkdir()
        other.write("two", routes=[{"name": "new", "plugins": ["p"], "backends": ["b"]}])
        found = await findings(process, other.path)
        message = found["running-host"]
        assert message.endswith("would be generation 2: new route new, no route chat")
        assert shown["hash"] in message
        assert "reload-refused" not in found

        site.write("broken")
        await until(lambda: process._reloader._last_error is not None)
        found = await findings(process, site.path)
        assert "plugins.p: startup failed" in found["reload-refused"]


async def test_check_says_where_no_host_answers_that_was_named(site):
    async with site.host() as process:
        pass
    result = await check(process, site.path)
    assert result.exit_code == 1
    assert "no host answers at" in result.stdout


# --- memory


class Ring:
    """Refers to itself: only the collector frees it."""

    def __init__(self):
        self.itself = self


async def test_what_a_settled_process_no_longer_needs_is_freed(site):
    """The first generation's objects are frozen, so that the collector does not look at them."""
    thresholds = gc.get_threshold()

    async def load(self):
        self.model = Ring()
        REFS.append(weakref.ref(self.model))

    model = plugin(Config=Options, startup=load)
    used = {"uses": uses_of(model), "with": {"say": "one"}}
    site.write(plugins={"p": used})
    try:
        async with site.host() as process:
            settle()
            site.write(plugins={"p": {**used, "with": {"say": "two"}}})
            await reached(process, 2)
            await until(lambda: REFS[0]() is None)
            assert REFS[1]() is not None
            assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        REFS.clear()
