"""One request through the phases of a session, verdict by verdict, below the level of a stream.

    runtime = runtime_of("plugins: …")
    verdict = await ask(runtime, {"model": "m", "messages": [...]})
    assert forwarded(verdict)["messages"] == ...

`ask` drives the request alone. For the response side take a session and go on with it:

    session = session_of(runtime)
    await ask(runtime, body, session=session)
    await session.response_headers(SSE_RESPONSE, ends=False, attributes=VIA_UPSTREAM)
    emit = await session.response_events(frames_of(stream), ended=True)
    await session.complete(cancelled=False)

Nobody calls `startup`: a plugin that has it wants `await runtime.startup()` first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.api.sse import Frame, FrameDecoder
from pipeline.host.runtime import Runtime
from pipeline.host.session import RouterSession
from pipeline.host.verdicts import Finish, Pairs, Proceed
from pipeline.testing.host import session_of

JSON_RESPONSE: Pairs = ((":status", b"200"), ("content-type", b"application/json"))
SSE_RESPONSE: Pairs = ((":status", b"200"), ("content-type", b"text/event-stream"))


async def ask(
    runtime: Runtime,
    body: Mapping[str, Any] | bytes,
    *,
    path: str = "/v1/chat/completions",
    headers: Sequence[tuple[str, str | bytes]] = (),
    session: RouterSession | None = None,
) -> Proceed | Finish:
    """Send a POST through the request phases and return the last verdict.

    Args:
        runtime: the compiled config.
        body: a JSON object, or bytes as they are.
        path: chooses the route and the dialect.
        headers: beside the pseudo-headers and the content type; lower-case names.
        session: one to go on with afterwards; a fresh one if None.
    """
    session = session or session_of(runtime)
    encoded = tuple((k, v.encode() if isinstance(v, str) else v) for k, v in headers)
    pairs: Pairs = (
        (":method", b"POST"),
        (":path", path.encode()),
        (":authority", b"gateway.test"),
        ("content-type", b"application/json"),
        *encoded,
    )
    verdict = await session.request_headers(pairs, ends=False, attributes={})
    if isinstance(verdict, Finish) or verdict.wish == "skip":
        return verdict
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await session.request_body(raw)


def forwarded(verdict: Proceed | Finish) -> dict[str, Any]:
    """Return the changed call that goes upstream; an untouched one has no body to look at."""
    if not isinstance(verdict, Proceed):
        raise AssertionError(error_of(verdict))  # noqa: TRY004 - it is a test's
    if verdict.body is None:
        raise AssertionError("the call was forwarded untouched")
    document: dict[str, Any] = json.loads(verdict.body)
    return document


def error_of(verdict: Proceed | Finish) -> dict[str, Any]:
    """Return the error that the client gets, `status` beside `code` and `message`."""
    if not isinstance(verdict, Finish):
        raise AssertionError("the call was not refused")  # noqa: TRY004 - it is a test's
    fault: dict[str, Any] = json.loads(verdict.body)["error"]
    return {**fault, "status": verdict.status}


def frames_of(stream: bytes) -> list[Frame]:
    """Cut the bytes of a stream into frames."""
    return FrameDecoder(2**20).feed(stream)
