"""One HTTP exchange as plugins see it: read-only, one object from the first header to the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.api.answer import Answer
from pipeline.api.headers import Headers

if TYPE_CHECKING:
    from pipeline.api.call import Call
    from pipeline.api.dialect import Dialect
    from pipeline.api.plugin import Plugin
    from pipeline.api.signals import Signals


@dataclass(frozen=True, slots=True)
class Request:
    """The HTTP request without its body.

    Args:
        method: upper-case method.
        path: the path without the query.
        query: what follows `?`, else empty.
        host: the authority.
        headers: all headers but the pseudo-headers; lower-case.
    """

    method: str
    path: str
    query: str = field(repr=False)  # some APIs take a key there
    host: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP response as far as it has come.

    Args:
        status: HTTP status.
        headers: lower-case.
        via_upstream: False for an answer that Envoy or a plugin made; only an answer that came
            from a provider may be stored or trusted as one.
        answer: the whole answer, folded when it was streamed; None before it is complete and
            for a body that is no answer of the dialect.
        streamed: whether it came as a stream of events.
    """

    status: int
    headers: Headers
    via_upstream: bool
    answer: Answer | None = None
    streamed: bool = False


class Exchange:
    """One HTTP exchange, read-only for plugins: they return decisions, the host applies them.

    Args:
        id: the request id (`x-request-id`), the same in logs and spans.
        route: name of the route in the config.
        tenant: who pays: a trusted header's value or a hash of the credential; None if unknown.
        request: the request as it stands after the edits so far.
        dialect: the client API format, or None when this is no LLM call.
        deadline_s: monotonic time by which the chain must have decided.
        signals: named facts, each computed at most once.

    Beside these it has `call` and `response`, each None until it has come, and `backend`, the name
    of the one that the call went to; None before that, and where a route has several.
    """

    __slots__ = (
        "_states",
        "backend",
        "call",
        "deadline_s",
        "dialect",
        "id",
        "request",
        "response",
        "route",
        "signals",
        "tenant",
    )

    id: str
    route: str
    tenant: str | None
    request: Request
    call: Call | None
    response: Response | None
    backend: str | None
    dialect: Dialect | None
    deadline_s: float
    signals: Signals

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        route: str,
        tenant: str | None,
        request: Request,
        dialect: Dialect | None,
        deadline_s: float,
        signals: Signals,
    ) -> None:
        put = object.__setattr__
        put(self, "id", id)
        put(self, "route", route)
        put(self, "tenant", tenant)
        put(self, "request", request)
        put(self, "dialect", dialect)
        put(self, "deadline_s", deadline_s)
        put(self, "signals", signals)
        put(self, "call", None)
        put(self, "response", None)
        put(self, "backend", None)
        put(self, "_states", {})

    def state(self, plugin: Plugin[Any]) -> dict[str, Any]:
        """Return the plugin instance's own notes on this exchange, empty at first."""
        states: dict[int, dict[str, Any]] = self._states  # type: ignore[attr-defined]
        return states.setdefault(id(plugin), {})

    def answer(self, text: str, *, model: str = "", created_s: int = 0) -> Answer:
        """Compose an answer saying `text` in the client's API format, for a `Reply`.

        Raises:
            ValueError: this exchange is no LLM call.
        """
        if self.dialect is None:
            raise ValueError("an exchange that is no LLM call has no answer format")
        asked = self.call.model if self.call is not None else ""
        document = self.dialect.compose(
            text, model=model or asked, id=f"dragoman-{self.id}", created_s=created_s
        )
        return Answer(self.dialect, document)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an exchange is read-only: return a decision instead of {name} = …")

    def __repr__(self) -> str:
        return f"Exchange(id={self.id!r}, route={self.route!r})"


def advance(exchange: Exchange, **changes: object) -> None:
    """Move an exchange on. For the host alone: it is no part of what plugins may import."""
    for name, value in changes.items():
        object.__setattr__(exchange, name, value)
