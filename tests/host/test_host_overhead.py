"""The overhead of an exchange: all that the host does with its messages, and nothing between."""

import json

import pytest

from pipeline.api.outcome import Outcome
from pipeline.dialects.openai_chat import OpenAIChat
from pipeline.host.runtime import Silent
from pipeline.host.session import Choice, RouterSession
from pipeline.testing.clock import Clock
from tests.support.host import ask, runtime_of

READ_S = 0.25
CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class SlowChat(OpenAIChat):
    """A dialect that takes a while to check a call."""

    name = "slow"
    paths = ("/v1/slow",)

    def __init__(self, clock):
        self.clock = clock

    def check(self, document):
        self.clock.advance(READ_S)


class Kept(Silent):
    """Keeps the outcome."""

    outcome: Outcome

    def ended(self, exchange, outcome):
        self.outcome = outcome


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def runtime(clock):
    made = runtime_of({"routes": [{"name": "all"}]})
    made.dialects.add(SlowChat(clock))
    return made


async def test_reading_a_call_counts_and_waiting_for_envoy_does_not(clock, runtime):
    kept = Kept()
    session = RouterSession(runtime, Choice(runtime.candidates), kept, clock, lambda: "id")
    await ask(runtime, json.dumps(CALL).encode(), path="/v1/slow", session=session)
    clock.advance(5.0)
    await session.complete(cancelled=False)
    assert kept.outcome.overhead_s == READ_S
    assert kept.outcome.duration_s == READ_S + 5.0
