"""One worker as its supervisor sees it: its process, its state, and its restarts."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from pipeline.api.admin import AdminAnswer, AdminRequest
from pipeline.errors import ConfigError, DragomanError
from pipeline.observability.logs import get_logger
from pipeline.server.administering import LOCAL_HEADER
from pipeline.server.control import (
    MAX_LINE_BYTES,
    NoReport,
    Order,
    Report,
    read_report,
    write_order,
)
from pipeline.server.restarts import RestartPolicy

_SCRAPE_S = 1.0
State = Literal["starting", "serving", "waiting", "draining", "stopped"]


class WorkerFailed(DragomanError):
    """Raised when a worker ended, or was not ready in time, as the host was started."""


@dataclass(frozen=True, slots=True)
class Role:
    """Which worker it is.

    Args:
        index: its number.
        address: where it serves Envoy.
        admin: its own metrics, a Unix socket that is the supervisor's business alone.
        config: the config file, for messages and for what is relative to it.
        unhealthy_s: how long it is out of rotation before it refuses streams.
        models: address of the process that has the models for all workers, if there is one.
    """

    index: int
    address: str
    admin: Path
    config: Path
    unhealthy_s: float
    models: str | None = None

    @property
    def command(self) -> list[str]:
        """The command that starts it; -P, or the folder we are in could shadow a module."""
        return [
            *(sys.executable, "-P", "-m", "pipeline.server.worker", str(self.config)),
            *("--index", str(self.index), "--admin", f"unix:{self.admin}"),
            *("--unhealthy-s", str(self.unhealthy_s)),
            *(("--models", self.models) if self.models is not None else ()),
        ]


class Worker:
    """Keeps one worker alive.

    Args:
        role: which it is.
        policy: when it is started again.
        ended: called with the number of a worker whose process ended.
        order: the config that it starts with.
    """

    def __init__(
        self, role: Role, policy: RestartPolicy, ended: Callable[[int], None], order: Order
    ) -> None:
        self.role = role
        self.order = order
        self.state: State = "starting"
        self.restarts = 0
        self._policy = policy
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._attempts = 0
        self._generation = 0
        self._talking = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def keep(self, ready: asyncio.Future[None]) -> None:
        """Start it, and again whenever it ends, until it is told to stop.

        Args:
            ready: done when it serves for the first time, or with why it never will.
        """
        while not self._is_stopping:
            self.state = "starting"
            self._policy.started()
            try:
                report = await self._start()
            except OSError as error:
                if not ready.done():
                    raise
                await self._pause(None, error.errno or 0)
                continue
            if report is not None and report.address and not self._is_stopping:
                self.state = "serving"
                if not ready.done():
                    ready.set_result(None)
                await self.catch_up()
            status = await self._wait()
            if self._is_stopping:
                break
            if not ready.done():
                ready.set_exception(self._failure(report, status))
                break
            await self._pause(report, status)
        self.state = "stopped"

    def terminate(self) -> None:
        """Let it drain, and start it no more."""
        self._is_stopping = True
        self.state = "draining"
        if self.pid is not None and self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it now, and start it no more."""
        self._is_stopping = True
        if self.pid is not None and self._process is not None:
            self._process.kill()

    async def prepare(self, order: Order) -> Report | None:
        """Have it start the plugins of a config; None if it ended, or does not serve yet."""
        async with self._talking:
            return await self._ask(replace(order, do="prepare"))

    async def commit(self, order: Order) -> None:
        """Have it serve with the config that it has prepared."""
        async with self._talking:
            if await self._ask(replace(order, do="commit")) is not None:
                self._generation = order.generation

    def abort(self, order: Order) -> None:
        """Have it drop the config that it has prepared."""
        if self.state == "serving" and self.pid is not None:
            write_order(self._line, replace(order, do="abort"))

    def follow(self) -> None:
        """Tell it that Envoy has followed the config that holds."""
        self.order = replace(self.order, is_told=False)
        if self.state == "serving" and self.pid is not None:
            write_order(self._line, replace(self.order, do="follow"))

    async def catch_up(self) -> None:
        """Bring it to the config that holds, if it started with an older one.

        One that cannot follow where all others could is killed, and starts with that config.
        """
        async with self._talking:
            while self.state == "serving" and self._generation != self.order.generation:
                order = self.order
                report = await self._ask(replace(order, do="prepare"))
                if report is None or report.problems:
                    if self.pid is not None and self._process is not None:
                        self._process.kill()
                    return
                if await self._ask(replace(order, do="commit")) is not None:
                    self._generation = order.generation

    async def metrics(self) -> tuple[int, str] | None:
        """Return what it counts, with the process that counted; None if it gives no answer."""
        pid = self.pid
        text = await self._get("/metrics")
        return (pid, text.decode()) if text is not None and pid and self.pid == pid else None

    async def exchange(self, exchange_id: str, token: str) -> bytes | None:
        """Return an exchange that it remembers, as JSON; None if it does not."""
        path = f"/exchanges/{quote(exchange_id, safe='')}"
        return await self._get(path, {"authorization": f"Bearer {token}"})

    async def administer(
        self, instance: str, request: AdminRequest, token: str, within_s: float
    ) -> AdminAnswer | None:
        """Return what a plugin instance of it answers an operator; None if it gives no answer."""
        path = f"/plugins/{quote(instance, safe='')}/{quote(request.path)}"
        if request.query:
            path += f"?{urlencode(request.query)}"
        answer = await self._request(
            request.method, path, {"authorization": f"Bearer {token}"}, request.body, within_s
        )
        if answer is None:
            return None
        status, headers, body = answer
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):  # nothing of ours
            return None
        return AdminAnswer(status, document, is_local=LOCAL_HEADER in headers)

    async def _get(self, path: str, headers: Mapping[str, str] | None = None) -> bytes | None:
        answer = await self._request("GET", path, headers or {}, b"", _SCRAPE_S)
        return answer[2] if answer is not None and answer[0] < 400 else None

    async def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, within_s: float
    ) -> tuple[int, Mapping[str, str], bytes] | None:
        """Return status, headers and body of its admin server's answer, if it gives any."""
        if self.state not in {"serving", "draining"} or self.pid is None:
            return None
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(str(self.role.admin)),
                    timeout=aiohttp.ClientTimeout(total=within_s),
                ) as session,
                session.request(
                    method,
                    URL(f"http://worker{path}", encoded=True),
                    headers=headers,
                    data=body or None,
                ) as answer,
            ):
                return answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _start(self) -> Report | None:
        self.role.admin.unlink(missing_ok=True)
        ours, theirs = socket.socketpair()
        # A session of its own: Ctrl-C reaches the supervisor alone, which says what to do.
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.role.command, stdin=theirs.fileno(), start_new_session=True
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._reader, self._line = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        write_order(self._line, self.order)
        self._generation = self.order.generation
        return await self._hear()

    async def _hear(self) -> Report | None:
        """Wait for its report; None if it ended, as it is made to where it talks nonsense."""
        try:
            return await read_report(self._reader)
        except NoReport:
            if self.pid is not None and self._process is not None:
                self._process.kill()
            return None

    async def _ask(self, order: Order) -> Report | None:
        if self.state != "serving" or self.pid is None:
            return None
        self._attempts += 1
        attempt = self._attempts
        write_order(self._line, replace(order, attempt=attempt))
        # Of an attempt that was given up there may still be a report.
        while (report := await self._hear()) is not None:
            if report.attempt == attempt:
                return report
        return None

    async def _wait(self) -> int:
        assert self._process is not None  # noqa: S101 - started before
        try:
            return await self._process.wait()
        finally:
            self._line.close()
            self._ended(self.role.index)

    def _failure(self, report: Report | None, status: int) -> DragomanError:
        if report is not None and report.problems:
            return ConfigError(*report.problems)
        return WorkerFailed(f"worker {self.role.index} ended with status {status} as it started")

    async def _pause(self, report: Report | None, status: int) -> None:
        self.state = "waiting"
        self.restarts += 1
        pause_s = self._policy.ended()
        problems = [str(problem) for problem in report.problems] if report is not None else []
        get_logger().error(
            "worker ended",
            worker=self.role.index,
            status=status,
            problems=problems,
            restart_in_s=round(pause_s, 2),
        )
        await asyncio.sleep(pause_s)
