"""Failover over a real Envoy between backends that each speak TLS in their own way."""

from __future__ import annotations

import json
import ssl

import pytest
from aiohttp import web

from tests.support.certs import OPENSSL, found, issue
from tests.support.stack import running_stack, upstream_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to make certificates"),
]

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certs")
    found(directory, "ca")
    found(directory, "stranger")
    issue(directory, "named", "ca", san="DNS:llm.internal")
    issue(directory, "numbered", "ca", san="IP:127.0.0.1")
    issue(directory, "envoy", "ca")
    issue(directory, "false", "stranger", san="DNS:llm.internal")
    return directory


class Backend:
    """One that answers, and remembers what it was asked for."""

    def __init__(self, certs, name, client_ca=None):
        self.names = []
        self.hosts = []
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certs / f"{name}.crt", certs / f"{name}.key")
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.sni_callback = lambda _, name, __: self.names.append(name)
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(certs / f"{client_ca}.crt")

    async def answer(self, request):
        self.hosts.append(request.headers["Host"])
        return web.json_response({"asked": json.loads(await request.read())})

    def served(self):
        return upstream_of(self.answer, self.context)


def route(*backends):
    return [{"name": "r", "match": {"path_prefix": "/"}, "backends": list(backends)}]


def backend(url, **settings):
    return {"provider": "openai", "url": url, "api_key": "k", **settings}


async def test_each_backend_has_its_own_name_authority_and_certificate(envoy, certs):
    ca = str(certs / "ca.crt")
    own = {"cert": str(certs / "envoy.crt"), "key": str(certs / "envoy.key")}
    named, numbered = Backend(certs, "named", client_ca="ca"), Backend(certs, "numbered")
    false = Backend(certs, "false")
    async with named.served() as first, numbered.served() as second, false.served() as third:
        backends = {
            "false": backend(third, tls={"ca": ca, "sni": "llm.internal"}),
            "numbered": backend(second, tls={"ca": ca}),
            "named": backend(
                first, tls={"ca": ca, "sni": "llm.internal", **own}, host="llm.example.org"
            ),
            "stranger": backend(first, tls={"ca": ca, "sni": "llm.internal"}),
        }
        routes = [
            {"name": name, "match": {"path_prefix": f"/{name}/"}, "backends": tried}
            for name, tried in {
                "one": ["false", "numbered"],
                "two": ["false", "stranger", "named"],
                "none": ["false", "stranger"],
            }.items()
        ]
        config = {"routes": routes, "backends": backends}
        async with running_stack(config, upstreams={}, binary=envoy) as stack:
            path = "v1/chat/completions"
            assert (await stack.http.post(f"/one/{path}", json=ASK)).json() == {"asked": ASK}
            assert (await stack.http.post(f"/two/{path}", json=ASK)).json() == {"asked": ASK}
            assert (await stack.http.post(f"/none/{path}", json=ASK)).status_code == 503

    assert false.hosts == []
    assert set(numbered.names) == {None}
    assert set(named.names) == {"llm.internal"}
    assert named.hosts == ["llm.example.org"]
    assert numbered.hosts == [second.removeprefix("https://").removesuffix("/v1")]


async def test_plain_and_secure_backends_stand_in_for_each_other(envoy, certs):
    secure = Backend(certs, "numbered")

    async def refuse(request):
        await request.read()
        return web.Response(status=503)

    async with secure.served() as url, upstream_of(refuse) as plain:
        backends = {
            "plain": backend(plain),
            "secure": backend(url, tls={"ca": str(certs / "ca.crt")}),
        }
        config = {"routes": route("plain", "secure"), "backends": backends}
        async with running_stack(config, upstreams={}, binary=envoy) as stack:
            answer = await stack.http.post("/v1/chat/completions", json=ASK)

    assert answer.json() == {"asked": ASK}
