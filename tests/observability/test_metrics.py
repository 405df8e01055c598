import asyncio
import time
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from pipeline import __version__
from pipeline.observability.catalogue import METRICS
from pipeline.observability.metrics import Metrics, exposition


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry)


def value(registry, name, **labels):
    return registry.get_sample_value(name, labels)


def test_an_exchange_is_counted_by_route_ending_and_status_class(registry, metrics, make):
    metrics.ended(make.exchange(), make.outcome())
    metrics.ended(make.exchange(), make.outcome())
    metrics.ended(make.exchange(), make.outcome(ending="cancelled", status=0))
    name = "dragoman_exchanges_total"
    done = value(registry, name, route="chat", ending="completed", status_class="2xx")
    assert done == 2
    assert value(registry, name, route="chat", ending="cancelled", status_class="none") == 1


def test_durations_fall_into_cumulative_buckets(registry, metrics, make):
    for overhead_s in (0.0001, 0.00011, 99.0):
        metrics.ended(make.exchange(), make.outcome(overhead_s=overhead_s))
    name = "dragoman_overhead_seconds"
    # A bound is part of its own bucket.
    assert value(registry, f"{name}_bucket", route="chat", le="0.0001") == 1
    assert value(registry, f"{name}_bucket", route="chat", le="0.00025") == 2
    assert value(registry, f"{name}_bucket", route="chat", le="5.0") == 2
    assert value(registry, f"{name}_bucket", route="chat", le="+Inf") == 3
    assert value(registry, f"{name}_count", route="chat") == 3
    assert value(registry, f"{name}_sum", route="chat") == pytest.approx(99.00021)


def test_every_hook_is_counted_by_what_it_decided(registry, metrics, make):
    shadow = make.step("guard", "refuse", applied=False, reason="injection")
    failed = make.step("slow", "error", applied=False, reason="plugin_timeout")
    metrics.ended(make.exchange(), make.outcome(shadow, failed))
    labels = {"route": "chat", "hook": "on_request"}
    decided = "dragoman_plugin_decisions_total"
    refused = value(
        registry, decided, **labels, instance="guard", decision="refuse", applied="false"
    )
    assert refused == 1
    errors = "dragoman_plugin_errors_total"
    assert value(registry, errors, **labels, instance="slow", kind="plugin_timeout") == 1
    assert value(registry, errors, **labels, instance="guard", kind="injection") is None
    took = "dragoman_plugin_duration_seconds_sum"
    assert value(registry, took, instance="guard", hook="on_request") == pytest.approx(0.002)


def test_tokens_are_counted_as_the_provider_says(registry, metrics, make):
    metrics.ended(make.exchange(), make.outcome())
    name = "gen_ai_client_token_usage_sum"
    assert value(registry, name, route="chat", gen_ai_token_type="input") == 12
    assert value(registry, name, route="chat", gen_ai_token_type="output") == 34


@pytest.mark.parametrize(
    "changes",
    [
        {"via_upstream": False},
        {"answered": False},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 10**400}},
        {"usage": {"prompt_tokens": "12"}},
        {"usage": None},
    ],
)
def test_tokens_that_no_provider_counted_are_not_counted(registry, metrics, make, changes):
    metrics.ended(make.exchange(**changes), make.outcome())
    assert b"gen_ai_client_token_usage_count" not in exposition(registry)


def test_open_streams_go_up_and_down(registry, metrics):
    metrics.stream_opened()
    metrics.stream_opened()
    metrics.stream_closed()
    assert value(registry, "dragoman_streams_active") == 1


def test_plugins_of_an_earlier_config_are_forgotten(registry, metrics):
    labels = {"uses": "prompt_template", "distribution": "dragoman", "version": "1"}
    metrics.plugin("old", **labels)
    metrics.forget_plugins()
    metrics.plugin("new", **labels)
    assert value(registry, "dragoman_plugin_info", instance="new", **labels) == 1
    assert value(registry, "dragoman_plugin_info", instance="old", **labels) is None


def test_no_label_value_comes_from_a_client(registry, metrics, make):
    given = make.exchange(model="model-of-a-client", headers=[("user-agent", b"client")])
    metrics.ended(given, make.outcome(make.step("guard", "refuse", reason="word of a plugin")))
    text = exposition(registry).decode()
    for word in ("model-of-a-client", "req-1", "key-0123", "word of a plugin", "gpt-4o-2024"):
        assert word not in text


def test_the_catalogue_is_what_prometheus_sees(registry, metrics, make):
    metrics.ended(make.exchange(), make.outcome(make.step(decision="error", reason="plugin_error")))
    metrics.violation("protocol_violation")
    metrics.dropped("b", ["temperature", "made_up"])
    metrics.overload("exchanges", "refused")
    metrics.plugin("guard", uses="m:Guard", distribution="m", version="")
    metrics.config(2, "0123456789ab")
    metrics.reloaded("applied")
    metrics.envoy_generation(2)
    metrics.envoy_updated("taken")
    families = {
        family.name: family
        for family in text_string_to_metric_families(exposition(registry).decode())
    }
    assert len(families) == len(METRICS)
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert family.type == metric.type
        assert family.documentation == metric.description
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_the_version_is_told(registry, metrics):
    assert value(registry, "dragoman_build_info", version=__version__) == 1


async def test_the_lag_is_how_late_the_loop_wakes(registry, metrics):
    # Asked for 1 ms, and by this clock it slept for 251; then it is asked to stop.
    times = iter([10.0, 10.251])

    def clock():
        now_s = next(times, None)
        if now_s is None:
            raise asyncio.CancelledError
        return now_s

    with pytest.raises(asyncio.CancelledError):
        await metrics.watch_loop(clock, 0.001)
    assert value(registry, "dragoman_loop_lag_seconds") == pytest.approx(0.25)


async def test_the_worst_lag_of_late_is_told_until_it_is_old(registry, metrics):
    # Late by 300 ms once, then never; each wake is a second of this clock after the one before.
    now_s, told = 0.0, []

    def clock():
        nonlocal now_s
        told.append(value(registry, "dragoman_loop_lag_seconds"))
        now_s += 1.3 if len(told) == 2 else 1.0
        if len(told) > 40:
            raise asyncio.CancelledError
        return now_s

    with patched_sleep(), pytest.raises(asyncio.CancelledError):
        await metrics.watch_loop(clock, 1.0)
    assert told[2:16] == [pytest.approx(0.3)] * 14
    assert told[-1] == pytest.approx(0.0, abs=1e-9)


@contextmanager
def patched_sleep():
    async def at_once(_):
        """The clock is the test's: there is nothing to wait for."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.observability.metrics.asyncio.sleep", at_once)
        yield


def test_an_exchange_of_three_hooks_costs_little(metrics, make):
    given = make.exchange()
    ended = make.outcome(make.step("a"), make.step("b", "rewrite"), make.step("c"))
    best_s = float("inf")
    for _ in range(5):
        started_s = time.perf_counter()
        for _ in range(1000):
            metrics.ended(given, ended)
        best_s = min(best_s, time.perf_counter() - started_s)
    # Measured: 3 µs. The bound leaves room for a machine under load.
    assert best_s / 1000 < 20e-6
