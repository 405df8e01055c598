from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import Config
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.process import EnvoyProcess
from pipeline.host.plan import RoutePlan


def make_plan(route: str, **changes: Any) -> RoutePlan:
    values = {
        "request_body": True,
        "response_headers": False,
        "response_body": False,
        "fails_open": False,
        "budget_s": 1.0,
        "attempts": False,
        "attempt_body": False,
        "attempt_answer": False,
    }
    return RoutePlan(route, **{**values, **changes})


@pytest.fixture(name="plan")
def _plan() -> Callable[..., RoutePlan]:
    return make_plan


@pytest.fixture
async def start_envoy(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[EnvoyProcess]]]:
    started: list[EnvoyProcess] = []

    async def start(values: dict[str, Any], **plans: RoutePlan) -> EnvoyProcess:
        ports = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        values = {"server": {"address": f"unix:{tmp_path}/host.sock"}, "envoy": ports, **values}
        config = Config.model_validate(values)
        defaults = {route.name: make_plan(route.name, fails_open=True) for route in config.routes}
        envoy = EnvoyProcess(tmp_path, concurrency=1)
        started.append(envoy)
        await envoy.start(bootstrap(config, defaults | plans))
        return envoy

    yield start
    for envoy in started:
        await envoy.stop()
