"""Reading what Envoy delivers: the request line, the response, the call, the answer."""

from __future__ import annotations

from pipeline.api.answer import Answer
from pipeline.api.call import Call
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Request
from pipeline.api.headers import Headers
from pipeline.dialects.encoding import decoded
from pipeline.dialects.strict_json import loads_object
from pipeline.errors import InvalidCall
from pipeline.host.names import CONTROL_PREFIX
from pipeline.host.verdicts import Pairs

_NONE = b""


def read_request(pairs: Pairs) -> tuple[Request, frozenset[str]]:
    """Split Envoy's header map into the request line and the headers that plugins see.

    Returns:
        The request, and the names of control headers that the client sent: what it says under
        our prefix is left out.
    """
    pseudo: dict[str, bytes] = {}
    rest: list[tuple[str, bytes]] = []
    spoofed: frozenset[str] = frozenset()
    for pair in pairs:
        name = pair[0]
        if name[:1] == ":":
            pseudo[name] = pair[1]
        elif name[:1] == "x" and name.startswith(CONTROL_PREFIX):
            spoofed |= {name}
        else:
            rest.append(pair)
    path, _, query = pseudo.get(":path", _NONE).decode("utf-8", "surrogateescape").partition("?")
    request = Request(
        method=pseudo.get(":method", _NONE).decode("latin-1"),
        path=path,
        query=query,
        host=pseudo.get(":authority", _NONE).decode("latin-1"),
        headers=Headers(rest),
    )
    return request, spoofed


def is_call(request: Request, dialect: Dialect | None) -> bool:
    """Say whether a request is an LLM call: a POST to a dialect's path that is no form upload."""
    return (
        dialect is not None
        and request.method == "POST"
        and not request.headers.get("content-type").startswith("multipart/")
    )


def read_call(body: bytes, request: Request, dialect: Dialect, max_bytes: int) -> Call:
    """Parse and check the call in a request's body.

    Raises:
        InvalidCall: it is empty, too large, encoded wrongly, no JSON, or no call of the dialect.
    """
    if not body:
        raise InvalidCall("the request has no body", code="empty_body")
    encoding = request.headers.get("content-encoding")
    plain = decoded(body, encoding, max_bytes) if encoding else body
    document = loads_object(plain)
    dialect.check(document)
    # What is forwarded untouched is what the client sent, encoding included; a changed call is
    # plain and its content-encoding header goes.
    return Call(dialect, document, body)


def read_answer(body: bytes, encoding: str, dialect: Dialect, max_bytes: int) -> Answer | None:
    """Parse the answer in a response's body; None when it is no JSON object."""
    try:
        document = loads_object(decoded(body, encoding, max_bytes))
    except InvalidCall:
        return None
    return Answer(dialect, document, body)
