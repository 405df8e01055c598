"""A stream of OpenAI's Responses, read as strictly as its documentation allows."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai import BaseModel
from openai.types.responses import Response, ResponseStreamEvent

from pipeline.api import FrameDecoder

Json = dict[str, Any]

_EVENTS = {
    get_args(event.model_fields["type"].annotation)[0]: event
    for event in get_args(get_args(ResponseStreamEvent)[0])
}
# `store` is the service's own, though the SDK has no field for it; on `error` the SDK raises.
_BEYOND_TYPES = {"Response": {"store"}, "ResponseErrorEvent": {"error"}}
_ENDINGS = ("response.completed", "response.incomplete", "response.failed", "error")
_TEXTS = {
    "response.output_text": ("content", "content_index", "text"),
    "response.refusal": ("content", "content_index", "refusal"),
    "response.reasoning_summary_text": ("summary", "summary_index", "text"),
    "response.function_call_arguments": (None, None, "arguments"),
    "response.custom_tool_call_input": (None, None, "input"),
}
_PARTS = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}


def checked(response: Json) -> Json:
    """Return a Response that OpenAI's own type accepts, every field of it known."""
    _refuse_unknown(Response.model_validate(response, strict=True))
    return response


def read(raw: bytes) -> list[Json]:
    """Return a stream's events, each checked by OpenAI's own type."""
    found = []
    for number, frame in enumerate(FrameDecoder(2**24).feed(raw)):
        event = json.loads(frame.data or "")
        assert frame.name == event["type"]
        assert event["sequence_number"] == number
        _refuse_unknown(_EVENTS[event["type"]].model_validate(event, strict=True))
        found.append(event)
    return found


def final(events: list[Json]) -> Json:
    """Return the last event's Response, once deltas have been seen to add up to it."""
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert not any(event["type"] in _ENDINGS for event in events[:-1])
    output: dict[int, Json] = {}
    done: set[Any] = set()
    for event in events[2:-1]:
        _apply(event, output, done)
    response: Json = events[-1]["response"]
    assert response["output"] == [output[place] for place in range(len(output))]
    assert done >= set(output)
    head = {"output", "status", "usage", "incomplete_details", "service_tier", "error"}
    for event in events[:2]:
        assert event["response"]["output"] == []
        assert event["response"]["status"] == "in_progress"
        for name in event["response"].keys() - head:
            assert event["response"][name] == response[name]
    return response


def _apply(event: Json, output: dict[int, Json], done: set[Any]) -> None:
    stem, _, verb = event["type"].rpartition(".")
    place = event["output_index"]
    if stem == "response.output_item":
        _item(verb, event["item"], place, output, done)
        return
    item = output[place]
    assert place not in done
    assert event["item_id"] == item["id"]
    if stem in _PARTS:
        name, index = _PARTS[stem]
        _part(verb, event["part"], item.setdefault(name, []), event[index], (place, name), done)
    elif stem == "response.output_text.annotation":
        part = item["content"][event["content_index"]]
        assert event["annotation_index"] == len(part["annotations"])
        part["annotations"].append(event["annotation"])
    else:
        name, index, field = _TEXTS[stem]
        holder = item if name is None else item[name][event[index]]
        if verb == "delta":
            assert name is None or (place, name, event[index]) not in done
            holder[field] += event["delta"]
            holder.get("logprobs", []).extend(event.get("logprobs", []))
        else:
            assert event[field] == holder[field]
            assert event.get("logprobs") == holder.get("logprobs")


def _item(verb: str, item: Json, place: int, output: dict[int, Json], done: set[Any]) -> None:
    if verb == "added":
        assert place == len(output)
        assert item.get("status", "in_progress") == "in_progress"
        output[place] = item
        return
    late = {"status", "encrypted_content"}
    grown = {name: value for name, value in output[place].items() if name not in late}
    assert grown == {name: value for name, value in item.items() if name not in late}
    output[place] = item
    done.add(place)


def _part(
    verb: str, part: Json, parts: list[Json], index: int, where: tuple[int, str], done: set[Any]
) -> None:
    if verb == "added":
        assert index == len(parts)
        assert not index or (*where, index - 1) in done
        parts.append(part)
    else:
        assert _plain(part) == parts[index]
        parts[index] = part
        done.add((*where, index))


def _plain(part: Json) -> Json:
    """Return a part as its deltas tell it: they have no tokens' bytes."""
    if not part.get("logprobs"):
        return part
    tokens = [{k: v for k, v in token.items() if k != "bytes"} for token in part["logprobs"]]
    for token in tokens:
        token["top_logprobs"] = [
            {k: v for k, v in top.items() if k != "bytes"} for top in token["top_logprobs"]
        ]
    return {**part, "logprobs": tokens}


def _refuse_unknown(model: BaseModel) -> None:
    unknown = set(model.model_extra or ()) - _BEYOND_TYPES.get(type(model).__name__, set())
    assert not unknown, f"{type(model).__name__} has no {unknown}"
    for value in model.__dict__.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, BaseModel):
                _refuse_unknown(one)
