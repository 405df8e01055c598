"""Folding a stream of OpenAI chunks into one answer, and splitting one into chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from pipeline.api.answer import Event
from pipeline.dialects.openai_messages import objects

Json = dict[str, Any]

_STATED_ONCE = frozenset({"role", "id", "type", "name", "format", "signature"})
"""Strings of a delta that are whole where they stand; every other string goes on."""

_ON_EVERY_CHUNK = ("id", "object", "created", "model", "service_tier", "system_fingerprint")


class _Pieces(list[str]):
    """A string in parts: joined once, so that a long answer costs linear time."""


class _Numbered(dict[int, Json]):
    """The items of a list that come in deltas, by the `index` that each names."""


def fold(events: Iterable[Event], kind: str) -> Json:
    """Join chunks into the document that an unstreamed call would get.

    Args:
        events: the stream.
        kind: the `object` of the answer.
    """
    answer: Json = {}
    choices: dict[int, Json] = {}
    for event in events:
        for field, value in (event.data or {}).items():
            if field == "choices":
                for position, choice in objects(value):
                    index = choice.get("index")
                    number = index if isinstance(index, int) else position
                    _fold_choice(choices.setdefault(number, {"index": number}), choice)
                answer.setdefault("choices", None)
            elif field == "object":
                answer[field] = kind
            elif field != "obfuscation" and (value or field not in answer):
                # Some servers open with a chunk whose id and model are empty.
                answer[field] = value
    if "choices" in answer:
        answer["choices"] = [_finished_choice(choices[number]) for number in sorted(choices)]
    return answer


def _fold_choice(into: Json, chunk: Json) -> None:
    for field, value in chunk.items():
        if field == "delta":
            if not isinstance(into.get("message"), dict):
                # An answer's message always has these two.
                into["message"] = {"role": "assistant", "content": None}
            if isinstance(value, dict):
                _fold_delta(into["message"], value)
        elif field == "message":
            into[field] = deepcopy(value)  # deltas may follow, and go into it
        elif field in ("text", "logprobs"):
            _fold_delta(into, {field: value})
        elif value is not None or field not in into:
            into[field] = value


def _fold_delta(into: Json, delta: Json) -> None:
    for field, value in delta.items():
        old = into.get(field)
        if value is None:
            into.setdefault(field, None)
        elif isinstance(value, str) and field not in _STATED_ONCE:
            if isinstance(old, _Pieces):
                old.append(value)
            else:
                into[field] = _Pieces([value])
        elif isinstance(value, dict):
            if not isinstance(old, dict) or isinstance(old, _Numbered):
                old = into[field] = {}
            _fold_delta(old, value)
        elif isinstance(value, list):
            into[field] = _fold_list(old, value)
        elif value != "" or old is None:
            into[field] = value


def _fold_list(old: Any, items: list[Any]) -> Any:
    if isinstance(old, list) and not isinstance(old, _Pieces):
        old.extend(items)
        return old
    if not isinstance(old, _Numbered):
        if not any(isinstance(item, dict) and "index" in item for item in items):
            return list(items)
        old = _Numbered()
    for _, item in objects(items):
        index = item.get("index")
        number = index if isinstance(index, int) else len(old)
        _fold_delta(old.setdefault(number, {}), item)
    return old


def _finished_choice(choice: Json) -> Json:
    finished: Json = _finished(choice)
    message = finished.get("message")
    if isinstance(message, dict) and message.get("tool_calls"):
        # A whole message counts its calls by their order.
        message["tool_calls"] = [
            {field: value for field, value in call.items() if field != "index"}
            for _, call in objects(message["tool_calls"])
        ]
    return finished


def _finished(value: Any) -> Any:
    if isinstance(value, _Pieces):
        return "".join(value)
    if isinstance(value, _Numbered):
        return [_finished(value[number]) for number in sorted(value)]
    if isinstance(value, dict):
        return {field: _finished(inner) for field, inner in value.items()}
    return value


def without_unasked_usage(document: Json, request: Json | None) -> Json:
    """Return an answer without its usage, where the client did not ask a stream to state it.

    A chunk with usage has no choices, which clients that did not ask for it do not expect.
    """
    if request is None:
        return document
    options = request.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        return document
    return {key: value for key, value in document.items() if key != "usage"}


def unfold(document: Json, kind: str, split: Callable[[Json], list[Json]]) -> list[Json]:
    """Split an answer into the chunks that a streamed call would get.

    Args:
        document: the answer; one without choices, such as an error, is a chunk of its own.
        kind: the `object` of a chunk.
        split: gives the choices of the chunks that make up one choice of the answer.
    """
    if not isinstance(document.get("choices"), list):
        return [document]
    common = {field: document[field] for field in _ON_EVERY_CHUNK if field in document}
    if "object" in common:
        common["object"] = kind
    told = {"choices", *common}
    usage = document.get("usage")
    if usage is not None:
        told.add("usage")
    rest = {field: value for field, value in document.items() if field not in told}
    pieces = [piece for _, choice in objects(document["choices"]) for piece in split(choice)]
    chunks = [{**common, "choices": [piece]} for piece in pieces] or [{**common, "choices": []}]
    chunks[0].update(rest)
    if usage is not None:
        chunks.append({**common, "choices": [], "usage": usage})
    return chunks
