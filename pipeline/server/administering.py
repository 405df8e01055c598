"""Plugins' own pages of the admin server: `/plugins/{instance}/…`, for whoever has the token."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.api.admin import AdminAnswer, AdminRequest
from pipeline.api.plugin import Plugin
from pipeline.api.signals import Signals
from pipeline.observability.logs import get_logger
from pipeline.server.bearer import Bearer

if TYPE_CHECKING:
    from pipeline.host.runtime import Runtime

PATH = "/plugins/{instance}/{path:.*}"
LOCAL_HEADER = "x-dragoman-local"
"""On an answer that tells of one process alone: the supervisor asks the other workers too."""

MAX_BODY_BYTES = 2**20
WITHIN_S = 10.0
"""How long a plugin has."""

Ask = Callable[[str, AdminRequest], Awaitable[AdminAnswer]]


class PluginPages:
    """Serves `/plugins/{instance}/{path}`.

    Args:
        bearer: asks for the token.
        ask: has an instance, given by name, answer; it does not raise.
    """

    def __init__(self, bearer: Bearer, ask: Ask) -> None:
        self._bearer = bearer
        self._ask = ask

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        refusal = self._bearer.refusal(request)
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(WITHIN_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _sent(fault(413, f"a body has at most {MAX_BODY_BYTES} bytes"))
        except TimeoutError:
            return _sent(fault(408, f"the body has not come within {WITHIN_S:g} s"))
        path, query = request.match_info["path"], dict(request.query.items())
        asked = AdminRequest(request.method, path, query, body)
        return _sent(await self._ask(request.match_info["instance"], asked))


def fault(status: int, message: str, **more: Any) -> AdminAnswer:
    """Return an error as operators get it."""
    return AdminAnswer(status, {"error": message, **more})


async def administered(runtime: Runtime, instance: str, request: AdminRequest) -> AdminAnswer:
    """Have an instance of this process answer an operator.

    Args:
        runtime: the compiled config.
        instance: name of the instance.
        request: what is asked.
    """
    found = runtime.instances.get(instance)
    if found is None:
        return fault(404, f"there is no plugin instance {instance!r}")
    signals = Signals(runtime.signals, runtime.reader, time.monotonic() + WITHIN_S)
    asked = replace(request, dialects=dict(runtime.dialects.items()), signals=signals)
    try:
        return await _answered(found.plugin, instance, asked)
    finally:
        signals.cancel()


async def _answered(plugin: Plugin[Any], instance: str, request: AdminRequest) -> AdminAnswer:
    try:
        async with asyncio.timeout(WITHIN_S):
            answer = await plugin.administer(request)
    except TimeoutError:
        return fault(504, f"the plugin has not answered within {WITHIN_S:g} s")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
        # The kind alone: a message may quote what somebody asked.
        kind = type(error).__name__
        get_logger().warning("a plugin failed to answer an operator", instance=instance, kind=kind)
        return fault(500, f"the plugin failed: {kind}")
    if answer is None:
        return fault(404, f"plugin {instance!r} has nothing at this path for {request.method}")
    if not _is_fit(answer):
        return fault(500, "the plugin's answer is no AdminAnswer with a JSON object")
    return answer


def _is_fit(answer: object) -> bool:
    if not isinstance(answer, AdminAnswer) or not isinstance(answer.document, Mapping):
        return False
    try:
        _encoded(answer)
    except (TypeError, ValueError, RecursionError):
        return False
    return type(answer.status) is int and 200 <= answer.status <= 599


def _sent(answer: AdminAnswer) -> web.Response:
    headers = {"cache-control": "no-store", **({LOCAL_HEADER: "1"} if answer.is_local else {})}
    return web.Response(
        status=answer.status,
        body=_encoded(answer),
        content_type="application/json",
        headers=headers,
    )


def _encoded(answer: AdminAnswer) -> bytes:
    return json.dumps(dict(answer.document), allow_nan=False, ensure_ascii=False).encode()
