"""Replies of the demo upstream: a request's document in, the answer's document out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.api import Dialect, Segment
from pipeline.demo.answers import Question, answer, count_words
from pipeline.demo.embeddings import embeddings
from pipeline.demo.numbers import NUMERIC, numbers
from pipeline.demo.shapes import usage, with_tool_call
from pipeline.demo.tools import wanted_call

Json = dict[str, Any]


def reply(dialect: Dialect, request: Json, *, id: str, created_s: int) -> Json:  # noqa: A002
    """Return the answer to a request that its dialect has checked.

    Raises:
        InvalidCall: a field that only the demo reads has a value that it cannot serve.
    """
    if dialect.name == "openai.embeddings":
        return embeddings(request)
    if dialect.name in NUMERIC:
        return numbers(dialect, request, id=id)
    segments = dialect.segments(request)
    if dialect.name == "openai.completions" and len(segments) > 1:
        return _completions(dialect, request, segments, id=id, created_s=created_s)
    question = read_question(request, segments, model=dialect.model(request))
    call = wanted_call(request, question) if dialect.tools(request) else None
    text = "" if call else answer(question)
    document = dialect.compose(text, model=question.model, id=id, created_s=created_s)
    if call:
        document = with_tool_call(dialect.name, document, *call)
        text = json.dumps(call[1])
    asked = sum(count_words(segment.text or "") for segment in segments)
    return document | {"usage": usage(dialect.name, asked, count_words(text))}


def read_question(request: Json, segments: Sequence[Segment], *, model: str) -> Question:
    """Return what a request asks, whatever its dialect."""
    turns = next((request[key] for key in ("messages", "input", "prompt") if key in request), None)
    texts = [segment for segment in segments if segment.kind == "text"]
    users = [segment for segment in texts if segment.role == "user"]
    # A message may come in parts: the last part alone is not the question.
    last = [segment for segment in users if _turn(segment) == _turn(users[-1])]
    rules = [segment for segment in texts if segment.role in ("system", "developer")]
    ends_with_result = bool(segments) and segments[-1].kind == "tool_result"
    return Question(
        text=_joined(last),
        model=model,
        system=_joined(rules),
        messages=len(turns) if isinstance(turns, list) else 1,
        tool_result=segments[-1].text if ends_with_result else None,
    )


def _completions(
    dialect: Dialect,
    request: Json,
    prompts: Sequence[Segment],
    *,
    id: str,  # noqa: A002
    created_s: int,
) -> Json:
    # Several prompts are several questions: one choice answers each.
    model = dialect.model(request)
    texts = [answer(Question(prompt.text or "", model=model)) for prompt in prompts]
    whole = [dialect.compose(text, model=model, id=id, created_s=created_s) for text in texts]
    asked = sum(count_words(prompt.text or "") for prompt in prompts)
    return whole[0] | {
        "choices": [one["choices"][0] | {"index": index} for index, one in enumerate(whole)],
        "usage": usage(dialect.name, asked, sum(map(count_words, texts))),
    }


def _turn(segment: Segment) -> object:
    return (segment.at or ())[:2]


def _joined(segments: Sequence[Segment]) -> str:
    return "\n".join(segment.text or "" for segment in segments)
