"""Which model computes a signal, as a plugin is told: the same wherever that model runs."""

from __future__ import annotations

import pytest

from pipeline.api.signals import Signals
from pipeline.inference.contract import Head
from pipeline.inference.engine import Engine
from pipeline.inference.engines import Engines
from pipeline.inference.manifest import ModelFolder
from tests.support.chain import Driven, plugin, runtime_with

TINY = ModelFolder.of_tier("tiny").digest
EMBEDS = {"embedding": Head("embedding", "embedding")}


class Named:
    """A source that is known and not asked."""

    def __init__(self, identity, heads=EMBEDS):
        self.identity = identity
        self.heads = heads


def engines(**sources):
    return Engines(
        {name: Engine(source, max_bytes=0, timeout_s=1) for name, source in sources.items()}
    )


async def of_letter(text):
    return float(len(text))


@pytest.mark.parametrize(
    ("identity", "fingerprint"),
    [
        ("minilm-3@53aa51172d14ffff", "small@53aa51172d14"),
        ("e5@0123456789abcdef", "small@0123456789ab"),
        ("bge-m3:2", "bge-m3:2"),
        ("bge-m3:", "bge-m3"),
        ("org@home:1", "org@home:1"),
        ("", ""),
    ],
)
def test_a_fingerprint_is_the_configs_name_with_the_hash_or_a_foreign_name_and_version(
    identity, fingerprint
):
    reader = engines(small=Named(identity))

    assert Signals({}, reader).fingerprint("embedding") == fingerprint


def test_a_model_of_ones_own_that_replaces_the_tiers_signal_is_told():
    reader = engines(small=Named("a-1@" + "0" * 16), mine=Named("mine@" + "1" * 16))

    assert reader.fingerprint("embedding") == "mine@111111111111"


def test_what_a_plugin_computes_or_nothing_has_no_fingerprint():
    reader = engines(small=Named("a-1@" + "0" * 16))

    assert Signals({"embedding": of_letter}, reader).fingerprint("embedding") == ""
    assert Signals({}, reader).fingerprint("length") == ""
    assert Signals({}).fingerprint("embedding") == ""


async def test_a_plugin_is_told_of_the_model_that_the_config_names():
    found = []

    def on_request(self, exchange):
        found.append(exchange.signals.fingerprint("embedding"))
        found.append(exchange.signals.fingerprint("language"))

    runtime = runtime_with({"inference": {"tier": "tiny"}}, p=plugin(on_request=on_request))
    await runtime.startup()
    exchange = Driven(runtime)
    await exchange.asked({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    await exchange.over()
    await runtime.shutdown()

    assert found == [f"tiny@{TINY[:12]}", ""]
