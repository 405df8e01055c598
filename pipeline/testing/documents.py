"""JSON documents of calls, answers and streamed events, in every dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.api import Dialect, Event
from pipeline.dialects.registry import builtin

_KNOWN = builtin()
DIALECTS = _KNOWN.names
"""The names of all API formats that Dragoman brings along."""

DEFAULT_DIALECT = "openai.chat"
_VECTOR = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
_NUMBERS: dict[str, dict[str, Any]] = {
    "openai.embeddings": {
        "object": "list",
        "data": [_VECTOR],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    },
    "cohere.rerank": {"id": "answer-1", "results": [{"index": 0, "relevance_score": 0.5}]},
    "anthropic.count_tokens": {"input_tokens": 1},
    "openai.input_tokens": {"object": "response.input_tokens", "input_tokens": 1},
    "vllm.tokenize": {"count": 1, "max_model_len": 4096, "tokens": [1]},
}
SPEAKING = tuple(name for name in DIALECTS if name not in _NUMBERS)
"""Those whose answers are texts."""

MODEL = "test-model"


def dialect_of(name: str) -> Dialect:
    """Return a dialect by its name.

    Raises:
        LookupError: there is none.
    """
    dialect = _KNOWN.by_name(name)
    if dialect is None:
        raise LookupError(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}")
    return dialect


def call_document(
    text: str | Sequence[str] = "Hello.",
    *,
    dialect: str = DEFAULT_DIALECT,
    system: str = "",
    **fields: Any,
) -> dict[str, Any]:
    """Return the body of a call.

    Args:
        text: what the user says; several texts are the user's and the assistant's turns.
        dialect: the API's name.
        system: the system prompt, where the API has one.
        fields: top-level fields; `model` has a default.
    """
    dialect_of(dialect)
    texts = [text] if isinstance(text, str) else list(text)
    document: dict[str, Any] = {"model": MODEL}
    match dialect:
        case "openai.completions":
            document["prompt"] = "\n".join([system, *texts] if system else texts)
        case "openai.embeddings":
            document["input"] = texts[0] if len(texts) == 1 else texts
        case "cohere.rerank":
            document |= {"query": texts[0], "documents": texts[1:] or [texts[0]]}
        case "openai.responses" | "openai.input_tokens":
            document["input"] = texts[0] if len(texts) == 1 else _turns(texts)
            if system:
                document["instructions"] = system
        case "anthropic.messages" | "anthropic.count_tokens":
            limit = {"max_tokens": 1024} if dialect == "anthropic.messages" else {}
            document |= {**limit, "messages": _turns(texts)}
            if system:
                document["system"] = system
        case _:
            rules = [{"role": "system", "content": system}] if system else []
            document["messages"] = [*rules, *_turns(texts)]
    return document | fields


def answer_document(
    text: str = "Hello to you.", *, dialect: str = DEFAULT_DIALECT, model: str = MODEL
) -> dict[str, Any]:
    """Return the body of an answer; some APIs answer in numbers, whatever the text."""
    if dialect in _NUMBERS:
        named = {"model": model} if dialect == "openai.embeddings" else {}
        return {**_NUMBERS[dialect], **named}
    return dialect_of(dialect).compose(text, model=model, id="answer-1", created_s=1)


def stream_events(
    *texts: str, dialect: str = DEFAULT_DIALECT, call: Mapping[str, Any] | None = None
) -> list[Event]:
    """Return the events of a streamed answer, one for each text beside those that frame them.

    Args:
        texts: what the events add.
        dialect: the API's name.
        call: the call's document; what a client must ask for is left out where it did not.
    """
    api = dialect_of(dialect)
    document = answer_document("".join(texts), dialect=dialect)
    whole = api.unfold(document, dict(call) if call is not None else None)
    divided = [piece for event in whole for piece in _divided(event, texts)]
    return [_numbered(event, position) for position, event in enumerate(divided)]


def _turns(texts: Sequence[str]) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def _divided(event: Event, texts: Sequence[str]) -> list[Event]:
    added = [segment for segment in event.segments if segment.text and segment.kind == "text"]
    if len(added) != 1 or added[0].text != "".join(texts):
        return [event]
    return [event.replace(segments=[replace(added[0], text=text)]) for text in texts]


def _numbered(event: Event, position: int) -> Event:
    # Dividing one event moves those behind it.
    if event.data is None or "sequence_number" not in event.data:
        return event
    data = event.data | {"sequence_number": position}
    raw = event.dialect.encode_event(event.name, data)
    return Event(event.dialect, raw, name=event.name, data=data, closes=event.closes)
