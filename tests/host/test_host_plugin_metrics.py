"""Metrics that plugins' modules make: their names are free, and a module that fails leaves none."""

from __future__ import annotations

import itertools
import textwrap

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.api import METRICS
from pipeline.errors import ConfigError
from pipeline.host.plugin_metrics import collectors
from pipeline.observability import catalogue
from pipeline.observability.plugin_metrics import PluginMetrics
from pipeline.server.models.metrics import ENGINE_METRICS, MODEL_METRICS
from tests.support.host import runtime_of

_NUMBERS = itertools.count()
PLUGIN = """
from prometheus_client import Counter
from pipeline.api import METRICS, Plugin

{code}

class Counting(Plugin): ...
"""


@pytest.fixture
def name():
    """A name that no other test has."""
    return f"metric{next(_NUMBERS)}"


@pytest.fixture(autouse=True)
def nothing_left():
    before = collectors()
    yield
    for one in collectors():
        if one not in before:
            METRICS.unregister(one)


def load(folder, stem, code):
    (folder / f"{stem}.py").write_text(PLUGIN.format(code=textwrap.dedent(code)))
    document = f"plugins_dir: {folder}\nplugins:\n  p: {{uses: {stem}}}\nroutes: [{{name: r}}]\n"
    return runtime_of(document)


def counter(name):
    return f"HITS = Counter({name!r}, 'Hits.', ['instance'], registry=METRICS)"


def shown(*taken):
    registry = CollectorRegistry()
    registry.register(PluginMetrics(collectors, taken))
    return generate_latest(registry).decode()


@pytest.mark.parametrize("metric", sorted(catalogue.NAMES))
def test_a_name_of_the_hosts_is_refused_when_the_config_is_loaded(tmp_path, metric):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "counting", counter(metric))

    [problem] = caught.value.problems
    assert (problem.key, problem.line) == ("plugins.p.uses", 3)
    assert "a metric of that name is the host's or another plugin's" in problem.message
    assert metric.removesuffix("_total") in problem.message


def test_the_names_that_are_refused_are_all_that_the_host_has():
    ours = (
        *catalogue.METRICS,
        *catalogue.SUPERVISOR_METRICS,
        *ENGINE_METRICS,
        *MODEL_METRICS,
    )

    assert {metric.name for metric in ours} == catalogue.NAMES


def test_a_name_of_another_plugins_is_refused(tmp_path, name):
    load(tmp_path, "first", counter(name))

    with pytest.raises(ConfigError, match="another plugin's"):
        load(tmp_path, "second", counter(name))


def test_a_local_module_that_is_loaded_again_has_its_metrics_anew(tmp_path, name):
    load(tmp_path, "counting", counter(name) + "\nHITS.labels('p').inc()")
    load(tmp_path, "counting", counter(name) + "\nHITS.labels('q').inc()")

    assert f'{name}_total{{instance="q"}} 1.0' in shown()
    assert 'instance="p"' not in shown()


def test_a_module_that_fails_leaves_no_metric_behind(tmp_path, name):
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load(tmp_path, "counting", counter(name) + "\n1 / 0")
    assert name not in shown()

    load(tmp_path, "counting", counter(name))
    assert name in shown()


def test_a_metric_that_fails_takes_no_other_with_it_and_is_told_of_once(name, capsys):
    from pipeline.observability.logs import configure_logs

    configure_logs("info", "json")

    def broken():
        raise RuntimeError("a secret")

    Gauge(f"{name}_broken", "Fails.", registry=METRICS).set_function(broken)
    Counter(name, "Counts.", registry=METRICS).inc(3)
    shows = PluginMetrics(collectors)
    registry = CollectorRegistry()
    registry.register(shows)

    for _ in range(2):
        text = generate_latest(registry).decode()
        assert f"{name}_total 3.0" in text
        assert "broken" not in text
    told = capsys.readouterr().err
    assert told.count("a plugin's metric failed") == 1
    assert f"gauge:{name}_broken" in told
    assert "a secret" not in told


def test_a_family_that_is_shown_already_is_left_out(name):
    class Own(Collector):
        """Says no names beforehand, so that the registry cannot refuse it."""

        def collect(self):
            yield GaugeMetricFamily("dragoman_build_info", "Not ours.", 7)
            yield GaugeMetricFamily(name, "First.", 1)
            yield GaugeMetricFamily(name, "Again.", 2)

    METRICS.register(Own())

    text = shown("dragoman_build_info")
    assert "Not ours" not in text
    assert f"{name} 1.0" in text
    assert "Again" not in text


def test_no_series_says_when_it_was_made(name):
    Counter(name, "Counts.", ["a"], registry=METRICS).labels("x").inc()
    Histogram(f"{name}_s", "Times.", registry=METRICS).observe(1)

    text = shown()
    assert f'{name}_total{{a="x"}} 1.0' in text
    assert f"{name}_s_count 1.0" in text
    assert "_created" not in text
