"""What is no chat over a real Envoy: completions, embeddings, reranks, counts; and what is lost."""

from __future__ import annotations

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.support.envoys import NEWEST, binary_of
from tests.support.providers.openai import ANSWER, COUNTED
from tests.support.translated_clients import CLIENT_KEY, Wish, clients_of
from tests.support.translated_stack import HEADER, SIMULATED, translated_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

COMPLETE = {"openai", "azure_openai", "together", "mistral"}
EMBED = {
    "openai",
    "together",
    "azure_openai",
    "aws_bedrock",
    "gemini",
    "vertex_gemini",
    "cohere",
    "mistral",
}
COUNT = set(SIMULATED) - {"together", "cohere", "mistral"}
ROUTES = [
    {"name": "strict", "backends": ["strict"]},
    {"name": "patched", "backends": ["patched"]},
    {"name": "brought", "backends": ["brought"]},
]
BACKENDS = {
    "strict": {"like": "anthropic", "strict": True},
    "patched": {
        "like": "anthropic",
        "patch": [{"op": "add", "path": "/metadata", "value": {"user_id": "u-7"}}],
    },
    "brought": {"like": "cohere", "key_header": "x-own-key", "api_key": "key-that-is-wrong"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running():
    async with (
        translated_stack(binary_of(NEWEST), routes=ROUTES, backends=BACKENDS) as made,
        clients_of(made.stack.url) as clients,
    ):
        yield made, clients


@pytest.fixture
def seen(running):
    running[0].forget()
    return running[0].seen


@pytest.fixture
def openai_at(running, seen):
    def at(route):
        headers = {HEADER: route.replace("_", "-")}
        return running[1].openai.with_options(default_headers=headers)

    return at


@pytest.fixture
def anthropic_at(running, seen):
    def at(route):
        headers = {HEADER: route.replace("_", "-")}
        return running[1].anthropic.with_options(default_headers=headers)

    return at


def names_the_pair(caught, dialect, provider):
    error = caught.value.body
    told = error.get("error", error)
    assert dialect in told["message"]
    assert repr(provider) in told["message"]
    assert caught.value.response.status_code == 400
    assert told["code"] == "unsupported_by_backend"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", SIMULATED)
async def test_a_legacy_completion_is_served_or_refused_by_name(openai_at, provider, stream):
    create = openai_at(provider).completions.create
    ask = {"model": "a-model", "prompt": "hello"}
    if provider not in COMPLETE:
        with pytest.raises(openai.BadRequestError) as caught:
            await create(**ask, stream=stream)
        names_the_pair(caught, "openai.completions", provider)
    elif stream:
        options = {"stream_options": {"include_usage": True}, "stream": True}
        chunks = [chunk async for chunk in await create(**ask, **options)]
        texts = [choice.text for chunk in chunks for choice in chunk.choices]
        assert "".join(texts) == ANSWER
        assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    else:
        answer = await create(**ask)
        assert answer.choices[0].text == ANSWER
        assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("provider", SIMULATED)
async def test_embeddings_are_served_or_refused_by_name(openai_at, provider):
    create = openai_at(provider).embeddings.create
    if provider in EMBED:
        # The SDK asks for base64 where nothing is said, and decodes it.
        answer = await create(model="embedder", input="hello")
        [one] = answer.data
        assert all(isinstance(value, float) for value in one.embedding)
        assert len(one.embedding) >= 2
    else:
        with pytest.raises(openai.BadRequestError) as caught:
            await create(model="embedder", input="hello")
        names_the_pair(caught, "openai.embeddings", provider)


@pytest.mark.parametrize("path", ["/v1/rerank", "/cohere/v2/rerank"])
@pytest.mark.parametrize("provider", ["aws_bedrock", "cohere", "together", "gemini"])
async def test_documents_are_ranked_or_refused_by_name(running, provider, path):
    http = running[0].stack.http
    call = {"model": "ranker", "query": "q", "documents": ["a", "b"], "top_n": 2}
    headers = {HEADER: provider.replace("_", "-")}
    answer = await http.post(path, json=call, headers=headers)

    if provider == "gemini":
        assert (answer.status_code, "cohere.rerank" in answer.text) == (400, True)
        assert repr(provider) in answer.json()["message"]
    else:
        assert answer.status_code == 200
        assert {one["index"] for one in answer.json()["results"]} == {0, 1}


@pytest.mark.parametrize("provider", SIMULATED)
async def test_tokens_are_counted_for_anthropics_client(anthropic_at, provider):
    count = anthropic_at(provider).messages.count_tokens
    ask = {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}
    if provider in COUNT:
        assert (await count(**ask)).input_tokens == COUNTED
        return
    with pytest.raises(anthropic.BadRequestError) as caught:
        await count(**ask)
    names_the_pair(caught, "anthropic.count_tokens", provider)


@pytest.mark.parametrize("provider", SIMULATED)
async def test_tokens_are_counted_for_openais_client(openai_at, provider):
    count = openai_at(provider).responses.input_tokens.count
    if provider in COUNT:
        assert (await count(model="a-model", input="hello")).input_tokens == COUNTED
        return
    with pytest.raises(openai.BadRequestError) as caught:
        await count(model="a-model", input="hello")
    names_the_pair(caught, "openai.input_tokens", provider)


async def test_what_a_provider_cannot_carry_is_told(openai_at):
    ask = {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}
    create = openai_at("anthropic").chat.completions.with_raw_response.create
    lossy = await create(**ask, logit_bias={"7": 1}, presence_penalty=0.5)
    whole = await create(**ask)

    assert lossy.headers["x-dragoman-dropped"] == "logit_bias, presence_penalty"
    assert "x-dragoman-dropped" not in whole.headers


async def test_a_strict_backend_refuses_what_it_cannot_carry(openai_at, seen):
    ask = {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}
    create = openai_at("strict").chat.completions.create
    with pytest.raises(openai.BadRequestError) as caught:
        await create(**ask, logit_bias={"7": 1})

    assert caught.value.code == "lossy_translation"
    assert "logit_bias" in caught.value.message
    assert seen["anthropic"] == []
    assert (await create(**ask)).choices


async def test_a_patch_changes_what_is_sent_after_translation(running, openai_at, seen):
    sdk = running[1].sdk("chat", "patched")
    await sdk.ask(Wish())

    assert seen["anthropic"][-1].body["metadata"] == {"user_id": "u-7"}


async def test_a_key_that_the_client_brings_goes_first_and_not_under_its_own_name(running, seen):
    http = running[0].stack.http
    call = {"model": "a-model", "messages": [{"role": "user", "content": "hello"}]}
    headers = {HEADER: "brought", "x-own-key": "key-cohere"}
    answer = await http.post("/v1/chat/completions", json=call, headers=headers)

    assert answer.status_code == 200
    sent = {name.lower(): value for name, value in seen["cohere"][-1].headers.items()}
    assert sent["authorization"] == "Bearer key-cohere"
    assert "x-own-key" not in sent


@pytest.mark.parametrize("provider", SIMULATED)
async def test_the_clients_own_key_stays_here(running, seen, provider):
    await running[1].sdk("chat", provider.replace("_", "-")).ask(Wish())

    [request] = seen[provider]
    assert not [one for one in request.headers.values() if CLIENT_KEY in one]
