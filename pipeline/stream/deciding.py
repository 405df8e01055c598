"""Putting what a stream asks to the handler that decides for it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.host.verdicts import Emit, Finish, Handler, Proceed
from pipeline.stream.messages import Ask, AskBody, AskEvents, AskFault, Headers


async def decide(
    handler: Handler, ask: Ask, attributes: Mapping[str, str]
) -> Proceed | Finish | Emit:
    """Return the handler's decision on a question.

    Args:
        handler: decides.
        ask: the question.
        attributes: Envoy's attributes that came with the message which raised it.
    """
    match ask:
        case Headers(side="request", pairs=pairs, ends=ends):
            return await handler.request_headers(pairs, ends=ends, attributes=attributes)
        case Headers(pairs=pairs, ends=ends):
            return await handler.response_headers(pairs, ends=ends, attributes=attributes)
        case AskBody(side="request", body=body):
            return await handler.request_body(body)
        case AskBody(body=body):
            return await handler.response_body(body)
        case AskEvents(frames=frames, ended=ended):
            return await handler.response_events(frames, ended=ended)
        case AskFault(status=status, code=code, message=message, in_stream=True):
            return handler.fault_in_stream(status=status, code=code, message=message)
        case AskFault(status=status, code=code, message=message):
            return handler.fault(status=status, code=code, message=message)
