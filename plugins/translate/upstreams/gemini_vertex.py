"""Gemini on Vertex AI: a project's models, its endpoints, and express mode with a key alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

from pipeline.api import Backend, PluginConfig
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.credentials.contract import Credential
from plugins.translate.credentials.gcp import GcpOptions
from plugins.translate.formats import Outgoing, ProviderSpec
from plugins.translate.upstreams.gemini import (
    ContentOptions,
    ContentUpstream,
    counted_body,
    platform_of,
    verb,
)
from plugins.translate.upstreams.gemini_embedding import vertex_body
from plugins.translate.upstreams.gemini_request import content_body
from plugins.translate.upstreams.vertex_hosts import base_url, home


class VertexGeminiOptions(GcpOptions, ContentOptions):
    """What a backend of Gemini on Vertex AI takes; without a project it is in express mode."""


class VertexGeminiUpstream(ContentUpstream):
    """The models of one project and location.

    Args:
        options: project, location, safety settings and cached content.
        now_s: the clock, in Unix seconds.
    """

    def __init__(
        self, options: VertexGeminiOptions, now_s: Callable[[], float] = time.time
    ) -> None:
        super().__init__(platform_of(options, labels=True, excludes_domains=True), now_s)
        self._home = home(options) if options.project else ""

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        path = self._path(call.model)
        if call.operation == "embedding":
            name, document = vertex_body(call, loss)
            return Outgoing(f"{path}:{name}", document)
        body = content_body(call, loss, self._platform)
        if call.operation == "count_tokens":
            return Outgoing(f"{path}:countTokens", counted_body(body))
        return Outgoing(path + verb(stream=call.stream), body)

    def _path(self, model: str) -> str:
        name = quote(model, safe="/@")
        if model.startswith("projects/"):
            return f"/{name}"
        if model.startswith(("publishers/", "endpoints/")):  # another publisher's, or a tuned one
            return f"{self._home}/{name}"
        return f"{self._home}/publishers/google/models/{name}"


def _default_url(options: PluginConfig) -> str:
    if isinstance(options, GcpOptions) and options.project:
        return base_url(options.location)
    return base_url("global")


def _upstream(backend: Backend) -> VertexGeminiUpstream:
    options = backend.options
    assert isinstance(options, VertexGeminiOptions)  # noqa: S101 - made from SPEC.options
    return VertexGeminiUpstream(options)


def _credential(backend: Backend) -> Credential:
    from plugins.translate.credentials.gcp import gcp_credential  # noqa: PLC0415 - google.auth

    return gcp_credential(backend)


SPEC = ProviderSpec(
    name="vertex_gemini",
    options=VertexGeminiOptions,
    default_url=_default_url,
    upstream=_upstream,
    credential=_credential,
)
