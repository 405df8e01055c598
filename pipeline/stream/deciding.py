"""Putting what a stream asks to the handler that decides for it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.host.verdicts import Emit, Finish, Handler, Proceed
from pipeline.stream.messages import Ask, AskBody, AskBytes, AskEvents, AskFault, Headers


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
        case AskEvents():
            return await handler.response_events(ask.frames, ended=ask.ended)
        case AskBytes():
            return await handler.response_bytes(ask.data, ended=ask.ended)
        case Headers():
            is_request = ask.side == "request"
            on_headers = handler.request_headers if is_request else handler.response_headers
            return await on_headers(ask.pairs, ends=ask.ends, attributes=attributes)
        case AskBody():
            on_body = handler.request_body if ask.side == "request" else handler.response_body
            return await on_body(ask.body)
        case AskFault():
            word = handler.fault_in_stream if ask.in_stream else handler.fault
            return word(status=ask.status, code=ask.code, message=ask.message)
