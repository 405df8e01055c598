"""Every SDK to every provider over a real Envoy: text, tools, pictures, schemas, reasoning."""

from __future__ import annotations

import itertools
import json

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.support.envoys import NEWEST, binary_of
from tests.support.providers.openai import ANSWER, THOUGHT
from tests.support.translated_clients import APIS, PNG, RESULT, BrokenStream, Wish, clients_of
from tests.support.translated_stack import RETRY_AFTER_S, SIMULATED, translated_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

OPENAI = {"openai", "together", "azure_openai", "mistral"}
CLAUDE = {"anthropic", "vertex_claude", "aws_bedrock_invoke"}
GEMINI = {"gemini", "vertex_gemini"}
NATIVE = {
    *(("chat", name) for name in ("openai", "azure_openai")),
    *(("responses", name) for name in ("openai", "azure_openai")),
    *(("messages", name) for name in ("anthropic", "vertex_claude")),
}
"""What goes on as it is, a stream that ends too early among it."""
TRANSLATED = [cell for cell in itertools.product(APIS, SIMULATED) if cell not in NATIVE]
ENDS = {
    "chat": ("stop", "tool_calls"),
    "messages": ("end_turn", "tool_use"),
    "responses": ("completed", "completed"),
}
USED = dict.fromkeys(OPENAI, (11, 5))
USED |= dict.fromkeys(CLAUDE, (35, 30))
USED |= dict.fromkeys(GEMINI, (23, 15))
USED |= {"aws_bedrock": (10, 5), "cohere": (71, 9)}
SEERS = {"cohere": "seer"}
THINKERS = {"cohere": "thinker", "mistral": "thinker"}
SIGNED = [*sorted(CLAUDE), "aws_bedrock", "gemini"]
ERRORS = (openai.APIError, anthropic.APIStatusError, BrokenStream)

every_cell = [
    pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"]),
    pytest.mark.parametrize("api", APIS),
    pytest.mark.parametrize("provider", SIMULATED),
]


def in_every_cell(test):
    for mark in every_cell:
        test = mark(test)
    return test


def text_of(provider, asked, images=0):
    if provider in OPENAI:
        return ANSWER
    if provider == "aws_bedrock":
        return f"You said: {asked}"
    files = " and 0 files" if provider in CLAUDE else ""
    return f"You said {asked!r} with {images} images{files}. ✓"


def calls_of(api, provider):
    if provider == "aws_bedrock":
        return [("weather", {"city": "Bern"})]
    if provider not in OPENAI:
        return [("weather", {"city": "Paris", "at": 0})]
    cities = ["Oslo"]
    if provider != "mistral" and (api, provider) not in NATIVE - {("chat", provider)}:
        cities.append("Bergen")
    return [("weather", {"city": city}) for city in cities]


def words_of(error):
    """Return what an SDK's error says, before an answer or inside its stream."""
    if isinstance(error, BrokenStream):
        return error.message
    body = error.body
    return body.get("error", body)["message"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running():
    async with (
        translated_stack(binary_of(NEWEST)) as made,
        clients_of(made.stack.url) as clients,
    ):
        yield made, clients


@pytest.fixture
def sent_to(running):
    return running[0].sent_to


@pytest.fixture
def ask(running):
    async def ask(api, provider, text="hello", **wish):
        stack, clients = running
        stack.forget()
        return await clients.sdk(api, provider.replace("_", "-")).ask(Wish(text, **wish))

    return ask


@in_every_cell
async def test_an_answer_comes_with_its_text_its_end_and_its_usage(ask, api, provider, stream):
    said = await ask(api, provider, stream=stream)

    assert (said.text, said.end) == (text_of(provider, "hello"), ENDS[api][0])
    assert said.used == USED[provider]


@in_every_cell
async def test_tools_are_called_and_their_results_reach_the_provider(
    ask, sent_to, api, provider, stream
):
    said = await ask(api, provider, "use a tool", tools=True, stream=stream)
    then = await ask(api, provider, "use a tool", tools=True, stream=stream, after=said)

    assert (said.calls, said.end) == (calls_of(api, provider), ENDS[api][1])
    assert RESULT in sent_to(provider)
    assert then.text or then.calls


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("provider", SIGNED)
async def test_signed_thoughts_come_back_with_the_results_of_tools(
    ask, sent_to, api, provider, stream
):
    wish = {"tools": True, "thinks": True, "stream": stream}
    said = await ask(api, provider, "use a tool and think", **wish)
    await ask(api, provider, "use a tool and think", **wish, after=said)

    assert said.thought
    assert said.calls
    signature = {"aws_bedrock": "c2lnbmVk", "gemini": "U2ltU2ln"}.get(provider, "sig-1")
    assert signature in sent_to(provider)


@in_every_cell
async def test_a_picture_reaches_the_provider(ask, sent_to, api, provider, stream):
    model = SEERS.get(provider, "a-model")
    said = await ask(api, provider, image=True, model=model, stream=stream)

    assert said.text == text_of(provider, "hello", images=1)
    assert PNG in sent_to(provider)


@in_every_cell
async def test_a_schema_reaches_the_provider(ask, sent_to, api, provider, stream):
    said = await ask(api, provider, schema=True, stream=stream)

    assert '"answer"' in sent_to(provider).replace("\\", "")
    if provider in CLAUDE | GEMINI | {"cohere"}:
        assert json.loads(said.text) == {"answer": 42}


@in_every_cell
async def test_reasoning_is_asked_for_and_shown(ask, sent_to, api, provider, stream):
    model = THINKERS.get(provider, "a-model")
    said = await ask(api, provider, "please think", thinks=True, model=model, stream=stream)

    thought = "Let me see. It is so." if provider == "aws_bedrock" else "Let me think about it."
    assert said.thought == (THOUGHT if provider in OPENAI else thought)
    assert said.text == text_of(provider, "please think")
    if provider != "mistral":  # whose reasoning models always think
        assert "reasoning" in sent_to(provider) or "think" in sent_to(provider).lower()


@in_every_cell
async def test_an_error_is_the_sdks_own_with_the_providers_words(ask, api, provider, stream):
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
        await ask(api, provider, "error 429", stream=stream)

    assert words_of(caught.value) == "as you asked"
    assert caught.value.response.headers["retry-after"] == str(RETRY_AFTER_S)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("provider", SIMULATED)
async def test_an_error_inside_a_stream_is_the_sdks_own(ask, api, provider):
    is_aws = provider == "aws_bedrock"
    text = "exception throttlingException" if is_aws else "broken stream"
    with pytest.raises(ERRORS) as caught:
        await ask(api, provider, text, stream=True)

    told = {"as you asked", "overloaded", "too many", "the model failed."}
    told |= {"the model is overloaded."}
    assert words_of(caught.value).lower() in told


@pytest.mark.parametrize(("api", "provider"), TRANSLATED)
async def test_a_stream_that_is_cut_short_never_looks_complete(ask, api, provider):
    with pytest.raises(ERRORS) as caught:
        await ask(api, provider, "cut", stream=True)

    assert "ended before" in words_of(caught.value) or "cut off" in words_of(caught.value)
