"""The gRPC service: one stream of Envoy's, driven through the state machine."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import grpc

from pipeline.host.attempt import AttemptSession, backend_named
from pipeline.host.generations import Generation, Generations
from pipeline.host.names import DIGEST_METADATA, LEVEL_METADATA, ROUTE_ATTRIBUTE, ROUTE_METADATA
from pipeline.host.policy import Watcher
from pipeline.host.runtime import Observer
from pipeline.host.session import RouterSession
from pipeline.host.verdicts import Handler
from pipeline.stream.deciding import decide
from pipeline.stream.machine import Machine
from pipeline.stream.messages import Headers
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.adapter import (
    read_attributes,
    read_message,
    read_modes,
    write_patience,
    write_reply,
)
from pipeline.wire.admission import Admission
from pipeline.wire.recording import Tape
from pipeline.wire.tapping import Tap

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
_LOGGER = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[pb.ProcessingRequest, pb.ProcessingResponse]


class StreamGauge(Protocol):
    """Counts the streams that are open."""

    def stream_opened(self) -> None:
        """See a stream begin."""

    def stream_closed(self) -> None:
        """See a stream end."""


class ExternalProcessor:
    """Serves ext_proc streams.

    Args:
        generations: of the config; a stream stays with the one that it began with.
        observer: sees exchanges.
        streams: counts streams.
        clock: monotonic seconds.
        admission: what the process takes on; without limit if absent.
        watcher: sees every decision.
        tap: records streams.
    """

    def __init__(
        self,
        generations: Generations,
        observer: Observer,
        streams: StreamGauge,
        clock: Callable[[], float],
        admission: Admission | None = None,
        watcher: Watcher | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._generations = generations
        self._watcher = watcher
        self._tap = tap
        self._observer = observer
        self._streams = streams
        self._clock = clock
        self._admission = admission or Admission(generations.current.runtime.config.limits)

    async def process(self, _requests: object, context: Context) -> None:
        """Serve one stream; it ends by half-close, by cancellation, or with a final answer."""
        self._streams.stream_opened()
        stream: _Stream | None = None
        try:
            while True:
                request = await context.read()
                if not isinstance(request, pb.ProcessingRequest):  # grpc.aio.EOF
                    return
                if stream is None:
                    stream = self._open(context, request)
                for response in await stream.answer(request):
                    await context.write(response)
                if stream.machine.is_closed:
                    return
        except grpc.aio.BaseError:  # the connection's end, not ours
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - noted, and the stream ended
            await self._failed(context, error)
        finally:
            self._streams.stream_closed()
            if stream is not None:
                try:
                    await stream.close()
                finally:
                    self._generations.leave(stream.generation)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        process = grpc.stream_stream_rpc_method_handler(
            cast("Any", self.process),
            request_deserializer=pb.ProcessingRequest.FromString,
            response_serializer=pb.ProcessingResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Process": process})

    async def _failed(self, context: Context, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            # gRPC would put the exception's text into the status, and Envoy that into its log.
            _LOGGER.error("a stream failed", exc_info=error)
        elif context.cancelled():
            raise error
        # A plugin that cancels the task it runs in ends up here too: gRPC would never end the
        # stream, and Envoy wait for it.
        self._observer.violation("internal_error")
        await context.abort(grpc.StatusCode.INTERNAL, "the host failed")

    def _open(self, context: Context, first: pb.ProcessingRequest) -> _Stream:
        named, level, digest = None, "", ""
        for key, value in context.invocation_metadata() or ():
            if key == ROUTE_METADATA:
                named = str(value)
            elif key == LEVEL_METADATA:
                level = str(value)
            elif key == DIGEST_METADATA:
                digest = str(value)
        generation = self._generations.current
        if self._generations.kept is not None:
            generation = self._lagging(first, named, level, digest)
        runtime = generation.runtime
        limits = runtime.config.limits
        machine = Machine(
            *read_modes(first),
            max_request_bytes=limits.request_body,
            max_response_bytes=limits.response_body,
            max_event_bytes=limits.event,
        )
        admission = self._admission
        handler: Handler
        # An attempt belongs to an exchange that was let in.
        is_exchange = level != "upstream"
        if not is_exchange:
            handler = AttemptSession(runtime, runtime.routes.get(named or ""), self._observer)
        else:
            attribute = "" if named is not None else read_attributes(first).get(ROUTE_ATTRIBUTE, "")
            choice = generation.choice(named, attribute)
            handler = RouterSession(
                runtime,
                choice,
                self._observer,
                self._clock,
                _new_id,
                self._watcher,
                overloaded=None if admission.enter() else admission.over_exchanges,
                patience=partial(_ask_for_time, context, runtime.config.envoy.slack),
            )
        stream = _Stream(
            machine, handler, self._observer, admission, generation, is_exchange=is_exchange
        )
        if self._tap is not None:
            stream.record(self._tap, self._tap.begin(level, named))
        generation.streams += 1
        return stream

    def _lagging(
        self, first: pb.ProcessingRequest, named: str | None, level: str, digest: str
    ) -> Generation:
        """Return the generation for an Envoy whose own configuration may be an older one."""
        attributes = read_attributes(first)
        if level == "upstream":
            return self._generations.for_routes(named or "", backend_named(attributes), digest)
        names = attributes.get(ROUTE_ATTRIBUTE, "") if named is None else named
        return self._generations.for_routes(names, digest=digest)


async def _ask_for_time(context: Context, slack_s: float, seconds: float) -> None:
    await context.write(write_patience(seconds + slack_s))


def _new_id() -> str:
    return uuid.uuid4().hex


class _Stream:
    """One stream: its machine, its handler, and who has ended it."""

    def __init__(
        self,
        machine: Machine,
        handler: Handler,
        observer: Observer,
        admission: Admission,
        generation: Generation,
        *,
        is_exchange: bool,
    ) -> None:
        self.machine = machine
        self.generation = generation
        self._handler = handler
        self._observer = observer
        self._admission = admission
        self._is_exchange = is_exchange
        self._held_bytes = 0
        self._tap: Tap | None = None
        self._tape: Tape | None = None

    def record(self, tap: Tap, tape: Tape | None) -> None:
        """Keep what is said from now on, if there is a tape for it."""
        self._tap, self._tape = tap, tape

    async def answer(self, request: pb.ProcessingRequest) -> list[pb.ProcessingResponse]:
        """Take one message of Envoy's and return the answers to it."""
        message = read_message(request)
        if message is None:
            self._observer.violation("unknown_message")
            return []
        violations = self.machine.violations
        replies, ask = self.machine.receive(message)
        if not self._hold():
            replies, ask = [], self.machine.overloaded()
        if ask is not None:
            attributes = read_attributes(request) if isinstance(message, Headers) else {}
            verdict = await decide(self._handler, ask, attributes)
            replies = [*replies, *self.machine.resume(verdict)]
            if self._held_bytes:
                self._hold()  # less now
        for _ in range(self.machine.violations - violations):
            self._observer.violation("protocol_violation")
        if request.observability_mode:
            replies = []  # Envoy reads no answers
        responses = [write_reply(reply) for reply in replies]
        if self._tape is not None:
            self._tape.add(request)
            for response in responses:
                self._tape.add(response)
        return responses

    async def close(self) -> None:
        """End the exchange, whichever of its three ways the stream ended in."""
        cancelled = not (self.machine.is_closed or self.machine.is_complete)
        self._admission.hold(self._held_bytes, 0)
        if self._is_exchange:
            self._admission.leave()
        if self._tap is not None and self._tape is not None:
            self._tap.end(self._tape)
        try:
            await self._handler.complete(cancelled=cancelled)
        except Exception:
            _LOGGER.exception("an exchange could not be completed")

    def _hold(self) -> bool:
        held_bytes = self.machine.held_bytes
        if held_bytes == self._held_bytes:
            return True
        has_room = self._admission.hold(self._held_bytes, held_bytes)
        if has_room:
            self._held_bytes = held_bytes
        return has_room
