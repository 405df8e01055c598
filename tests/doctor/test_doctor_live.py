"""The doctor before a real Envoy: a healthy set-up has no fault, a spoilt one says which."""

from __future__ import annotations

import pytest

from pipeline.demo.upstream import DemoSettings
from pipeline.doctor.case import Case
from pipeline.doctor.expected import expect
from pipeline.doctor.probe import NoEnvoy, ask_envoy, ask_host
from pipeline.doctor.rules import examine
from tests.support.stack import CHAT, eventually, running_stack

pytestmark = pytest.mark.e2e

CONFIG = {
    "plugins": {"shout": {"uses": "tests.support.doctor_plugin:Shout"}},
    "routes": [
        {**CHAT, "plugins": ["shout"]},
        {
            "name": "spare",
            "match": {"path_prefix": "/v1/"},
            "plugins": ["shout"],
            "backends": ["demo", "second"],
            "other": "pass",
        },
    ],
}
UPSTREAMS = {"demo": DemoSettings(), "second": DemoSettings()}


async def examined(stack):
    runtime = stack.host.runtime
    dump = await ask_envoy(stack.envoy.admin_url)
    expected = expect(runtime.config, runtime.plans)
    faults = await ask_host(Case(dump, expected).addresses, is_tls=False)
    return examine(Case(dump, expected, faults=faults))


async def test_a_healthy_set_up_has_no_fault():
    async with running_stack(CONFIG, upstreams=UPSTREAMS) as stack:
        assert await examined(stack) == []


async def test_what_a_real_envoy_makes_of_a_spoilt_bootstrap_is_found():
    def spoil(document):
        resources = document["static_resources"]
        manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        config = manager["http_filters"][0]["typed_config"]
        del config["message_timeout"], config["metadata_options"], config["allow_mode_override"]
        del config["allowed_override_modes"]
        del document["layered_runtime"]
        del resources["listeners"][0]["per_connection_buffer_limit_bytes"]
        for cluster in resources["clusters"]:
            cluster.pop("health_checks", None)
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]

    async with running_stack(CONFIG, upstreams=UPSTREAMS, patch=spoil) as stack:
        found = {finding.rule for finding in await examined(stack)}

    assert found == {
        "message_timeout",
        "metadata_options",
        "mode_override",
        "runtime_flag",
        "buffer_limit",
        "health_check",
        "upgrades",
    }


async def test_a_host_that_has_gone_is_found_twice():
    async with running_stack(CONFIG, upstreams=UPSTREAMS) as stack:
        await stack.host.stop(unhealthy_s=0.0)

        async def noticed():
            return {finding.rule for finding in await examined(stack)} == {
                "host_unreachable",
                "host_unhealthy",
            }

        await eventually(noticed, within_s=5)


async def test_an_address_without_envoy_is_an_error_with_the_address_in_it():
    with pytest.raises(NoEnvoy, match=r"http://127\.0\.0\.1:9"):
        await ask_envoy("http://127.0.0.1:9")


async def test_a_port_without_a_host_cannot_be_reached_with_tls_or_without():
    for is_tls in (False, True):
        assert await ask_host(["127.0.0.1:9"], is_tls=is_tls) == {
            "127.0.0.1:9": "cannot be reached"
        }
