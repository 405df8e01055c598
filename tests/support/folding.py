"""Folds canonical chunks into the answer that they add up to, independently of the product."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def fold(chunks: Iterable[Json]) -> Json:
    """Return the whole answer."""
    answer: Json = {"object": "chat.completion"}
    choices: dict[int, Json] = {}
    for chunk in chunks:
        answer |= {k: v for k, v in chunk.items() if k not in ("choices", "object") and v}
        for part in chunk["choices"]:
            choice = choices.setdefault(part["index"], {"index": part["index"], "message": {}})
            for name, value in part["delta"].items():
                _add(choice["message"], name, value)
            choice |= {k: v for k, v in part.items() if k not in ("delta", "index") and v}
    answer["choices"] = [choices[index] for index in sorted(choices)]
    return answer


def comparable(answer: Json) -> Json:
    """Return an answer without what says nothing, its tools' arguments parsed."""
    plain = json.loads(json.dumps(answer))
    for choice in plain["choices"]:
        for call in choice["message"].get("tool_calls", ()):
            call.pop("index", None)
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        for block in choice["message"].get("thinking_blocks", ()):
            block.pop("index", None)
        choice["message"] = {k: v for k, v in choice["message"].items() if v}
    plain["choices"] = [{k: v for k, v in c.items() if v is not None} for c in plain["choices"]]
    return plain


def _add(message: Json, name: str, value: Any) -> None:
    if name == "role":
        message[name] = value
    elif isinstance(value, str):
        message[name] = (message.get(name) or "") + value
    elif name in ("tool_calls", "thinking_blocks"):
        items = message.setdefault(name, [])
        for piece in value:
            known = next((item for item in items if item["index"] == piece["index"]), None)
            if known is None:
                items.append(json.loads(json.dumps(piece)))
            else:
                _join(known, piece)
    elif isinstance(value, list):
        message.setdefault(name, []).extend(value)


def _join(known: Json, piece: Json) -> None:
    for name, value in piece.items():
        if isinstance(value, dict):
            _join(known.setdefault(name, {}), value)
        elif name in ("arguments", "thinking", "signature", "data"):
            known[name] = known.get(name, "") + value
        else:
            known[name] = value
