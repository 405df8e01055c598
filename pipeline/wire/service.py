"""The gRPC service: one stream of Envoy's, driven through the state machine."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any, Protocol, cast

import grpc

from pipeline.host.attempt import AttemptSession
from pipeline.host.names import LEVEL_METADATA, ROUTE_METADATA
from pipeline.host.runtime import Observer, Runtime
from pipeline.host.session import Choice, RouterSession
from pipeline.host.verdicts import Emit, Finish, Handler, Proceed
from pipeline.stream.machine import Machine
from pipeline.stream.messages import Ask, AskBody, AskEvents, AskFault, Headers
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.adapter import read_attributes, read_message, read_modes, write_reply

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
_LOGGER = logging.getLogger(__name__)
_ROUTE_ATTRIBUTE = "xds.route_name"

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
        runtime: the compiled config.
        observer: sees exchanges.
        streams: counts streams.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        runtime: Runtime,
        observer: Observer,
        streams: StreamGauge,
        clock: Callable[[], float],
    ) -> None:
        self._runtime = runtime
        self._observer = observer
        self._streams = streams
        self._clock = clock
        self._any_route = Choice(runtime.candidates)
        self._choices: dict[tuple[str | None, str], Choice] = {}

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
        except Exception:
            # gRPC would put the exception's text into the status, and Envoy that into its log.
            _LOGGER.exception("a stream failed")
            self._observer.violation("internal_error")
            await context.abort(grpc.StatusCode.INTERNAL, "the host failed")
        finally:
            self._streams.stream_closed()
            if stream is not None:
                await stream.close()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        process = grpc.stream_stream_rpc_method_handler(
            cast("Any", self.process),
            request_deserializer=pb.ProcessingRequest.FromString,
            response_serializer=pb.ProcessingResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Process": process})

    def _open(self, context: Context, first: pb.ProcessingRequest) -> _Stream:
        named, level = None, ""
        for key, value in context.invocation_metadata() or ():
            if key == ROUTE_METADATA:
                named = str(value)
            elif key == LEVEL_METADATA:
                level = str(value)
        runtime = self._runtime
        handler: Handler
        if level == "upstream":
            handler = AttemptSession(runtime, runtime.routes.get(named or ""), self._observer)
        else:
            attribute = (
                "" if named is not None else read_attributes(first).get(_ROUTE_ATTRIBUTE, "")
            )
            choice = self._choice(named, attribute)
            handler = RouterSession(runtime, choice, self._observer, self._clock, _new_id)
        limits = runtime.config.limits
        machine = Machine(
            *read_modes(first),
            max_request_bytes=limits.request_body,
            max_response_bytes=limits.response_body,
            max_event_bytes=limits.event,
        )
        return _Stream(machine, handler, self._observer)

    def _choice(self, named: str | None, attribute: str) -> Choice:
        """Return the routes in question.

        Args:
            named: the gRPC metadata, present when Envoy's configuration is ours: names in order.
            attribute: the name of Envoy's route, for an Envoy that somebody else configured.
        """
        choice = self._choices.get((named, attribute))
        if choice is None:
            routes = self._runtime.routes
            names = attribute if named is None else named
            found = [routes[name] for name in names.split(",") if name in routes]
            if not found and named is None:
                return self._any_route
            last = found[-1] if found else None
            # Where every candidate wants a certain model, our Envoy's route is its own 404.
            is_nowhere = named is not None and last is not None and last.matcher.model is not None
            choice = Choice([(r.matcher, r) for r in found], last, is_nowhere=is_nowhere)
            if found:
                self._choices[named, attribute] = choice
        return choice


def _new_id() -> str:
    return uuid.uuid4().hex


class _Stream:
    """One stream: its machine, its handler, and who has ended it."""

    def __init__(self, machine: Machine, handler: Handler, observer: Observer) -> None:
        self.machine = machine
        self._handler = handler
        self._observer = observer
        self._attributes: dict[str, str] = {}

    async def answer(self, request: pb.ProcessingRequest) -> list[pb.ProcessingResponse]:
        """Take one message of Envoy's and return the answers to it."""
        message = read_message(request)
        if message is None:
            self._observer.violation("unknown_message")
            return []
        self._attributes = read_attributes(request) if request.attributes else {}
        violations = self.machine.violations
        replies, ask = self.machine.receive(message)
        if ask is not None:
            replies = [*replies, *self.machine.resume(await self._decide(ask))]
        for _ in range(self.machine.violations - violations):
            self._observer.violation("protocol_violation")
        if request.observability_mode:
            return []  # Envoy reads no answers
        return [write_reply(reply) for reply in replies]

    async def close(self) -> None:
        """End the exchange, whichever of its three ways the stream ended in."""
        cancelled = not (self.machine.is_closed or self.machine.is_complete)
        try:
            await self._handler.complete(cancelled=cancelled)
        except Exception:
            _LOGGER.exception("an exchange could not be completed")

    async def _decide(self, ask: Ask) -> Proceed | Finish | Emit:
        handler = self._handler
        match ask:
            case Headers(side="request", pairs=pairs, ends=ends):
                return await handler.request_headers(pairs, ends=ends, attributes=self._attributes)
            case Headers(pairs=pairs, ends=ends):
                return await handler.response_headers(pairs, ends=ends, attributes=self._attributes)
            case AskBody(side="request", body=body):
                return await handler.request_body(body)
            case AskBody(body=body):
                return await handler.response_body(body)
            case AskEvents(frames=frames, ended=ended):
                return await handler.response_events(frames, ended=ended)
            case AskFault(status=status, code=code, message=message, in_stream=True):
                return handler.fault_in_stream(status=status, code=code, message=message)
            case AskFault(status=status, code=code, message=message):
                return handler.fault(status=status, code=code, message=message)
