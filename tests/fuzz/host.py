"""A host in process that targets put streams through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import grpc

from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.host.generations import Generation, Generations
from pipeline.host.runtime import Runtime
from pipeline.observability.ring import Ring
from pipeline.testing.host import runtime_of
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.admission import Admission
from pipeline.wire.service import Context, ExternalProcessor

CONFIG = """
limits: {request_body: 8KiB, response_body: 8KiB, event: 2KiB, process_bytes: 64KiB}
plugins:
  template: {uses: prompt_template, with: {templates: {
    t: {messages: [{role: user, content: "about {{a}}"}], variables: {a: {type: string}}}}}}
  decorator: {uses: prompt_decorator, with: {append: [{role: system, content: be brief}]}}
  odd: {uses: "tests.support.ring_plugin:Odd"}
  late: {uses: "tests.support.ring_plugin:Odd", when: "headers['x-late'] == '1'"}
backends: {main: {provider: openai, api_key: key-of-the-backend}}
routes:
  - {name: chat, match: {path: /v1/chat/completions}, plugins: [template, decorator, odd, late],
     backends: [main]}
  - {name: anthropic, match: {path: /v1/messages}, plugins: [decorator, odd]}
  - {name: picked, match: {path: /v1/responses, model: "gpt*"}, plugins: [odd]}
  - {name: rest, match: {path_prefix: /}, other: pass, plugins: [late]}
"""


class Seen:
    """Sees exchanges end and violations happen."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.violations: list[str] = []

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        self.ring.ended(exchange, outcome)

    def violation(self, kind: str) -> None:
        self.violations.append(kind)

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """Note nothing: a fuzzed machine is busy."""

    def stream_opened(self) -> None:
        self.violations.clear()

    def stream_closed(self) -> None:
        """Count nothing."""


class Player:
    """Plays Envoy's part of a stream and notes how many answers each message gets."""

    def __init__(
        self, messages: Sequence[pb.ProcessingRequest], metadata: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self._ahead = iter(messages)
        self._metadata = metadata
        self.answers: list[list[pb.ProcessingResponse]] = []
        self.has_failed = False

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def read(self) -> Any:
        message = next(self._ahead, None)
        if message is None:
            return grpc.aio.EOF
        self.answers.append([])
        return message

    async def write(self, response: pb.ProcessingResponse) -> None:
        response.SerializeToString()
        self.answers[-1].append(response)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.has_failed = True

    def cancelled(self) -> bool:
        return False


class _Faults(logging.Handler):
    """Keeps what the host logs as failed, with its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            raise AssertionError(record.getMessage()) from record.exc_info[1]


class FuzzedHost:
    """A host and the event loop that it lives in."""

    def __init__(self) -> None:
        self.runtime: Runtime = runtime_of(CONFIG)
        self.ring = Ring(4, lambda seconds: seconds)
        self.seen = Seen(self.ring)
        self._ticks = iter(range(1 << 62))
        self._runner = asyncio.Runner()
        self._admission = Admission(self.runtime.config.limits)
        self.processor = ExternalProcessor(
            Generations(Generation(1, self.runtime)),
            self.seen,
            self.seen,
            lambda: next(self._ticks) / 1e6,
            self._admission,
            self.ring,
        )
        logging.getLogger("pipeline.wire.service").addHandler(_Faults())

    def play(self, player: Player) -> None:
        """Run a stream to its end.

        Raises:
            AssertionError: the host failed, or keeps something of the stream.
        """
        self._runner.run(self.processor.process(None, cast("Context", player)))
        assert not player.has_failed
        assert "internal_error" not in self.seen.violations
        assert (self._admission._held_bytes, self._admission._exchanges) == (0, 0)


@cache
def fuzzed_host() -> FuzzedHost:
    """Return the one host of this process."""
    return FuzzedHost()
