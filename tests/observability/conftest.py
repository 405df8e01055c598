import io
import json
import logging
from types import SimpleNamespace

import pytest
import structlog

from pipeline.api.answer import Answer
from pipeline.api.call import Call
from pipeline.api.exchange import Exchange, Request, Response, advance
from pipeline.api.headers import Headers
from pipeline.api.outcome import Outcome, Step
from pipeline.api.signals import Signals
from pipeline.dialects.registry import builtin
from pipeline.observability.logs import configure_logs

USAGE = {"prompt_tokens": 12, "completion_tokens": 34}


def exchange(
    *,
    model="gpt-4o",
    headers=(),
    usage=USAGE,
    via_upstream=True,
    answered=True,
    dialect="openai.chat",
):
    chosen = builtin().by_name(dialect)
    made = Exchange(
        id="req-1",
        route="chat",
        tenant="key-0123",
        request=Request("POST", "/v1/chat/completions", "", "api", Headers(headers)),
        dialect=chosen,
        deadline_s=0.0,
        signals=Signals({}),
    )
    if model is not None:
        call = Call(chosen, {"model": model, "messages": []}, None)
        advance(made, call=call, backend="main")
    if answered:
        document = {
            "model": "gpt-4o-2024",
            "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
            "usage": usage,
        }
        answer = Answer(chosen, document)
        advance(made, response=Response(200, Headers(), via_upstream, answer))
    return made


def step(instance="guard", decision="continue", **changes):
    given = {
        "hook": "on_request",
        "reason": "",
        "started_s": 100.25,
        "duration_s": 0.002,
        "applied": True,
    }
    return Step(instance=instance, decision=decision, **{**given, **changes})


def outcome(*steps, ending="completed", status=200, duration_s=0.5, overhead_s=0.004):
    return Outcome(ending, status, "", steps, 0.0, duration_s, overhead_s)


@pytest.fixture
def make():
    """Factories of what an observer sees."""
    return SimpleNamespace(exchange=exchange, step=step, outcome=outcome)


@pytest.fixture
def log_to():
    """Configure the logs and return the stream they go to; all is undone afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def configure(level, format="json"):  # noqa: A002
        stream = io.StringIO()
        configure_logs(level, format, stream)
        return stream

    yield configure
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines_of():
    return lambda stream: [json.loads(line) for line in stream.getvalue().splitlines()]
