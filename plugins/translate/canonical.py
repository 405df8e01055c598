"""The canonical call: one form between every client's API and every provider's.

It is a superset of OpenAI's chat completions, as JSON documents, so that what nobody here knows yet
still has a place. A client adapter (`clients/`) writes the call and reads the answer; an upstream
format (`upstreams/`) reads the call and writes the answer: N + M, not N x M.

**Calls** of operation `chat` are OpenAI chat requests, and beside what OpenAI publishes:

- `messages[].content[]`: `text`, `image_url {url: http or data URL, detail}`, `input_audio {data,
  format}`, `file {filename, file_data: data URL | file_url | file_id, title, context, citations}`.
  Any part, message or tool may carry `cache_control {type: ephemeral, ttl}`.
- assistant messages: `thinking_blocks`, which stand before the content, in order:
  `{type: thinking, thinking, signature}`, `{type: redacted_thinking, data}` (Anthropic's shapes),
  `{type: reasoning, id, summary, encrypted_content}` (OpenAI Responses' item).
- tool messages: `content` may have parts (text, image_url, file); `is_error: true`.
- `tools[]`: `{type: function, function: {name, description, parameters, strict}}`;
  `{type: web_search, web_search: {allowed_domains, blocked_domains, user_location {city, region,
  country, timezone}, max_uses, search_context_size}}`; any other `type` is a provider's own tool.
- `tool_choice`: `auto`, `none`, `required`, `{type: function, function: {name}}`.
- `max_completion_tokens` (never `max_tokens`), `stop` (always a list), `top_k`.
- `reasoning {effort: none|minimal|low|medium|high|xhigh|max, budget_tokens, summary}` (never
  `reasoning_effort` or `thinking`); see `reasoning.py`.
- `anthropic_beta`: names of beta features of Anthropic's API, out of a client's headers.
- `guided_json`, `guided_regex`, `guided_choice`, `guided_grammar`: vLLM's guided decoding.

**Answers** are OpenAI chat completions, and beside what OpenAI publishes:
`message.thinking_blocks`, `message.reasoning_content` (the thinking's text),
`message.annotations` (`url_citation`), `message.citations` (those without a URL, as Anthropic has
them), `choices[].stop_sequence`, `choices[].native_finish_reason` where the provider's word says
more. `usage` is OpenAI's: `prompt_tokens` counts cached ones too; `prompt_tokens_details
{cached_tokens, cache_write_tokens}`, `completion_tokens_details {reasoning_tokens}`.

**Streams** are chat completion chunks. `delta.thinking_blocks` holds pieces of one block each:
`{index, type: thinking, thinking}`, `{index, type: thinking, signature}`,
`{index, type: redacted_thinking, data}`; `delta.reasoning_content` repeats the thinking's text for
OpenAI-style clients. The last chunk with choices has the finish reason; `usage` comes on it or
after.
A piece of a tool call has OpenAI's `index`; its first piece has `id` and `function.name`.

Operation `completion` is OpenAI's legacy completion, `embedding` OpenAI's embeddings (and
`input_type`), `rerank` Cohere's v2 rerank, `count_tokens` a chat call whose answer is
`{input_tokens: int}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Operation = Literal["chat", "completion", "embedding", "rerank", "count_tokens"]


@dataclass(frozen=True, slots=True)
class CanonicalCall:
    """A call in canonical form, for one backend.

    Args:
        operation: what is asked for.
        document: the canonical document, its fields' types checked; nobody writes to it.
        model: the backend's name of the model.
        stream: whether the client wants a stream.
    """

    operation: Operation
    document: Json = field(repr=False)
    model: str
    stream: bool = False


class Loss:
    """The names of fields that could not be carried; names only, never values."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Note a field by its dotted name without indices: `messages.content.input_audio`."""
        self._names[name] = None

    @property
    def names(self) -> tuple[str, ...]:
        """What was lost, each name once, in order."""
        return tuple(self._names)


class Fields:
    """One object's fields, taken one by one; what is left at the end was not carried.

    Args:
        document: the object.
        loss: takes the names of what is left.
        path: dotted name of the object; empty for the top.
    """

    __slots__ = ("_left", "_loss", "_path")

    def __init__(self, document: Json, loss: Loss, path: str = "") -> None:
        self._left = dict(document)
        self._loss = loss
        self._path = path

    def take(self, name: str, default: Any = None) -> Any:
        """Return a field's value, `default` where it is absent or null, and count it as carried."""
        value = self._left.pop(name, None)
        return default if value is None else value

    def ignore(self, *names: str) -> None:
        """Count fields as carried that say nothing to this provider, so that nothing is lost."""
        for name in names:
            self._left.pop(name, None)

    def lose(self, name: str) -> None:
        """Report a field that was taken but cannot be carried with the value it has."""
        self._loss.add(f"{self._path}.{name}" if self._path else name)

    def finish(self) -> None:
        """Report what was not taken; null and empty fields say nothing."""
        for name, value in self._left.items():
            if value is not None and value not in ([], {}):
                self.lose(name)
        self._left.clear()
