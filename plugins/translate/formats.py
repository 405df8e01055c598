"""What a client adapter and an upstream format must be able to do; both are pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

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
    """

    path: str
    document: Json = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    beside_version: bool = False


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

    def fault(self, fault: Fault) -> bytes:
        """Return the frames that end a stream in an error."""


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
    def native(self) -> frozenset[str]:
        """Names of the dialects that it speaks itself: `native_request` serves them."""

    @property
    def framing(self) -> Framing:
        """How it cuts streams."""

    @property
    def rewrites_native(self) -> bool:
        """Whether native calls need `native_request`; else only model, path and credential change.

        Where they don't, they go below the base URL at the client's own path.
        """

    def native_request(self, call: Call, model: str) -> Outgoing:
        """Return the request for a native call; only what must differ does."""

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
    """

    name: str
    options: type[PluginConfig]
    default_url: Callable[[PluginConfig], str]
    upstream: Callable[[Backend], Upstream]
    credential: Callable[[Backend], Credential]
    passes_other: bool = False
