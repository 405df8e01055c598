"""What one attempt takes away comes back for the next, and what others said is seen."""

from __future__ import annotations

import json

import pytest

from pipeline.api import Headers, Plugin, PluginConfig, Secret, find_model
from pipeline.config.load import load_config
from pipeline.host.attempt import AttemptSession
from pipeline.host.instances import make_instances
from pipeline.host.names import HOST_METADATA, metadata_attribute
from pipeline.host.origin import origin_report
from pipeline.host.reading import read_request
from tests.support.chain import Seen
from tests.support.host import runtime_of

CALL = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "ping"}]}
SENT = (
    (":method", b"POST"),
    (":path", b"/v1/messages"),
    ("content-type", b"application/json"),
    ("anthropic-beta", b"one"),
    ("anthropic-beta", b"two"),
    ("openai-project", b"p"),
)
BARE = tuple(pair for pair in SENT if not pair[0].startswith(("anthropic-", "openai-")))
KEY = {"api_key": "k", "models": {"m": "claude-sonnet-4-5"}}
PROVIDERS = {
    "gemini": {"provider": "gemini", **KEY},
    "claude": {"provider": "anthropic", **KEY},
    "alone": {"provider": "anthropic", **KEY},
}


@pytest.fixture
def compiled():
    find_model("")  # the catalog, which a connection reads when it starts
    return runtime_of(
        {
            "plugins": {"translate": {"uses": "translate"}},
            "backends": PROVIDERS,
            "routes": [
                {"name": "r", "match": {"path_prefix": "/v1/"}, "backends": ["gemini", "claude"]},
                {"name": "s", "match": {"path_prefix": "/s/"}, "backends": ["alone"]},
            ],
        }
    )


async def attempted(compiled, backend, now, attributes):
    """Return the edits of an attempt that is sent `now` by Envoy."""
    host = (
        f'filter_metadata {{ key: "dragoman" value {{ fields {{ key: "backend" '
        f'value {{ string_value: "{backend}" }} }} }} }}'
    )
    seen = Seen()
    seen.dropped = lambda name, fields: None
    session = AttemptSession(compiled, compiled.routes["r"], seen)
    told = {**attributes, HOST_METADATA: host}
    await session.request_headers(now, ends=False, attributes=told)
    return (await session.request_body(json.dumps(CALL).encode())).edits


async def test_headers_of_the_clients_api_come_back_for_the_next_attempt(compiled):
    request, _ = read_request(SENT)
    told = {metadata_attribute(k): v for k, v in origin_report(request, None).items()}

    first = await attempted(compiled, "gemini", SENT, told)
    now = Headers(SENT).edited(first).pairs
    second = await attempted(compiled, "claude", now, told)

    assert {"anthropic-beta", "openai-project"} <= first.remove
    assert second.set["anthropic-beta"] == "one, two"
    assert second.set["openai-project"] == "p"


async def test_what_is_still_there_is_left_alone(compiled):
    request, _ = read_request(SENT)
    told = {metadata_attribute(k): v for k, v in origin_report(request, None).items()}

    edits = await attempted(compiled, "claude", SENT, told)

    assert "anthropic-beta" not in edits.set


async def test_a_client_that_sent_none_gets_none_back(compiled):
    request, _ = read_request(BARE)
    told = {metadata_attribute(k): v for k, v in origin_report(request, None).items()}

    edits = await attempted(compiled, "claude", BARE, told)

    assert told[metadata_attribute("api_headers")] == ""
    assert "anthropic-beta" not in edits.set


def test_a_backend_knows_who_else_answers_on_its_routes(compiled):
    beside = {link.backend.name: link.backend.beside for link in compiled.links.values()}

    assert beside == {
        "gemini": frozenset({"anthropic"}),
        "claude": frozenset({"gemini"}),
        "alone": frozenset(),
    }


class Keyed(Plugin):
    """A plugin with a secret."""

    class Config(PluginConfig):
        """Its options."""

        token: Secret


def test_a_plugins_secret_is_beside_the_config_and_not_where_we_are(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "token").write_text("sesame\n")
    path = tmp_path / "dragoman.yaml"
    uses = f"{__name__}:Keyed"
    path.write_text(
        f"plugins: {{k: {{uses: '{uses}', with: {{token: file:token}}}}}}\n"
        "backends: {b: {provider: openai}}\nroutes: [{name: r, backends: [b]}]"
    )
    config, source = load_config(path, {})

    [made] = make_instances(config, source).values()

    assert made.options.token.get_secret_value() == "sesame"
