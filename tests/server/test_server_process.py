"""A host process: served over gRPC as Envoy would be, healthy, drained, and silent on failures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.api import HeaderEdits, PluginConfig, Refuse, Rewrite
from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from pipeline.server.process import HostProcess, running
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.service import SERVICE
from tests.support.chain import (
    HELLO,
    STREAMED,
    chat_answer,
    chat_stream,
    document_with,
    plugin,
    until,
    write_module,
)

MODES = pb.ProcessingMode
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def runtime_at(address, top=None, /, drain="100ms", admin="127.0.0.1:0", **plugins):
    document = document_with(top, **plugins)
    document["server"] = {"address": address, "admin": admin, "drain": drain}
    source = Source("d.yaml", document)
    return compile_config(check_config(source), source)


@pytest.fixture
def unix(tmp_path):
    return f"unix:{tmp_path}/host.sock"


@asynccontextmanager
async def stream_to(address):
    """Open an ext_proc stream, as Envoy does."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Process",
            request_serializer=pb.ProcessingRequest.SerializeToString,
            response_deserializer=pb.ProcessingResponse.FromString,
        )
        stream = call()
        try:
            yield stream
        finally:
            stream.cancel()


def headers(side, pairs, request_mode=MODES.BUFFERED, response_mode=MODES.STREAMED):
    message = pb.ProcessingRequest()
    message.protocol_config.request_body_mode = request_mode
    message.protocol_config.response_body_mode = response_mode
    part = getattr(message, f"{side}_headers")
    for key, value in pairs:
        part.headers.headers.add(key=key, raw_value=value)
    return message


def body(side, data, ends=True):
    message = pb.ProcessingRequest()
    part = getattr(message, f"{side}_body")
    part.body, part.end_of_stream = data, ends
    return message


REQUEST = (
    (":method", b"POST"),
    (":path", b"/v1/chat/completions"),
    (":authority", b"h"),
    ("content-type", b"application/json"),
)
JSON_RESPONSE = ((":status", b"200"), ("content-type", b"application/json"))
SSE_RESPONSE = ((":status", b"200"), ("content-type", b"text/event-stream"))


async def say(stream, message):
    await stream.write(message)
    answer = await asyncio.wait_for(stream.read(), 5)
    assert isinstance(answer, pb.ProcessingResponse), await stream.details()
    return answer


async def health(address):
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status


async def ready(process):
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{process.admin_address}/health/ready") as answer,
    ):
        return answer.status, await answer.json()


RENAMES = plugin(
    on_request=lambda self, exchange: Rewrite(
        call=exchange.call.replace(model="other"), headers=HeaderEdits(set={"x-a": "1"})
    )
)
UPPER = plugin(
    on_response=lambda self, exchange: Rewrite(answer=exchange.answer("other")),
)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
async def test_a_call_is_rewritten_in_buffered_mode_over_a_socket_or_a_port(unix, tcp):
    address = "127.0.0.1:0" if tcp else unix
    async with (
        running(runtime_at(address, p=RENAMES)) as process,
        stream_to(process.address) as stream,
    ):
        assert process.address == unix or not process.address.endswith(":0")
        first = await say(stream, headers("request", REQUEST))
        second = await say(stream, body("request", json.dumps(HELLO).encode()))

    assert first.WhichOneof("response") == "request_headers"
    common = second.request_body.response
    assert json.loads(common.body_mutation.body)["model"] == "other"
    edits = {h.header.key: h.header.raw_value for h in common.header_mutation.set_headers}
    assert edits["x-a"] == b"1"
    assert edits["content-length"] == str(len(common.body_mutation.body)).encode()


async def test_a_call_is_rewritten_in_full_duplex_mode(unix):
    duplex = MODES.FULL_DUPLEX_STREAMED
    raw = json.dumps(HELLO).encode()
    async with (
        running(runtime_at(unix, p=RENAMES)) as process,
        stream_to(process.address) as stream,
    ):
        await stream.write(headers("request", REQUEST, duplex, duplex))
        await stream.write(body("request", raw[:9], ends=False))
        first = await say(stream, body("request", raw[9:]))
        second = await asyncio.wait_for(stream.read(), 5)

    assert first.WhichOneof("response") == "request_headers"
    chunk = second.request_body.response.body_mutation.streamed_response
    assert (json.loads(chunk.body)["model"], chunk.end_of_stream) == ("other", True)


async def test_a_call_that_comes_in_pieces_in_streamed_mode_goes_on_whole(unix):
    raw = json.dumps(HELLO).encode()
    async with (
        running(runtime_at(unix, p=RENAMES)) as process,
        stream_to(process.address) as stream,
    ):
        await say(stream, headers("request", REQUEST, MODES.STREAMED))
        first = await say(stream, body("request", raw[:9], ends=False))
        second = await say(stream, body("request", raw[9:]))

    assert first.request_body.response.body_mutation.clear_body
    assert json.loads(second.request_body.response.body_mutation.body)["model"] == "other"


async def asked(stream, document, response_mode=MODES.STREAMED):
    await say(stream, headers("request", REQUEST, response_mode=response_mode))
    await say(stream, body("request", json.dumps(document).encode()))


async def test_a_stream_keeps_its_bytes_chunk_by_chunk_in_streamed_mode(unix):
    watching = plugin(on_response_event=lambda self, exchange, event: None)
    async with (
        running(runtime_at(unix, p=watching)) as process,
        stream_to(process.address) as stream,
    ):
        await asked(stream, STREAMED)
        await say(stream, headers("response", SSE_RESPONSE))
        data = chat_stream("a", "b")
        for chunk, ends in ((data[:100], False), (data[100:], True)):
            answer = await say(stream, body("response", chunk, ends))
            mutation = answer.response_body.response.body_mutation
            data = data.removeprefix(mutation.body)

    assert data == b""


@pytest.mark.parametrize("mode", [MODES.NONE, MODES.BUFFERED])
async def test_a_whole_answer_is_rewritten_and_asked_for_where_it_was_not_sent(unix, mode):
    async with (
        running(runtime_at(unix, p=UPPER)) as process,
        stream_to(process.address) as stream,
    ):
        await asked(stream, HELLO, mode)
        first = await say(stream, headers("response", JSON_RESPONSE))
        second = await say(stream, body("response", json.dumps(chat_answer("hi")).encode()))

    if mode == MODES.NONE:
        assert first.mode_override.response_body_mode == MODES.BUFFERED
    written = json.loads(second.response_body.response.body_mutation.body)
    assert written["choices"][0]["message"]["content"] == "other"


async def test_a_refusal_ends_the_stream(unix):
    refuses = plugin(on_request=lambda self, exchange: Refuse(429, "slow_down", "later"))
    async with (
        running(runtime_at(unix, p=refuses)) as process,
        stream_to(process.address) as stream,
    ):
        await say(stream, headers("request", REQUEST))
        answer = await say(stream, body("request", json.dumps(HELLO).encode()))
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK

    assert answer.immediate_response.status.code == 429
    assert answer.immediate_response.details.endswith("slow_down")


async def test_a_cancelled_stream_still_completes_its_exchange(unix):
    ended = asyncio.Queue()
    looks = plugin(on_complete=lambda self, exchange, outcome: ended.put_nowait(outcome.ending))
    async with running(runtime_at(unix, p=looks)) as process:
        async with stream_to(process.address) as stream:
            await say(stream, headers("request", REQUEST))

        assert await asyncio.wait_for(ended.get(), 5) == "cancelled"


# --- failures say nothing


class Broken:
    """A provider whose faults quote what they were given."""

    Options = PluginConfig

    def default_url(self, options):
        return "http://h/v1"

    def connect(self, backend):
        return self

    async def start(self):
        leaky(self)

    async def close(self):
        leaky(self)

    def passes(self, dialect):
        return False

    passes_credentials = False

    def keeps_answers(self, dialect):
        return True

    def prepare(self, request, call):
        raise ValueError(f"canary-text {call.segments[0].text}")


def leaky(self, *given):
    raise ValueError("canary-text")


@pytest.mark.parametrize("on_error", ["open", "closed"])
async def test_no_text_of_an_exception_reaches_the_grpc_status_or_the_client(unix, on_error):
    hooks = {
        "on_request_headers": lambda self, exchange: leaky(self),
        "on_request": lambda self, exchange: leaky(self),
        "on_response": lambda self, exchange: leaky(self),
        "on_complete": lambda self, exchange: leaky(self),
    }
    provides = plugin(register_providers=lambda self, register: register("broken", Broken()))
    for plugins, backend in (
        ({"p": (plugin(**hooks), {"on_error": on_error})}, "openai"),
        ({"p": provides}, "broken"),
    ):
        top = {
            "backends": {"b": {"provider": backend}},
            "routes": [{"name": "chat", "plugins": ["p"], "backends": ["b"]}],
        }
        async with (
            running(runtime_at(unix, top, **plugins)) as process,
            stream_to(process.address) as stream,
        ):
            answers = []
            messages = [
                headers("request", REQUEST),
                body("request", json.dumps(HELLO).encode()),
                headers("response", JSON_RESPONSE),
                body("response", json.dumps(chat_answer("hi")).encode()),
            ]
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it may end early
                for message in messages:
                    await stream.write(message)
                    answers.append(await asyncio.wait_for(stream.read(), 5))
                await stream.done_writing()
                assert await stream.read() is grpc.aio.EOF
            shown = (*answers, await stream.details(), await stream.trailing_metadata())

            assert answers
            assert "canary" not in str(shown)


# --- health, readiness, drain


async def test_health_is_serving_and_then_not_while_streams_in_flight_end(unix):
    process = HostProcess(runtime_at(unix, p=RENAMES, drain="3s"))
    await process.start()
    assert await health(process.address) == SERVING
    assert await ready(process) == (200, (await ready(process))[1])

    async with stream_to(process.address) as stream:
        await say(stream, headers("request", REQUEST))
        stopping = asyncio.ensure_future(process.stop(unhealthy_s=0.3))
        await asyncio.sleep(0.02)

        assert await health(process.address) == NOT_SERVING
        status, detail = await ready(process)
        assert (status, detail["ready"], detail["state"]) == (503, False, "draining")
        answer = await say(stream, body("request", json.dumps(HELLO).encode()))
        assert json.loads(answer.request_body.response.body_mutation.body)["model"] == "other"
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
    await asyncio.wait_for(stopping, 2)


async def test_a_process_is_live_but_not_ready_while_a_plugin_starts(unix):
    go = asyncio.Event()

    async def startup(self):
        await go.wait()

    process = HostProcess(runtime_at(unix, p=plugin(startup=startup)))
    starting = asyncio.ensure_future(process.start())
    await until(lambda: process.admin_address)

    status, detail = await ready(process)
    go.set()
    await starting
    after, _ = await ready(process)
    await process.stop(unhealthy_s=0)

    assert (status, detail["state"]) == (503, "starting")
    assert after == 200
    with pytest.raises(aiohttp.ClientError):
        await ready(process)


# --- addresses


@pytest.mark.parametrize("key", ["address", "admin"])
async def test_an_address_that_is_taken_is_told_with_its_key(unix, key):
    log = []
    notes = plugin(shutdown=lambda self: log.append("shutdown"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        addresses = {"address": unix, "admin": "127.0.0.1:0", key: busy}
        process = HostProcess(runtime_at(addresses["address"], admin=addresses["admin"], p=notes))

        with pytest.raises(ConfigError, match=rf"server\.{key}: cannot listen there"):
            await process.start()

    assert log == (["shutdown"] if key == "address" else [])
    with pytest.raises(aiohttp.ClientError):
        await ready(process)


async def test_a_socket_that_a_live_process_serves_is_not_taken_from_it(unix):
    async with running(runtime_at(unix, p=RENAMES)) as first:
        with pytest.raises(ConfigError, match=r"server\.address: cannot listen there: Address"):
            await HostProcess(runtime_at(unix, p=RENAMES)).start()

        assert await health(first.address) == SERVING


async def test_a_socket_file_of_a_dead_process_is_replaced(unix):
    path = unix.removeprefix("unix:")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)

    async with running(runtime_at(unix, p=RENAMES)) as process:
        assert await health(process.address) == SERVING
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o660  # noqa: ASYNC240


@pytest.mark.parametrize("make", ["file", "long"])
async def test_a_path_that_can_be_no_socket_is_told(tmp_path, make):
    path = tmp_path / ("x" * 120 if make == "long" else "file")
    if make == "file":
        path.write_text("mine")

    with pytest.raises(ConfigError, match=r"server\.address: cannot listen there"):
        await HostProcess(runtime_at(f"unix:{path}", p=RENAMES)).start()
    assert make == "long" or path.read_text() == "mine"


# --- signals, as an operator sends them


@asynccontextmanager
async def dragoman_serve(tmp_path, code):
    """Run `dragoman serve` over a local plugin; gives the process and its address."""
    write_module(tmp_path, "mine", code)
    address = f"unix:{tmp_path}/host.sock"
    config = {
        "server": {"address": address, "admin": "127.0.0.1:0", "drain": "5s"},
        "plugins_dir": ".",
        "plugins": {"p": {"uses": "mine"}},
        "routes": [{"name": "chat", "plugins": ["p"]}],
    }
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(config))
    command = Path(sys.executable).with_name("dragoman")
    process = await asyncio.create_subprocess_exec(
        command, "serve", "--config", tmp_path / "d.yaml", stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    try:
        yield process, address
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


PLAIN = """
from pipeline.api import Plugin, Rewrite

class Mine(Plugin):
    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(model="other"))

    def on_complete(self, exchange, outcome):
        open({path!r}, "w").write(outcome.ending)
"""
HANGING = """
import asyncio
from pathlib import Path
from pipeline.api import Plugin

class Mine(Plugin):
    async def startup(self):
        Path({path!r}).touch()
        await asyncio.Event().wait()

    def shutdown(self):
        Path({path!r}).unlink()
"""


async def test_after_sigterm_a_stream_in_flight_finishes_and_the_exit_code_is_zero(tmp_path):
    note = tmp_path / "note"
    async with dragoman_serve(tmp_path, PLAIN.format(path=str(note))) as (process, address):
        await until((tmp_path / "host.sock").exists)
        async with stream_to(address) as stream:
            await say(stream, headers("request", REQUEST))
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
            answer = await say(stream, body("request", json.dumps(HELLO).encode()))
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF

        assert b"other" in answer.request_body.response.body_mutation.body
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert note.read_text() == "completed"


async def test_a_second_signal_ends_the_process_at_once(tmp_path):
    async with dragoman_serve(tmp_path, PLAIN.format(path="/dev/null")) as (process, address):
        await until((tmp_path / "host.sock").exists)
        async with stream_to(address) as stream:
            await say(stream, headers("request", REQUEST))
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.05)
            assert process.returncode is None
            process.send_signal(signal.SIGINT)

            assert await asyncio.wait_for(process.wait(), 0.9) == 1


async def test_a_signal_ends_a_process_whose_plugin_does_not_come_up(tmp_path):
    note = tmp_path / "note"
    async with dragoman_serve(tmp_path, HANGING.format(path=str(note))) as (process, _):
        await until(note.exists)
        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 5) == 0
    assert not note.exists()


async def test_a_config_that_cannot_be_served_is_told_with_its_key(tmp_path):
    code = "from pipeline.api import Plugin\nclass Mine(Plugin):\n def startup(self): 1 / 0"
    async with dragoman_serve(tmp_path, code) as (process, _):
        out, error = await asyncio.wait_for(process.communicate(), 10)

    text = (out + error).decode()
    assert process.returncode not in {0, None}
    assert "plugins.p: startup failed: ZeroDivisionError" in " ".join(text.split())
    assert "Traceback" not in text
