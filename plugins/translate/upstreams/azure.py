"""Azure OpenAI: OpenAI's format under Azure's two kinds of paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from pydantic import Field

from pipeline.api import Backend, Call, Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.credentials.azure import AzureOptions, azure_credential
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.openai import OpenAIUpstream
from plugins.translate.upstreams.quirks import OPENAI

_V1 = "/openai/v1"
_PATHS = {
    "openai.chat": "/chat/completions",
    "openai.completions": "/completions",
    "openai.embeddings": "/embeddings",
    "openai.responses": "/responses",
    "openai.input_tokens": "/responses/input_tokens",
}
_RESPONSES = ("/responses", "/responses/input_tokens")
_QUIRKS = replace(OPENAI, operations=OPENAI.operations - {"rerank"})
# The dated API has no count.
_DATED_QUIRKS = replace(
    _QUIRKS,
    operations=_QUIRKS.operations - {"count_tokens"},
    native=_QUIRKS.native - {"openai.input_tokens"},
)


class AzureOpenAIOptions(AzureOptions):
    """What a backend of Azure OpenAI takes beside the common keys."""

    resource: str = Field(
        default="", description="Name of the resource, where the backend names no URL."
    )
    api_version: str = Field(
        default="",
        description="Version of the dated API (`2024-10-21`), which has a path for each "
        "deployment; the v1 API if absent, which takes `preview`. Requests that are no LLM call "
        "(files, audio) reach the v1 API only.",
    )


class AzureUpstream:
    """OpenAI's format at Azure's paths; a model is the name of a deployment.

    Args:
        options: which API.
        base: the base URL's path.
    """

    framing: Framing = "sse"

    def __init__(self, options: AzureOpenAIOptions, base: str) -> None:
        self._version = options.api_version
        self._is_dated = self._version not in ("", "v1", "preview")
        self._openai = OpenAIUpstream(_DATED_QUIRKS if self._is_dated else _QUIRKS)
        self._prefix = _prefix(base.rstrip("/"), is_dated=self._is_dated)
        self.operations = self._openai.operations
        is_elsewhere = self._is_dated or bool(self._prefix) or bool(self._version)
        wrap = self._wrapped if is_elsewhere else None
        self.native: Mapping[str, Native] = {
            name: replace(native, wrap=wrap) for name, native in self._openai.native.items()
        }

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return OpenAI's request at Azure's path."""
        outgoing = self._openai.request(call, loss)
        return replace(outgoing, path=self._path(outgoing.path, call.model))

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer."""
        return self._openai.answer(document, call)

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return self._openai.decoder(call)

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read an error response, a refusal by the content filter among them."""
        return self._openai.fault(status, headers, body)

    def _wrapped(self, call: Call, model: str, _: Headers, __: Loss) -> Outgoing:
        """Return a client's own call at Azure's path."""
        path = self._path(_PATHS[call.dialect.name], model)
        return Outgoing(path, dict(call.document))

    def _path(self, path: str, deployment: str) -> str:
        query = f"?api-version={quote(self._version, safe='')}" if self._version else ""
        if self._is_dated and path not in _RESPONSES:
            path = f"/deployments/{quote(deployment, safe='')}{path}"
        return f"{self._prefix}{path}{query}"


def _prefix(base: str, *, is_dated: bool) -> str:
    """Return what has to stand between the base URL's path and an operation's."""
    if is_dated:
        return "" if base.endswith("/openai") else "/openai"
    if base.endswith(_V1):
        return ""
    return "/v1" if base.endswith("/openai") else _V1


def _options(backend: Backend) -> AzureOpenAIOptions:
    options = backend.options
    assert isinstance(options, AzureOpenAIOptions)  # noqa: S101 - made from SPEC.options
    return options


def _default_url(options: PluginConfig) -> str:
    resource = options.resource if isinstance(options, AzureOpenAIOptions) else ""
    if not resource:
        return ""
    base = f"https://{resource}.openai.azure.com/openai"
    version = getattr(options, "api_version", "")
    return base if version not in ("", "v1", "preview") else f"{base}/v1"


SPEC = ProviderSpec(
    name="azure_openai",
    options=AzureOpenAIOptions,
    default_url=_default_url,
    upstream=lambda backend: AzureUpstream(_options(backend), backend.url.path),
    credential=azure_credential,
    passes_other=True,
)
