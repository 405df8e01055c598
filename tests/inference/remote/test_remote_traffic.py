"""What Prometheus is told of inference nodes: calls, retries, and which are used."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from pipeline.config.inference import InferenceConfig
from pipeline.inference.contract import InferenceError
from pipeline.inference.engine import Engine
from pipeline.inference.remote.traffic import BOUNDS_S, Remote, Traffic
from pipeline.server.models.metrics import NODE_METRICS, EngineMetrics
from tests.support.letters import ALL, Letters
from tests.support.nodes import engines_of, node, source_of
from tests.support.stack import eventually

SOON_S = 20.0


def registry_of(source):
    engine = Engine(source, max_bytes=0, timeout_s=SOON_S)
    registry = CollectorRegistry()
    registry.register(EngineMetrics(lambda: {"letters": engine}))
    return engine, registry


def value(registry, name, address, **labels):
    found = registry.get_sample_value(name, {"model": "letters", "address": address, **labels})
    return found or 0.0


def read(engine, text="abc"):
    return engine.read(text, ALL, time.monotonic() + SOON_S)


async def test_calls_are_counted_by_address_and_status_and_timed():
    async with node() as server, source_of(server.address) as source:
        engine, registry = registry_of(source)
        for text in ("one", "two"):
            await read(engine, text)
        address = f"grpc://{server.address}"

        assert value(registry, "dragoman_model_node_calls_total", address, status="OK") == 2
        name = "dragoman_model_node_call_duration_seconds"
        assert value(registry, f"{name}_count", address) == 2
        assert 0 < value(registry, f"{name}_sum", address) < SOON_S


async def test_a_text_that_a_node_refuses_counts_as_tried_again_elsewhere():
    busy = Letters()
    async with (
        node(busy, queue=1) as first,
        node() as second,
        source_of(first.address, second.address) as source,
    ):
        engine, registry = registry_of(source)

        async def are_up():
            return all(source.up.values())

        await eventually(are_up, within_s=10)
        with busy.held():
            reads = [asyncio.create_task(read(engine, f"{number} abc")) for number in range(150)]
            name = "dragoman_model_node_retries_total"

            async def is_tried_again():
                return value(registry, name, f"grpc://{first.address}") > 0

            await eventually(is_tried_again, within_s=10)
        await asyncio.gather(*reads)

        assert value(registry, name, f"grpc://{second.address}") == 0


async def test_a_lost_node_shows_as_an_open_breaker_and_the_status_of_its_calls(free_port):
    address = f"grpc://127.0.0.1:{free_port}"
    model = Letters()
    async with node(model, f"127.0.0.1:{free_port}") as server, source_of(address) as source:
        engine, registry = registry_of(source)
        name = "dragoman_model_node_breaker"
        assert value(registry, name, address, state="closed") == 1
        assert value(registry, name, address, state="open") == 0

        with model.held():
            lost = asyncio.create_task(read(engine))
            await asyncio.to_thread(model.began.acquire, timeout=10)
            await server.stop()

        async def is_open():
            return value(registry, name, address, state="closed") == 0

        await eventually(is_open, within_s=10)
        await asyncio.gather(lost, return_exceptions=True)
        with pytest.raises(InferenceError):
            await read(engine, "another")
        calls = sum(source.traffic[address].statuses.values())
        assert calls >= 1


async def test_models_of_this_process_have_no_series_of_nodes():
    engines = engines_of(Letters(), InferenceConfig())
    registry = CollectorRegistry()
    registry.register(EngineMetrics(lambda: engines.engines))

    assert not isinstance(engines.engines["letters"].source, Remote)
    names = {metric.name for metric in NODE_METRICS}
    assert not [s for family in registry.collect() for s in family.samples if s.name in names]


def test_a_duration_falls_into_the_least_bucket_that_holds_it():
    traffic = Traffic()

    for duration_s in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 1e9):
        traffic.ended("OK", duration_s)

    assert traffic.durations[:2] == [2, 1]
    assert traffic.durations[-1] == 1
    assert sum(traffic.durations) == traffic.statuses["OK"] == 4
