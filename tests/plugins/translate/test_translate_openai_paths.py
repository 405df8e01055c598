"""Where calls go: the paths of OpenAI, its copies, Azure and Mistral below their base URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson
import pytest

from pipeline.api import Backend, Call, Headers, InvalidCall, Request
from pipeline.dialects.registry import builtin
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.upstreams import SPECS

BY_NAME = {spec.name: spec for spec in SPECS}
DIALECTS = builtin()
MESSAGES = [{"role": "user", "content": "hi"}]
BODIES = {
    "/v1/chat/completions": {"model": "m", "messages": MESSAGES},
    "/anthropic/v1/messages": {"model": "m", "max_tokens": 9, "messages": MESSAGES},
    "/v1/responses": {"model": "m", "input": "hi"},
    "/v1/completions": {"model": "m", "prompt": "hi"},
    "/v1/embeddings": {"model": "m", "input": "hi"},
    "/cohere/v2/rerank": {"model": "m", "query": "q", "documents": ["a"]},
    "/v1/messages/count_tokens": {"model": "m", "messages": MESSAGES},
    "/v1/responses/input_tokens": {"model": "m", "input": "hi"},
    "/tokenize": {"model": "m", "prompt": "hi"},
}


def prepared(provider, path, **options):
    spec = BY_NAME[provider]
    made = spec.options(**options)
    backend = Backend(
        name="b",
        provider=provider,
        url=urlsplit(spec.default_url(made)),
        api_key="sk-1",
        options=made,
    )
    dialect = DIALECTS.for_path(path)
    document = BODIES[path]
    call = Call(dialect, document, orjson.dumps(document))
    dialect.check(document)
    headers = Headers([("authorization", b"Bearer client")])
    request = Request("POST", path, "", "dragoman.example", headers)
    return ProviderConnection(backend, spec, CLIENTS).prepare(request, call)


@pytest.mark.parametrize(
    ("provider", "path", "sent"),
    [
        ("openai", "/v1/chat/completions", "/v1/chat/completions"),
        ("openai", "/anthropic/v1/messages", "/v1/chat/completions"),
        ("openai", "/v1/responses/input_tokens", "/v1/responses/input_tokens"),
        ("openai", "/v1/messages/count_tokens", "/v1/responses/input_tokens"),
        ("openai", "/tokenize", "/v1/responses/input_tokens"),
        ("openai", "/cohere/v2/rerank", "/v1/rerank"),
        ("vllm", "/anthropic/v1/messages", "/v1/messages"),
        ("vllm", "/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("vllm", "/v1/responses/input_tokens", "/tokenize"),
        ("vllm", "/tokenize", "/tokenize"),
        ("groq", "/v1/chat/completions", "/openai/v1/chat/completions"),
        ("groq", "/v1/responses", "/openai/v1/responses"),
        ("groq", "/anthropic/v1/messages", "/openai/v1/chat/completions"),
        ("perplexity", "/v1/chat/completions", "/chat/completions"),
        ("openrouter", "/anthropic/v1/messages", "/api/v1/messages"),
        ("zai", "/v1/responses", "/api/paas/v4/chat/completions"),
        ("deepinfra", "/v1/embeddings", "/v1/openai/embeddings"),
        ("fireworks", "/v1/completions", "/inference/v1/completions"),
        ("mistral", "/v1/responses", "/v1/chat/completions"),
        ("mistral", "/v1/completions", "/v1/fim/completions"),
        ("mistral", "/v1/embeddings", "/v1/embeddings"),
    ],
)
def test_calls_go_where_the_provider_takes_them(provider, path, sent):
    headers = prepared(provider, path).headers.set

    assert headers[":path"] == sent
    assert headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"])
@pytest.mark.parametrize("version", ["", "2024-10-21"])
def test_azure_takes_openais_dialects_at_its_own_paths_with_its_own_key(path, version):
    attempt = prepared("azure_openai", path, resource="r", api_version=version)
    headers = attempt.headers
    name = path.removeprefix("/v1")
    dated = "/openai/responses" if name == "/responses" else f"/openai/deployments/m{name}"
    wanted = f"{dated}?api-version={version}" if version else f"/openai{path}"

    assert headers.set[":path"] == wanted
    assert headers.set["api-key"] == "sk-1"
    assert "authorization" in headers.remove


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("groq", "/v1/embeddings"),
        ("groq", "/cohere/v2/rerank"),
        ("mistral", "/cohere/v2/rerank"),
        ("mistral", "/v1/messages/count_tokens"),
        ("azure_openai", "/cohere/v2/rerank"),
        ("deepseek", "/tokenize"),
    ],
)
def test_what_a_provider_has_not_is_refused_by_name(provider, path):
    options = {"resource": "r"} if provider == "azure_openai" else {}
    with pytest.raises(InvalidCall, match=provider) as caught:
        prepared(provider, path, **options)

    assert (caught.value.code, caught.value.status) == ("unsupported_by_backend", 400)


def test_providers_have_names_of_their_own_and_every_dialect_has_a_client():
    names = [spec.name for spec in SPECS]

    assert len(set(names)) == len(names)
    assert set(DIALECTS.names) == set(CLIENTS)
