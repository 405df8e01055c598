"""Plugins' own metrics on /metrics: beside the host's, and of several workers as of one host."""

from __future__ import annotations

import itertools
import textwrap

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.api import METRICS
from pipeline.config.load import load_config
from pipeline.host.compile import compile_config
from pipeline.host.plugin_metrics import collectors
from pipeline.server.process import running
from pipeline.server.supervisor import supervised
from tests.support.workers import write_config

_NUMBERS = itertools.count()
PLUGIN = """
from prometheus_client import Counter, Gauge, Histogram
from pipeline.api import METRICS, Plugin

HITS = Counter("{name}_hits", "Hits.", ["instance"], registry=METRICS)
ENTRIES = Gauge("{name}_entries", "Entries.", ["instance"], registry=METRICS)
TIMES = Histogram("{name}_seconds", "Times.", ["instance"], buckets=(1, 2), registry=METRICS)


class Counting(Plugin):
    async def startup(self):
        HITS.labels(self.name).inc(3)
        ENTRIES.labels(self.name).set(7)
        TIMES.labels(self.name).observe(1.5)
"""


@pytest.fixture
def name():
    return f"served{next(_NUMBERS)}"


@pytest.fixture
def config(tmp_path, name):
    before = collectors()
    (tmp_path / "plugs").mkdir()
    (tmp_path / "plugs" / "counting.py").write_text(textwrap.dedent(PLUGIN.format(name=name)))
    top = {
        "plugins_dir": "plugs",
        "plugins": {"a": {"uses": "counting"}, "b": {"uses": "counting"}},
        "routes": [{"name": "chat", "plugins": ["a", "b"], "backends": ["demo"]}],
    }
    yield lambda workers: write_config(tmp_path, top, 9, workers=workers)
    for one in collectors():
        if one not in before:
            METRICS.unregister(one)


async def scraped(host):
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{host.admin_address}/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_plugins_metrics_stand_beside_the_hosts(config, name):
    runtime = compile_config(*load_config(config(1), {}))
    async with running(runtime) as host:
        found = await scraped(host)

    for instance in ("a", "b"):
        label = ("instance", instance)
        assert found[f"{name}_hits_total", label] == 3
        assert found[f"{name}_entries", label] == 7
        assert found[f"{name}_seconds_bucket", label, ("le", "2.0")] == 1
        assert found[f"{name}_seconds_sum", label] == 1.5
    assert ("dragoman_streams_active",) in found


async def test_of_workers_counts_are_added_up_and_gauges_told_apart(config, name):
    path = config(2)
    async with supervised(*load_config(path, {}), path) as host:
        found = await scraped(host)

    label = ("instance", "a")
    assert found[f"{name}_hits_total", label] == 6
    assert found[f"{name}_seconds_bucket", label, ("le", "2.0")] == 2
    assert found[f"{name}_seconds_sum", label] == 3
    assert found[f"{name}_entries", label, ("worker", "0")] == 7
    assert found[f"{name}_entries", label, ("worker", "1")] == 7
    assert not any("created" in key[0] for key in found)
