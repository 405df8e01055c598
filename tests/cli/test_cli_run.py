"""`dragoman run` as a process, with a script in the place of Envoy."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

CONFIG = """\
server: {address: "unix:ext_proc.sock", admin: "127.0.0.1:0"}
envoy: {listen: "127.0.0.1:0", admin: "127.0.0.1:0"}
routes: [{name: none}]
"""


@pytest.fixture
def run(tmp_path):
    async def start(envoy, config=CONFIG):
        (tmp_path / "dragoman.yaml").write_text(config)
        (tmp_path / "temporary").mkdir()
        script = tmp_path / "envoy"
        script.write_text(f"#!/bin/sh\n{envoy}\n")
        script.chmod(0o755)
        environment = {"DRAGOMAN_ENVOY": str(script), "TMPDIR": str(tmp_path / "temporary")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from pipeline.cli.main import run; run()", "run"),
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    return start


async def test_a_signal_while_envoy_starts_leaves_nothing_behind(run, tmp_path):
    process = await run("echo $$ > pid.new; mv pid.new pid; exec sleep 60")
    while not (tmp_path / "pid").exists():
        assert process.returncode is None
        await asyncio.sleep(0.01)

    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_a_second_signal_ends_everything_at_once(run, tmp_path):
    stubborn = "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done"
    process = await run(stubborn)
    while not (tmp_path / "pid").exists():
        assert process.returncode is None
        await asyncio.sleep(0.01)
    envoy = int((tmp_path / "pid").read_text())

    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.05)
    assert process.returncode is None
    process.send_signal(signal.SIGINT)

    async with asyncio.timeout(3):  # Envoy alone has 5 s where it is asked once
        assert await process.wait() == 1
        while is_alive(envoy):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)


def is_alive(pid):
    try:
        # A process that nobody waits for any more is there until it is reaped.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_a_hang_up_reloads_and_ends_nothing(run, tmp_path):
    process = await run("echo $$ > pid.new; mv pid.new pid; exec sleep 60")
    while not (tmp_path / "pid").exists():
        assert process.returncode is None
        await asyncio.sleep(0.01)

    process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(10):
        while b"config unchanged" not in await process.stderr.readline():
            assert not process.stderr.at_eof()
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert process.returncode == 0


async def test_an_envoy_that_ends_is_a_failure(run, tmp_path):
    process = await run("exit 3")

    _, errors = await process.communicate()

    assert process.returncode == 1
    assert b"Envoy ended with status 3" in errors
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_a_provider_that_knows_its_url_needs_none_in_the_config(run, tmp_path):
    backend = "backends: {first: {provider: openai, api_key: k}}\n"
    process = await run(
        "printf '%s' \"$*\" > said.new; mv said.new said; exec sleep 60",
        CONFIG.replace("{name: none}", "{name: chat, backends: [first]}") + backend,
    )
    while not (tmp_path / "said").exists():
        assert process.returncode is None, await process.stderr.read()
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
