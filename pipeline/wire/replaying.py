"""Replaying: a recorded stream through a chain, and what it answers differently."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from google.protobuf import json_format

from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.host.generations import Generation, Generations
from pipeline.host.names import METADATA_NAMESPACE, REPORT_HEADERS
from pipeline.host.runtime import Runtime
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.recording import Redactor, Tape, redactor
from pipeline.wire.service import Context, ExternalProcessor

# Timings differ from run to run.
_TIMINGS = frozenset({"overhead_ms", "server_timing"})
_TIMING_HEADERS = frozenset(REPORT_HEADERS[key] for key in _TIMINGS)


@dataclass(slots=True)
class Replay:
    """What came of a stream.

    Args:
        tape: the recording.
        exchange: at its end; None where no route was found, and at the upstream level.
        outcome: as `on_complete` saw it.
        recorded: what the host answered then, for people, one text per answer.
        answered: what it answers now.
        messages: the same as messages, with nothing masked.
    """

    tape: Tape
    exchange: Exchange | None = None
    outcome: Outcome | None = None
    recorded: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    messages: list[pb.ProcessingResponse] = field(default_factory=list)


async def replay(runtime: Runtime, tape: Tape) -> Replay:
    """Run a recorded stream through its chain.

    Args:
        runtime: a compiled config whose plugins have been started.
        tape: the recording.
    """
    done = Replay(tape)
    seen = _Seen(done)
    player = _Player(tape)
    generations = Generations(Generation(1, runtime))
    processor = ExternalProcessor(generations, seen, seen, time.perf_counter)
    await processor.process(None, cast("Context", player))
    done.messages = player.answers
    redact = redactor(runtime.config, with_bodies=not tape.redacted)
    done.recorded = list(_readable(_answers(tape), redact))
    done.answered = list(_readable(player.answers, redact))
    return done


class _Player:
    """Plays Envoy's part of a tape, and takes the answers: all of a gRPC context that is used."""

    def __init__(self, tape: Tape) -> None:
        self._metadata = tape.metadata
        self._ahead = iter([m for m in tape.entries if isinstance(m, pb.ProcessingRequest)])
        self.answers: list[pb.ProcessingResponse] = []

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def read(self) -> Any:
        return next(self._ahead, grpc.aio.EOF)

    async def write(self, response: pb.ProcessingResponse) -> None:
        self.answers.append(response)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End as gRPC would: the host failed, and the log says why."""
        del code, details


class _Seen:
    """Sees the one exchange end: an observer, and a gauge that counts nothing."""

    def __init__(self, done: Replay) -> None:
        self._done = done

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        self._done.exchange, self._done.outcome = exchange, outcome

    def violation(self, kind: str) -> None:
        """Note nothing: it shows in the answers."""

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """Note nothing: it shows in the answers."""

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """Note nothing: nobody else waits."""

    def stream_opened(self) -> None:
        """Count nothing."""

    def stream_closed(self) -> None:
        """Count nothing."""


def _answers(tape: Tape) -> list[pb.ProcessingResponse]:
    return [m for m in tape.entries if isinstance(m, pb.ProcessingResponse)]


def _readable(answers: list[pb.ProcessingResponse], redact: Redactor) -> Iterator[str]:
    # Redacted as the recording is: else every text would differ.
    entries = redact(Tape((), entries=list(answers))).entries
    for message in entries:
        if isinstance(message, pb.ProcessingResponse):
            _without_timings(message)
            value = json_format.MessageToDict(message, preserving_proto_field_name=True)
            yield json.dumps(_decoded(value, message), indent=2, ensure_ascii=False, sort_keys=True)


def _without_timings(message: pb.ProcessingResponse) -> None:
    report = message.dynamic_metadata.fields
    if METADATA_NAMESPACE in report:
        fields = report[METADATA_NAMESPACE].struct_value.fields
        for key in _TIMINGS & fields.keys():
            del fields[key]
    for _, one in message.ListFields():
        for mutation in _header_mutations(one):
            kept = [o for o in mutation.set_headers if o.header.key not in _TIMING_HEADERS]
            del mutation.set_headers[:]
            mutation.set_headers.extend(kept)


def _header_mutations(part: Any) -> Iterator[Any]:
    if isinstance(part, pb.ImmediateResponse):
        yield part.headers
    elif isinstance(part, pb.HeadersResponse | pb.BodyResponse):
        yield part.response.header_mutation


def _decoded(value: Any, message: Any) -> Any:
    """Return a message's JSON with its bytes as text: in JSON they are base64."""
    if not isinstance(value, dict):
        return value
    shown: dict[str, Any] = {}
    for key, inner in value.items():
        given = getattr(message, key, None)
        if isinstance(given, bytes):
            shown[key] = given.decode("utf-8", "backslashreplace")
        elif isinstance(inner, list) and given is not None and not isinstance(given, str):
            shown[key] = [_decoded(i, g) for i, g in zip(inner, given, strict=True)]
        else:
            shown[key] = _decoded(inner, given)
    return shown
