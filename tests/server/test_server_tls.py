"""TLS between Envoy and the host, with certificates of the `openssl` command."""

from __future__ import annotations

import shutil

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.envoy.bootstrap import bootstrap
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from pipeline.server.process import running
from tests.support.certs import OPENSSL, found, issue
from tests.support.stack import CHAT, running_stack

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to make certificates")

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certs")
    found(directory, "ca")
    found(directory, "stranger")
    issue(directory, "host", "ca")
    issue(directory, "envoy", "ca")
    issue(directory, "false", "stranger")
    issue(directory, "elsewhere", "ca", san="DNS:elsewhere.test")
    return directory


def config_of(certs, port, tls, host_tls):
    def files(given):
        return {k: v if k == "name" else str(certs / v) for k, v in given.items()}

    return {
        "routes": [CHAT],
        "server": {"address": f"127.0.0.1:{port}", "tls": files(tls)},
        "envoy": {"host_tls": files(host_tls)},
    }


HOST = {"cert": "host.crt", "key": "host.key"}
MUTUAL = {**HOST, "client_ca": "ca.crt"}
CLIENT = {"ca": "ca.crt", "cert": "envoy.crt", "key": "envoy.key"}


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("tls", "host_tls", "status"),
    [
        pytest.param(HOST, {"ca": "ca.crt"}, 200, id="tls"),
        pytest.param(MUTUAL, CLIENT, 200, id="mutual"),
        pytest.param(HOST, {"ca": "stranger.crt"}, 503, id="host of a stranger's"),
        pytest.param(HOST, {"ca": "ca.crt", "name": "elsewhere.test"}, 503, id="host elsewhere"),
        pytest.param(
            {"cert": "elsewhere.crt", "key": "elsewhere.key"},
            {"ca": "ca.crt", "name": "elsewhere.test"},
            200,
            id="named",
        ),
        pytest.param(
            MUTUAL,
            {"ca": "ca.crt", "cert": "false.crt", "key": "false.key"},
            503,
            id="envoy of a stranger's",
        ),
    ],
)
async def test_envoy_and_host_speak_tls_where_each_knows_the_other(
    certs, free_port, tls, host_tls, status
):
    async with running_stack(config_of(certs, free_port, tls, host_tls)) as stack:
        answer = await stack.http.post("/v1/chat/completions", json=ASK)
    assert answer.status_code == status


def runtime_of(certs, port, tls, host_tls):
    source = Source("d.yaml", {**config_of(certs, port, tls, host_tls), "routes": [{"name": "r"}]})
    return compile_config(check_config(source), source)


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({**HOST, "key": "envoy.key"}, "KEY_VALUES_MISMATCH"),
        ({**HOST, "cert": "nowhere.crt"}, "No such file"),
        ({**HOST, "client_ca": "host.key"}, "cannot use"),
    ],
)
async def test_files_that_are_no_certificate_are_told_with_their_key(certs, tls, message):
    runtime = runtime_of(certs, 0, tls, {})
    with pytest.raises(ConfigError, match=rf"server\.tls: .*{message}"):
        async with running(runtime):
            pass


def test_a_host_that_wants_a_certificate_of_envoys_needs_one_in_the_config(certs):
    runtime = runtime_of(certs, 9000, MUTUAL, {"ca": "ca.crt"})
    with pytest.raises(ConfigError, match=r"envoy\.host_tls: .*cert.*key"):
        bootstrap(runtime.config, runtime.plans)


def test_a_certificate_without_its_key_is_a_problem_of_the_config(certs):
    with pytest.raises(ConfigError, match=r"envoy\.host_tls: .*together"):
        runtime_of(certs, 9000, HOST, {"cert": "envoy.crt"})


async def test_a_certificate_that_was_replaced_is_served_without_a_restart(certs, tmp_path):
    for name in ("crt", "key"):
        shutil.copy(certs / f"host.{name}", tmp_path / f"own.{name}")
    own = {"cert": str(tmp_path / "own.crt"), "key": str(tmp_path / "own.key")}
    async with running(runtime_of(certs, 0, own, {})) as process:
        assert await trusts(process.address, certs / "ca.crt")
        assert not await trusts(process.address, certs / "stranger.crt")
        shutil.copy(certs / "false.crt", tmp_path / "own.crt")  # without its key: not taken
        assert await trusts(process.address, certs / "ca.crt")
        shutil.copy(certs / "false.key", tmp_path / "own.key")
        assert await trusts(process.address, certs / "stranger.crt")


async def trusts(address, authority):
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    # A pool of its own, or channels to one address would share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.aio.AioRpcError:
            return False
    return True
