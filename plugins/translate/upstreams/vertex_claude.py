"""Claude on Vertex AI: Anthropic's bodies at Google's paths."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import Field

from pipeline.api import Backend, Call, Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.client_headers import (
    BETA_HEADER,
    VERSION_HEADER,
    asked_betas,
)
from plugins.translate.credentials.gcp import GcpOptions, gcp_credential
from plugins.translate.formats import Native, Outgoing, ProviderSpec
from plugins.translate.upstreams.anthropic import COUNT_DIALECT, ClaudeUpstream
from plugins.translate.upstreams.anthropic_native import without_others_words
from plugins.translate.upstreams.anthropic_parts import Platform
from plugins.translate.upstreams.claude_betas import ON_VERTEX, taken_betas
from plugins.translate.upstreams.vertex_hosts import base_url, home

_PLATFORM = Platform("Claude on Vertex AI", urls=False, files=False, service_tier=False)


class VertexClaudeOptions(GcpOptions):
    """What a backend of Claude on Vertex AI takes beside the common keys."""

    project: str = Field(description="Google Cloud project.")
    anthropic_version: str = Field(
        default="vertex-2023-10-16", description="Version of Anthropic's API, for the body."
    )
    anthropic_beta: tuple[str, ...] = Field(
        default=(), description="Beta features, for `anthropic-beta`."
    )


class VertexClaudeUpstream(ClaudeUpstream):
    """Claude's endpoints of one project and location.

    Args:
        options: project, location and version.
        now_s: the clock, in Unix seconds.
    """

    def __init__(
        self, options: VertexClaudeOptions, now_s: Callable[[], float] = time.time
    ) -> None:
        super().__init__(_PLATFORM, now_s)
        self._version = options.anthropic_version
        self._betas = options.anthropic_beta
        native = Native(self._wrapped, without_others_words)
        self.native: Mapping[str, Native] = {"anthropic.messages": native, COUNT_DIALECT: native}
        self._models = f"{home(options)}/publishers/anthropic/models"

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        body = self._body(call, loss)
        if call.operation == "count_tokens":
            return self._count({"model": call.model, **body})
        if call.stream:
            body["stream"] = True
        betas = self._taken(call.document.get("anthropic_beta"), loss)
        return self._message(body, call.model, betas, stream=call.stream)

    def _wrapped(self, call: Call, model: str, headers: Headers, loss: Loss) -> Outgoing:
        """Return a client's own call, its model in the path and the version in the body."""
        body = dict(call.document)
        if call.dialect.name == COUNT_DIALECT:
            return self._count({**body, "model": model})
        betas = self._taken(asked_betas(headers), loss)
        return self._message(body, model, betas, stream=call.stream)

    def _taken(self, betas: Any, loss: Loss) -> list[str]:
        return taken_betas(self._betas, betas, ON_VERTEX, loss)

    def _message(self, body: Json, model: str, betas: list[str], *, stream: bool) -> Outgoing:
        body.pop("model", None)
        verb = "streamRawPredict" if stream else "rawPredict"
        return self._outgoing(f"{quote(model, safe='@')}:{verb}", body, betas)

    def _count(self, body: Json) -> Outgoing:
        # The only endpoint that wants the model in the body, and takes no beta feature at all.
        return self._outgoing("count-tokens:rawPredict", body, [])

    def _outgoing(self, path: str, body: Json, betas: list[str]) -> Outgoing:
        document = {"anthropic_version": self._version, **body}
        headers = {BETA_HEADER: ",".join(betas)} if betas else {}
        without = frozenset({VERSION_HEADER, BETA_HEADER})
        return Outgoing(f"{self._models}/{path}", document, headers, without=without)


def _default_url(options: PluginConfig) -> str:
    return base_url(options.location if isinstance(options, GcpOptions) else "global")


def _upstream(backend: Backend) -> VertexClaudeUpstream:
    options = backend.options
    assert isinstance(options, VertexClaudeOptions)  # noqa: S101 - made from SPEC.options
    return VertexClaudeUpstream(options)


SPEC = ProviderSpec(
    name="vertex_claude",
    options=VertexClaudeOptions,
    default_url=_default_url,
    upstream=_upstream,
    credential=gcp_credential,
)
