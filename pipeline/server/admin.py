"""The HTTP server for operators: metrics, health, and more for whoever has a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from pipeline.config.quantities import split_address
from pipeline.server import administering
from pipeline.server import exchanges as kept


class Admin:
    """Serves `/metrics`, `/health/live`, `/health/ready`; exchanges and plugins' pages by a token.

    Args:
        address: `host:port`, or `unix:/path`; port 0 takes a free one.
        metrics: gives the Prometheus exposition.
        readiness: gives whether the process is ready, and why not or since what.
        refresh: done before metrics are given, where they are other processes'.
        exchanges: tells of past exchanges; nothing does if absent.
        plugins: serves plugins' pages; nothing does if absent.
    """

    def __init__(
        self,
        address: str,
        metrics: Callable[[], bytes],
        readiness: Callable[[], tuple[bool, dict[str, object]]],
        refresh: Callable[[], Awaitable[None]] | None = None,
        exchanges: kept.Exchanges | None = None,
        plugins: administering.PluginPages | None = None,
    ) -> None:
        self._address = address
        self._metrics = metrics
        self._readiness = readiness
        self._refresh = refresh
        self._exchanges = exchanges
        self._plugins = plugins
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen and return the address.

        Raises:
            OSError: it is taken.
        """
        app = web.Application(client_max_size=administering.MAX_BODY_BYTES)
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/health/live", self._get_live)
        app.router.add_get("/health/ready", self._get_ready)
        if self._exchanges is not None:
            app.router.add_get(kept.PATH, self._exchanges.answer)
        if self._plugins is not None:
            app.router.add_route("*", administering.PATH, self._plugins.answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        path = self._address.removeprefix("unix:")
        is_unix = path != self._address
        try:
            if is_unix:
                await web.UnixSite(self._runner, path).start()
            else:
                await web.TCPSite(self._runner, *split_address(self._address)).start()
        except OSError:
            await self._runner.cleanup()
            raise
        if is_unix:
            return self._address
        host, port = self._runner.addresses[0][:2]
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_metrics(self, _: web.Request) -> web.Response:
        if self._refresh is not None:
            await self._refresh()
        return web.Response(
            body=self._metrics(),
            headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _get_live(self, _: web.Request) -> web.Response:
        # That this is answered at all says that the event loop turns.
        return web.json_response({"live": True})

    async def _get_ready(self, _: web.Request) -> web.Response:
        ready, detail = self._readiness()
        return web.json_response({"ready": ready, **detail}, status=200 if ready else 503)
