"""Claude on Vertex AI: Anthropic's bodies at Google's paths."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from pydantic import Field

from pipeline.api import Backend, Call, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.credentials.gcp import GcpOptions, gcp_credential
from plugins.translate.formats import Outgoing, ProviderSpec
from plugins.translate.upstreams.anthropic import COUNT_DIALECT, ClaudeUpstream
from plugins.translate.upstreams.anthropic_parts import Platform

_PLATFORM = Platform("Claude on Vertex AI", urls=False, files=False, service_tier=False)
_MULTI_REGIONS = ("us", "eu")


class VertexClaudeOptions(GcpOptions):
    """What a backend of Claude on Vertex AI takes beside the common keys."""

    project: str = Field(description="Google Cloud project.")
    anthropic_version: str = Field(
        default="vertex-2023-10-16", description="Version of Anthropic's API, for the body."
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
        project, location = quote(options.project, safe=":"), quote(options.location, safe="")
        self._models = f"/projects/{project}/locations/{location}/publishers/anthropic/models"

    def native_request(self, call: Call, model: str) -> Outgoing:
        """Return the call with its model in the path and the version in the body."""
        if call.dialect.name == COUNT_DIALECT:
            return self._count({**call.document, "model": model})
        return self._message(dict(call.document), model, stream=call.stream)

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        body = self._body(call, loss)
        if call.operation == "count_tokens":
            return self._count({"model": call.model, **body})
        if call.stream:
            body["stream"] = True
        return self._message(body, call.model, stream=call.stream)

    def _message(self, body: Json, model: str, *, stream: bool) -> Outgoing:
        body.pop("model", None)
        verb = "streamRawPredict" if stream else "rawPredict"
        document: dict[str, Any] = {"anthropic_version": self._version, **body}
        return Outgoing(f"{self._models}/{quote(model, safe='@')}:{verb}", document)

    def _count(self, body: Json) -> Outgoing:
        # The only endpoint that wants the model in the body.
        document = {"anthropic_version": self._version, **body}
        return Outgoing(f"{self._models}/count-tokens:rawPredict", document)


def _default_url(options: PluginConfig) -> str:
    location = options.location if isinstance(options, VertexClaudeOptions) else "global"
    if location == "global":
        return "https://aiplatform.googleapis.com/v1"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com/v1"
    return f"https://{location}-aiplatform.googleapis.com/v1"


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
