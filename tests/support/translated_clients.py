"""The SDKs' clients, asked for the same things in each one's own words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.support.translated_stack import HEADER

Json = dict[str, Any]

CLIENT_KEY = "key-of-the-client"
PNG = "iVBORw0KGgo="
SCHEMA: Json = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PARAMETERS: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "at": {"type": "integer"}},
    "required": ["city"],
}
RESULT = "21 degrees"


@dataclass(frozen=True)
class Wish:
    """What to ask for.

    Args:
        text: the question.
        model: the model asked for.
        stream: whether the answer is to be streamed.
        tools: whether a tool is offered.
        image: whether a picture goes with the question.
        schema: whether the answer must fit SCHEMA.
        thinks: whether to ask for reasoning.
        after: an answer that called tools, whose results are now told.
        extra: more fields of the request, in the client's own words.
    """

    text: str = "hello"
    model: str = "a-model"
    stream: bool = False
    tools: bool = False
    image: bool = False
    schema: bool = False
    thinks: bool = False
    after: Said | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What a client read.

    Args:
        text: of the answer.
        thought: of the reasoning, as far as it is shown.
        calls: names and arguments of the tools called.
        used: tokens of the prompt, cached ones among them, and of the answer.
        end: why it ended, in the client's own word.
        raw: the SDK's own object.
    """

    text: str
    thought: str
    calls: Sequence[tuple[str, Json]]
    used: tuple[int, int]
    end: str
    raw: Any


class Sdk(Protocol):
    """A client of one API."""

    async def ask(self, wish: Wish) -> Said:
        """Ask, and read the whole answer."""


@dataclass(frozen=True)
class Clients:
    """The SDKs' clients of one Envoy, which share their connections.

    Args:
        openai: OpenAI's.
        anthropic: Anthropic's.
    """

    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic

    def sdk(self, api: str, route: str) -> Sdk:
        """Return a client of an API on a route."""
        return _SDKS[api](self, {HEADER: route})


@asynccontextmanager
async def clients_of(url: str) -> AsyncIterator[Clients]:
    """Make the clients of an Envoy."""
    async with (
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY, max_retries=0) as one,
        anthropic.AsyncAnthropic(
            base_url=f"{url}/anthropic", api_key=CLIENT_KEY, max_retries=0
        ) as other,
    ):
        yield Clients(one, other)


class Chat:
    """OpenAI's chat completions."""

    def __init__(self, clients: Clients, headers: Json) -> None:
        self._client = clients.openai.with_options(default_headers=headers)

    async def ask(self, wish: Wish) -> Said:
        """Ask, and read the whole answer."""
        request = self._request(wish)
        create = self._client.chat.completions.create
        if not wish.stream:
            return _of_chat(await create(**request))
        state = ChatCompletionStreamState()
        usage = {"stream_options": {"include_usage": True}}
        async for chunk in await create(**request, **usage, stream=True):
            state.handle_chunk(chunk)
        return _of_chat(state.get_final_completion())

    def _request(self, wish: Wish) -> Json:
        content: Any = wish.text
        if wish.image:
            picture = {"url": f"data:image/png;base64,{PNG}"}
            content = [
                {"type": "text", "text": wish.text},
                {"type": "image_url", "image_url": picture},
            ]
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": content},
        ]
        if wish.after is not None:
            said = wish.after.raw.choices[0].message
            told = said.model_dump(mode="json", exclude_none=True)
            for call in told["tool_calls"]:
                call.pop("index", None)  # what the SDK's folding of a stream leaves behind
            messages.append(told)
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": RESULT}
                for call in said.tool_calls
            ]
        function = {"name": "weather", "description": "Tells it.", "parameters": PARAMETERS}
        shape = {"name": "answer", "schema": SCHEMA, "strict": True}
        return {
            "model": wish.model,
            "messages": messages,
            **({"tools": [{"type": "function", "function": function}]} if wish.tools else {}),
            **({"reasoning_effort": "low"} if wish.thinks else {}),
            **(
                {"response_format": {"type": "json_schema", "json_schema": shape}}
                if wish.schema
                else {}
            ),
            **wish.extra,
        }


def _of_chat(answer: Any) -> Said:
    [choice] = answer.choices
    message = choice.message
    calls = [
        (call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls or ()
    ]
    thought = getattr(message, "reasoning_content", None) or ""
    used = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    return Said(message.content or "", thought, calls, used, choice.finish_reason, answer)


class Messages:
    """Anthropic's messages."""

    def __init__(self, clients: Clients, headers: Json) -> None:
        self._client = clients.anthropic.with_options(default_headers=headers)

    async def ask(self, wish: Wish) -> Said:
        """Ask, and read the whole answer."""
        request = self._request(wish)
        if not wish.stream:
            return _of_messages(await self._client.messages.create(**request))
        async with self._client.messages.stream(**request) as stream:
            return _of_messages(await stream.get_final_message())

    def _request(self, wish: Wish) -> Json:
        content: Any = wish.text
        if wish.image:
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            content = [{"type": "text", "text": wish.text}, {"type": "image", "source": source}]
        messages = [{"role": "user", "content": content}]
        if wish.after is not None:
            said = [
                one.model_dump(mode="json", exclude_none=True) for one in wish.after.raw.content
            ]
            results = [
                {"type": "tool_result", "tool_use_id": block["id"], "content": RESULT}
                for block in said
                if block["type"] == "tool_use"
            ]
            messages += [
                {"role": "assistant", "content": said},
                {"role": "user", "content": results},
            ]
        tool = {"name": "weather", "description": "Tells it.", "input_schema": PARAMETERS}
        shape = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return {
            "model": wish.model,
            "max_tokens": 4096,
            "system": "Be brief.",
            "messages": messages,
            **({"tools": [tool]} if wish.tools else {}),
            **({"thinking": {"type": "enabled", "budget_tokens": 2048}} if wish.thinks else {}),
            **({"output_config": shape} if wish.schema else {}),
            **wish.extra,
        }


def _of_messages(answer: Any) -> Said:
    texts = {"text": "", "thinking": ""}
    calls = []
    for block in answer.content:
        if block.type in texts:
            texts[block.type] += getattr(block, block.type)
        elif block.type == "tool_use":
            calls.append((block.name, block.input))
    usage = answer.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    used = (usage.input_tokens + cached, usage.output_tokens)
    return Said(texts["text"], texts["thinking"], calls, used, answer.stop_reason, answer)


class Responses:
    """OpenAI's responses."""

    def __init__(self, clients: Clients, headers: Json) -> None:
        self._client = clients.openai.with_options(default_headers=headers)

    async def ask(self, wish: Wish) -> Said:
        """Ask, and read the whole answer."""
        request = self._request(wish)
        if not wish.stream:
            return _of_responses(await self._client.responses.create(**request))
        async with self._client.responses.stream(**request) as stream:
            async for event in stream:
                if event.type in ("error", "response.failed"):
                    raise BrokenStream(event)
            return _of_responses(await stream.get_final_response())

    def _request(self, wish: Wish) -> Json:
        content: Any = wish.text
        if wish.image:
            content = [
                {"type": "input_text", "text": wish.text},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
                | {"detail": "auto"},
            ]
        items: list[Json] = [{"role": "user", "content": content}]
        if wish.after is not None:
            said = [one.model_dump(mode="json", exclude_none=True) for one in wish.after.raw.output]
            for item in said:  # what the SDK's own parsing adds
                item.pop("parsed_arguments", None)
            items += said
            items += [
                {"type": "function_call_output", "call_id": one["call_id"], "output": RESULT}
                for one in said
                if one["type"] == "function_call"
            ]
        tool = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": False}
        shape = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        reasoning = {"effort": "low", "summary": "auto"}
        return {
            "model": wish.model,
            "instructions": "Be brief.",
            "input": items,
            **({"tools": [tool]} if wish.tools else {}),
            **({"reasoning": reasoning} if wish.thinks else {}),
            **({"text": {"format": shape}} if wish.schema else {}),
            **wish.extra,
        }


def _of_responses(answer: Any) -> Said:
    calls, thought = [], ""
    for item in answer.output:
        if item.type == "function_call":
            calls.append((item.name, json.loads(item.arguments)))
        elif item.type == "reasoning":
            thought += "".join(part.text for part in item.summary)
    used = (answer.usage.input_tokens, answer.usage.output_tokens)
    return Said(answer.output_text, thought, calls, used, answer.status, answer)


class BrokenStream(Exception):
    """Raised for a stream of responses that ends in an error; the SDK gives it as an event."""

    def __init__(self, event: Any) -> None:
        super().__init__(event.type)
        error = event if event.type == "error" else event.response.error
        self.message: str = error.message


_SDKS: Mapping[str, Callable[[Clients, Json], Sdk]] = {
    "chat": Chat,
    "messages": Messages,
    "responses": Responses,
}
APIS = tuple(_SDKS)
"""The APIs that chat."""
