"""The list of models, answered from the config to clients that ask for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pipeline.api.exchange import Request
from pipeline.config.schema import Config
from pipeline.dialects.anthropic_messages import AnthropicMessages
from pipeline.dialects.strict_json import dumps
from pipeline.host import replies
from pipeline.host.verdicts import Finish

_PATH = re.compile(r"(?P<api>/anthropic)?/v1/models(?:/(?P<id>.+))?\Z")
_EPOCH = "1970-01-01T00:00:00Z"
Json = dict[str, Any]


def models_of(config: Config) -> dict[str, str]:
    """Return every model that the config names, with the first backend that has it."""
    named: dict[str, str] = {}
    for name, backend in config.backends.items():
        for model in backend.models:
            named.setdefault(model, name)
    for route in config.routes:
        wanted = route.match.model
        if wanted is not None and "*" not in wanted:
            named.setdefault(wanted, route.backend_names[0] if route.backends else "dragoman")
    return named


def models_answer(request: Request, named: Mapping[str, str]) -> Finish | None:
    """Answer a request for the list of models, or for one of them; None where it is neither.

    Args:
        request: the client's.
        named: the models, each with its owner.
    """
    match = _PATH.match(request.path.rstrip("/"))
    if match is None or request.method not in {"GET", "HEAD"}:
        return None
    # Anthropic's own clients send it, wherever they are pointed.
    is_anthropic = match["api"] is not None or "anthropic-version" in request.headers
    describe = _anthropic_model if is_anthropic else _openai_model
    if match["id"] is None:
        every = [describe(model, owner) for model, owner in named.items()]
        return _answer(_anthropic_list(every) if is_anthropic else _openai_list(every))
    asked = unquote(match["id"])
    if asked in named:
        return _answer(describe(asked, named[asked]))
    return _unknown(is_anthropic=is_anthropic)


def _openai_model(model: str, owner: str) -> Json:
    return {"id": model, "object": "model", "created": 0, "owned_by": owner}


def _openai_list(models: list[Json]) -> Json:
    return {"object": "list", "data": models}


def _anthropic_model(model: str, owner: str) -> Json:
    del owner
    return {"type": "model", "id": model, "display_name": model, "created_at": _EPOCH}


def _anthropic_list(models: list[Json]) -> Json:
    first, last = (models[0]["id"], models[-1]["id"]) if models else (None, None)
    return {"data": models, "has_more": False, "first_id": first, "last_id": last}


def _answer(document: Json) -> Finish:
    return Finish(200, {"content-type": replies.JSON}, dumps(document), "models")


def _unknown(*, is_anthropic: bool) -> Finish:
    dialect = AnthropicMessages() if is_anthropic else None
    message = "the config names no such model"
    return replies.refusal(dialect, status=404, code="model_not_found", message=message)
