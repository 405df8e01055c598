"""What a client adapter and an upstream format must be able to do; both are pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pipeline.api import Backend, Call, Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss, Operation
from plugins.translate.credentials.contract import Credential

Framing = Literal["sse", "aws"]
"""How a provider cuts a stream: server-sent events, or AWS's event stream."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A provider's error, whatever its format.

    Args:
        status: HTTP status for the client.
        code: stable word: the provider's own where it has one (`rate_limit_exceeded`), else ours.
        message: the provider's words for people.
        param: the field at fault, where the provider names one.
        retry_after_s: when to try again, where the provider says so other than by `Retry-After`.
    """

    status: int
    code: str
    message: str = field(repr=False)
    param: str | None = None
    retry_after_s: float | None = None


CUT_OFF = Fault(502, "upstream_stream_cut", "the provider's stream ended before its answer did")
"""What a stream ends in that breaks off."""

UNREADABLE = Fault(502, "bad_upstream_answer", "the provider's stream holds what is no JSON")
"""What a stream ends in that none of its readers could read on."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a provider is sent, credentials and vendor patches aside.

    Args:
        path: below the base URL's path, with its query if any.
        document: the JSON body.
        headers: lower-case names to values that the format needs beside content-type.
        method: HTTP method.
        beside_version: the path stands beside the base URL's `/v1`, not below it: vLLM's
            `/tokenize`.
        without: lower-case names of the client's headers that are said elsewhere, or not at all.
        tokens_in: the answer's header that counts the tokens of the call, where its body does not.
    """

    path: str
    document: Json = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    beside_version: bool = False
    without: frozenset[str] = frozenset()
    tokens_in: str = ""


@dataclass(frozen=True, slots=True)
class Native:
    """How a provider takes the calls of a dialect that it speaks itself.

    Args:
        wrap: makes the request where model, version or frames have another place than in the
            client's own: from the call, the provider's name of the model, the client's headers and
            where to say what is left out of them.
            None where the call goes on as it is, below the base URL at the client's own path.
        clean: returns a call's document without what translation put into earlier turns and this
            provider refuses, which goes to `Loss`; None where there is none of that. None itself
            for a provider that refuses nothing.
    """

    wrap: Callable[[Call, str, Headers, Loss], Outgoing] | None = None
    clean: Callable[[Mapping[str, Any], Loss], Json | None] | None = None


class StreamDecoder(Protocol):
    """Reads one provider's stream; made for one response, so it keeps state."""

    def event(self, name: str, data: str) -> Sequence[Json | Fault]:
        """Take one event and return canonical chunks; a Fault ends the stream.

        Args:
            name: SSE `event:`, or AWS's `:event-type` (`:exception-type` for an exception).
            data: its payload as text.
        """

    def end(self) -> Sequence[Json | Fault]:
        """Return what is left when the stream ends; a Fault when it ended before its answer did."""


class StreamEncoder(Protocol):
    """Writes one client's stream from canonical chunks; made for one response."""

    def chunk(self, chunk: Json) -> bytes:
        """Return the frames that a chunk becomes, perhaps none."""

    def end(self) -> bytes:
        """Return the frames that end a complete stream."""

    def fault(self, document: Json, status: int) -> bytes:
        """Return the frames that end a stream in an error.

        Args:
            document: the error as the client's dialect words it.
            status: the HTTP status that it would have had as an answer.
        """


class Client(Protocol):
    """A client's API: calls into canonical form, answers out of it.

    `dialect` is the name of the pipeline's dialect whose documents it reads and writes.
    """

    @property
    def dialect(self) -> str:
        """Name of the dialect, for instance `openai.chat`."""

    @property
    def operation(self) -> Operation:
        """What its calls ask for."""

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return a call's canonical document; what has no place in it goes to `loss`.

        Raises:
            InvalidCall: `unsupported_by_backend`: a field makes no sense without the client's own
                provider (`previous_response_id`).
        """

    def answer(self, answer: Json, call: Json) -> Json:
        """Return the client's answer document for a canonical answer.

        Args:
            answer: the canonical answer.
            call: the client's own call document.
        """

    def encoder(self, call: Json) -> StreamEncoder:
        """Return a writer of the client's stream for its call document."""


class Upstream(Protocol):
    """A provider's API format for one backend."""

    @property
    def operations(self) -> frozenset[Operation]:
        """What it can be asked for in canonical form."""

    @property
    def native(self) -> Mapping[str, Native]:
        """The dialects that it speaks itself, each with how it takes their calls."""

    @property
    def framing(self) -> Framing:
        """How it cuts streams."""

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the provider's request; what it cannot carry goes to `loss`.

        Raises:
            InvalidCall: `unsupported_by_backend`: a field can neither be carried nor left out.
        """

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer for the provider's document."""

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the provider's stream."""

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read a provider's error response, JSON or not."""


def _no_headers(_: PluginConfig, __: Headers) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """All that makes a provider; each module of `upstreams/` that serves one exports its `SPEC`.

    Args:
        name: what `provider:` in the config calls it.
        options: model of the keys that its backends take beside the common ones.
        default_url: base URL for a backend's options where the config names none; empty when it
            must.
        upstream: makes the format for a backend; `backend.options` is an instance of `options`.
        credential: makes what signs requests for a backend.
        passes_other: whether requests that are no LLM call (files, images, audio) may pass on.
        native_headers: what requests that go on as they are get beside the client's own headers:
            by a backend's options and those headers.
    """

    name: str
    options: type[PluginConfig]
    default_url: Callable[[PluginConfig], str]
    upstream: Callable[[Backend], Upstream]
    credential: Callable[[Backend], Credential]
    passes_other: bool = False
    native_headers: Callable[[PluginConfig, Headers], Mapping[str, str]] = _no_headers
