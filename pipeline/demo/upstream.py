"""The demo upstream's server: OpenAI's API and Anthropic's messages over HTTP, with no model."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from pipeline.api import Event, InvalidCall
from pipeline.demo.replies import reply
from pipeline.demo.streams import events
from pipeline.dialects.registry import builtin
from pipeline.dialects.strict_json import dumps, loads_object

MODELS = ("demo-small", "demo-large", "demo-embedding")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OnRequest = Callable[[str, str, Mapping[str, str], bytes], None]

_MAX_BODY_BYTES = 64 * 1024 * 1024
_SHUTDOWN_S = 1.0
_CODES = {404: "not_found", 405: "method_not_allowed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How the demo upstream behaves.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 for any free one.
        path: a Unix socket to listen on instead.
        models: what `GET /v1/models` lists; any other name is answered all the same.
        pace_s: seconds between two events of a stream.
        words_per_event: how many words one event of a stream adds.
        require_key: answer 401 to a request without a key (any key will do).
        fail_status: answer every request with this error status.
        on_request: told of every request: method, path with query, headers, body.
        now_s: the clock, as seconds since the epoch.
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    models: tuple[str, ...] = MODELS
    pace_s: float = 0.0
    words_per_event: int = 1
    require_key: bool = False
    fail_status: int | None = None
    on_request: OnRequest | None = None
    now_s: Callable[[], float] = time.time


@asynccontextmanager
async def serve(settings: DemoSettings) -> AsyncIterator[int]:
    """Serve until the block ends; gives the port, 0 on a Unix socket."""
    runner = web.AppRunner(
        make_app(settings),
        access_log=None,
        handler_cancellation=True,  # a client that leaves ends its stream
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    try:
        if settings.path is not None:
            await web.UnixSite(runner, settings.path).start()
            yield 0
        else:
            await web.TCPSite(runner, settings.host, settings.port).start()
            yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def make_app(settings: DemoSettings) -> web.Application:
    """Return the aiohttp application."""
    upstream = _Upstream(settings)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[upstream.guard])
    for path in upstream.dialects:
        app.router.add_post(path, upstream.answer)
    app.router.add_get("/v1/models", upstream.list_models)
    app.router.add_get("/v1/models/{id:.+}", upstream.show_model)
    return app


class _Upstream:
    def __init__(self, settings: DemoSettings) -> None:
        self.settings = settings
        known = builtin()
        dialects = [dialect for name in known.names if (dialect := known.by_name(name))]
        self.dialects = {path: dialect for dialect in dialects for path in dialect.paths}
        self._ids = itertools.count(1)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what the settings say about every request, and shape every failure."""
        settings = self.settings
        try:
            body = await request.read()
            if settings.on_request is not None:
                settings.on_request(request.method, request.raw_path, request.headers, body)
            if settings.fail_status is not None:
                return self._error(request, settings.fail_status, "demo_failure", "told to fail")
            if settings.require_key and not _has_key(request):
                return self._error(request, 401, "invalid_api_key", "the request has no API key")
            return await handler(request)
        except InvalidCall as fault:
            return self._error(request, fault.status, fault.code, fault.message, fault.param)
        except web.HTTPException as fault:
            code = _CODES.get(fault.status, "invalid_request")
            return self._error(request, fault.status, code, fault.reason)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer an LLM call, whole or as a stream."""
        dialect = self.dialects[request.path]
        call = loads_object(await request.read())
        dialect.check(call)
        number, now_s = next(self._ids), int(self.settings.now_s())
        document = reply(dialect, call, id=f"demo-{number}", created_s=now_s)
        if call.get("stream") is not True:
            return _json(document)
        options = call.get("stream_options")
        return await self._stream(
            request,
            events(
                dialect,
                document,
                words_per_event=self.settings.words_per_event,
                include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            ),
        )

    async def _stream(self, request: web.Request, stream: Iterable[Event]) -> web.StreamResponse:
        headers = {"content-type": "text/event-stream", "cache-control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for position, event in enumerate(stream):
            if position and self.settings.pace_s:
                await asyncio.sleep(self.settings.pace_s)
            await response.write(event.raw)
        await response.write_eof()
        return response

    async def list_models(self, _: web.Request) -> web.Response:
        """List the models."""
        return _json({"object": "list", "data": [_model(name) for name in self.settings.models]})

    async def show_model(self, request: web.Request) -> web.Response:
        """Show one model."""
        name = request.match_info["id"]
        if name not in self.settings.models:
            return self._error(request, 404, "model_not_found", "there is no such model", "model")
        return _json(_model(name))

    def _error(
        self, request: web.Request, status: int, code: str, message: str, param: str | None = None
    ) -> web.Response:
        dialect = self.dialects.get(request.path, self.dialects["/v1/chat/completions"])
        document = dialect.error(status=status, code=code, message=message, param=param)
        return _json(document, status)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "demo"}


def _has_key(request: web.Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return bool(bearer or request.headers.get("x-api-key", "").strip())


def _json(document: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=dumps(document), status=status, content_type="application/json")
