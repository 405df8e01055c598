"""The server of models, as clients of the protocol, health checks and operators see it."""

import asyncio
import signal
import time

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.config.inference import InferenceConfig
from pipeline.config.tls import BackendTlsConfig, ServerTlsConfig
from pipeline.errors import ConfigError
from pipeline.inference.contract import InferenceError
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.node import SERVICE
from pipeline.server.models.process import ModelServer, ModelsPlace
from tests.support.certs import OPENSSL, found, issue
from tests.support.letters import ALL, HEADS, POISON, UNTOKENISABLE, Letters, same
from tests.support.nodes import engines_of, node, node_process, source_of
from tests.support.stack import eventually

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SECRET = "a secret of the user's"


class Client:
    """Calls the protocol as it is, without our client."""

    def __init__(self, channel):
        self._channel = channel

    async def __call__(self, method, /, timeout_s=10, **fields):
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(pb, f"{method}Response").FromString,
        )
        return await call(getattr(pb, f"{method}Request")(**fields), timeout=timeout_s)

    async def infer(self, *texts, outputs=(), model="letters", timeout_s=10, **fields):
        text = pb.ModelInferRequest.InferInputTensor(
            name="text", datatype="BYTES", shape=[len(texts)]
        )
        text.contents.bytes_contents.extend(text_.encode() for text_ in texts)
        wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs]
        return await self(
            "ModelInfer", timeout_s, model_name=model, inputs=[text], outputs=wanted, **fields
        )

    async def health(self):
        stub = health_pb2_grpc.HealthStub(self._channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status


@pytest.fixture
async def client_of():
    channels = []

    def connect(address):
        channels.append(grpc.aio.insecure_channel(address))
        return Client(channels[-1])

    yield connect
    for channel in channels:
        await channel.close()


async def refused(work):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await work
    error = caught.value
    assert SECRET not in error.details()
    codes = [value for key, value in error.trailing_metadata() if key == "dragoman-code"]
    return error.code().name, *codes


async def test_it_tells_what_the_protocol_asks(client_of):
    async with node() as server:
        call = client_of(server.address)
        assert (await call("ServerLive")).live
        assert (await call("ServerReady")).ready
        assert (await call("ServerMetadata")).name == "dragoman"
        assert (await call("ModelReady", name="letters")).ready
        told = await call("ModelMetadata", name="letters", version=Letters.identity)
        assert [output.name for output in told.outputs] == [*HEADS, "tokens", "unread", "code"]
        for name, version in (("digits", ""), ("letters", "letters@7")):
            for method in ("ModelReady", "ModelMetadata"):
                assert await refused(call(method, name=name, version=version)) == ("NOT_FOUND",)


async def test_a_client_that_names_no_outputs_gets_them_all(client_of):
    model = Letters()
    async with node(model) as server:
        reply = await client_of(server.address).infer("abc", "some more", id="7")
        assert (reply.id, reply.model_name, reply.model_version) == (
            "7",
            "letters",
            Letters.identity,
        )
        assert [(one.name, list(one.shape)) for one in reply.outputs] == [
            ("embedding", [2, 4]),
            ("vowels", [2]),
            ("risk", [2]),
            ("half", [2, 2]),
            ("tokens", [2]),
            ("unread", [2]),
        ]


async def test_it_is_alive_but_not_ready_until_every_model_is_warm(client_of):
    import threading

    go = threading.Event()

    class Slow(Letters):
        def warm(self):
            go.wait(10)

    config = InferenceConfig(timeout="30s")
    place = ModelsPlace("127.0.0.1:0", "127.0.0.1:0", unhealthy_s=0.0)
    server = ModelServer(engines_of(Slow(), config), config, place)
    starting = asyncio.create_task(server.start())
    await eventually(lambda: is_listening(server), within_s=5)
    call = client_of(server.address)
    assert (await call("ServerLive")).live
    assert not (await call("ServerReady")).ready
    assert not (await call("ModelReady", name="letters")).ready
    assert await call.health() == NOT_SERVING
    assert await refused(call.infer(SECRET)) == ("UNAVAILABLE",)
    async with httpx.AsyncClient(base_url=f"http://{server.admin_address}") as http:
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()["state"]) == (503, "starting")
        assert (await http.get("/health/live")).status_code == 200
        go.set()
        await starting
        assert await call.health() == SERVING
        ready = (await http.get("/health/ready")).json()
        assert ready["ready"]
        assert ready["models"]["letters"]["signals"] == list(HEADS)
    await call.infer("abc")
    await server.stop()


async def test_a_model_that_cannot_be_loaded_ends_the_start():
    class Broken(Letters):
        def warm(self):
            raise RuntimeError("no such device")

    config = InferenceConfig()
    server = ModelServer(
        engines_of(Broken(), config), config, ModelsPlace("127.0.0.1:0", "127.0.0.1:0")
    )
    with pytest.raises(InferenceError):
        await server.start()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"outputs": ["vowels", "digits"]}, ("INVALID_ARGUMENT",)),
        ({"outputs": ["tokens"]}, ("INVALID_ARGUMENT",)),
        ({"model": "digits"}, ("NOT_FOUND",)),
        ({"model_version": "letters@7"}, ("NOT_FOUND",)),
        ({"raw_input_contents": [b"abc", b"d"]}, ("INVALID_ARGUMENT",)),
    ],
)
async def test_a_call_for_something_else_is_refused(client_of, asked, status):
    async with node() as server:
        assert await refused(client_of(server.address).infer(SECRET, **asked)) == status


@pytest.mark.parametrize(
    ("texts", "status", "code"),
    [
        ([f"{SECRET}{POISON}"], "INTERNAL", "model_failed"),
        ([f"{SECRET}{UNTOKENISABLE}"], "INTERNAL", "model_failed"),
        ([SECRET * 50_000], "OUT_OF_RANGE", "text_too_large"),
    ],
)
async def test_a_text_that_cannot_be_read_has_a_status_of_its_own(client_of, texts, status, code):
    async with node() as server:
        call = client_of(server.address)
        assert await refused(call.infer(*texts, outputs=["vowels"])) == (status,)
        assert await refused(call.infer(*texts, outputs=["vowels", "code"])) == (status, code)


async def test_a_call_that_is_late_is_told_so_by_the_node_too(client_of):
    model = Letters()
    async with node(model) as server:
        with model.held():
            late = await refused(client_of(server.address).infer(SECRET, timeout_s=0.2))
        assert late[0] == "DEADLINE_EXCEEDED"


async def test_texts_over_the_limit_are_refused_while_others_are_read(client_of):
    model = Letters()
    async with node(model, queue=8) as server:
        call = client_of(server.address)
        with model.held():
            held = asyncio.create_task(call.infer(*map(str, range(6))))
            await asyncio.to_thread(model.began.acquire, timeout=10)
            assert await refused(call.infer(SECRET, "b", "c")) == ("RESOURCE_EXHAUSTED",)
        await held
        await call.infer("a", "b", "c")


async def test_a_message_over_the_limit_is_refused(client_of):
    async with node() as server:
        status = await refused(client_of(server.address).infer("x" * 6_000_000))
        assert status == ("RESOURCE_EXHAUSTED",)


async def test_calls_are_counted_by_model_and_status(client_of):
    async with node() as server:
        call = client_of(server.address)
        await call.infer("abc", "d")
        await refused(call.infer(SECRET, model=SECRET))
        await refused(call.infer(f"{SECRET}{POISON}"))
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{server.admin_address}/metrics")).text
    assert 'dragoman_model_calls_total{model="letters",status="OK"} 1.0' in text
    assert 'dragoman_model_calls_total{model="letters",status="INTERNAL"} 1.0' in text
    assert 'dragoman_model_calls_total{model="",status="NOT_FOUND"} 1.0' in text
    assert 'dragoman_model_texts_total{model="letters"} 3.0' in text
    assert 'dragoman_model_readings_total{how="computed",model="letters"} 3.0' in text
    assert 'dragoman_model_refusals_total{code="model_failed",model="letters"} 1.0' in text
    assert 'dragoman_model_tokens_total{model="letters",read="yes"} 4.0' in text
    assert "dragoman_model_texts_held 0.0" in text
    assert SECRET not in text


async def test_what_workers_share_leaves_readings_to_be_counted_by_them(client_of):
    config = InferenceConfig(timeout="30s")
    place = ModelsPlace("127.0.0.1:0", "127.0.0.1:0", unhealthy_s=0.0, is_shared=True)
    server = ModelServer(engines_of(Letters(), config), config, place)
    await server.start()
    try:
        await client_of(server.address).infer("abc", "d")
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{server.admin_address}/metrics")).text
    finally:
        await server.stop()
    assert 'dragoman_model_texts_total{model="letters"} 2.0' in text
    assert "dragoman_model_readings_total{" not in text


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to make certificates")
@pytest.mark.parametrize("tls", ["plain", "named", "mutual"])
async def test_it_speaks_tls_where_each_knows_the_other(tmp_path, tls):
    found(tmp_path, "ca")
    issue(tmp_path, "node", "ca", san="DNS:node.test" if tls == "named" else "IP:127.0.0.1")
    issue(tmp_path, "host", "ca")
    own = {"cert": str(tmp_path / "host.crt"), "key": str(tmp_path / "host.key")}
    ca = str(tmp_path / "ca.crt")
    server_tls = ServerTlsConfig(
        cert=str(tmp_path / "node.crt"),
        key=str(tmp_path / "node.key"),
        client_ca=ca if tls == "mutual" else None,
    )
    good = BackendTlsConfig(
        ca=ca, sni="node.test" if tls == "named" else None, **(own if tls == "mutual" else {})
    )
    model = Letters()
    async with node(model, tls=server_tls) as server:
        address = f"grpcs://{server.address}"
        async with source_of(address, tls=good) as source:
            assert same(await source.read("abc", ALL, time.monotonic() + 10), model.expected("abc"))
        bad = BackendTlsConfig(ca=ca) if tls != "plain" else BackendTlsConfig()
        async with source_of(address, tls=bad) as source:
            assert source.up == {address: False}


async def test_files_that_are_no_certificate_end_the_start(tmp_path):
    (tmp_path / "x").write_text("no certificate")
    tls = ServerTlsConfig(cert=str(tmp_path / "x"), key=str(tmp_path / "x"))
    with pytest.raises(ConfigError, match="cannot use"):
        async with node(tls=tls):
            pass


async def test_an_address_that_is_taken_is_told():
    async with node() as server:
        with pytest.raises(ConfigError, match=f"cannot listen on {server.address}"):
            async with node(address=server.address):
                pass


async def test_sigterm_lets_calls_in_flight_end_and_takes_no_more(client_of):
    async with node_process() as server:
        call = client_of(server.address)
        await call.infer("abc")
        reads = [asyncio.create_task(call.infer("abc" * 20_000)) for _ in range(8)]
        await asyncio.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        await eventually(lambda: is_out_of_rotation(call), within_s=5)
        assert not (await call("ServerReady")).ready
        # Out of rotation, but whoever has not noticed is still served.
        await call.infer("late")
        await asyncio.gather(*reads)
        assert await asyncio.wait_for(server.process.wait(), 10) == 0
        assert (await refused(call.infer("later")))[0] == "UNAVAILABLE"


async def is_out_of_rotation(call):
    return await call.health() != SERVING


async def is_listening(server):
    return bool(server.address)
