"""The router level of one stream: reading the request, choosing the route, running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Request
from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.sse import Frame, FrameTooLong
from pipeline.errors import InvalidCall
from pipeline.host import reading, replies
from pipeline.host.chain import NO_PLUGINS
from pipeline.host.ledger import Ledger
from pipeline.host.models import models_answer
from pipeline.host.names import DROPPED_KEY, metadata_attribute
from pipeline.host.policy import Watcher
from pipeline.host.preparing import Patience
from pipeline.host.routing import Matcher, Undecided, first_match, match_outside
from pipeline.host.run import Run
from pipeline.host.runtime import Observer, Route, Runtime
from pipeline.host.verdicts import PROCEED, Emit, Finish, Pairs, Proceed, Verdict

_DROPPED = metadata_attribute(DROPPED_KEY)
_ASK_FOR_PLAIN = HeaderEdits(remove=frozenset({"accept-encoding"}))


@dataclass(frozen=True, slots=True)
class Choice:
    """The routes that Envoy's configuration leaves to choose from.

    Args:
        candidates: in config order; the first that matches is taken.
        current: the route that Envoy is on, where it is known.
        is_nowhere: Envoy is on no route at all until the host names one.
    """

    candidates: Sequence[tuple[Matcher, Route]]
    current: Route | None = None
    is_nowhere: bool = False


class RouterSession:
    """Decides for one exchange at router level.

    Args:
        runtime: the compiled config.
        choice: the routes in question.
        observer: sees the exchange end.
        clock: monotonic seconds.
        new_id: makes the id of an exchange whose request has none.
        watcher: sees every decision, for `explain`.
        overloaded: where the process has exchanges enough: called with whether this one goes on
            without plugins, as its route allows; if not it is refused.
        patience: asks Envoy for more time than the message at hand has.
    """

    def __init__(
        self,
        runtime: Runtime,
        choice: Choice,
        observer: Observer,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        watcher: Watcher | None = None,
        overloaded: Callable[[bool], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._runtime = runtime
        self._choice = choice
        self._observer = observer
        self._new_id = new_id
        self._watcher = watcher
        self._overloaded = overloaded
        self._patience = patience
        self._ledger = Ledger(clock)
        self._pairs: Pairs = ()
        self._spoofed: frozenset[str] = frozenset()
        self._request: Request | None = None
        self._dialect: Dialect | None = None
        self._run: Run | None = None

    async def request_headers(
        self,
        pairs: Pairs,
        *,
        ends: bool,
        attributes: Mapping[str, str],  # noqa: ARG002 - for the level that is told its backend
    ) -> Verdict:
        """Choose the route, unless only the model can tell, and run `on_request_headers`."""
        self._ledger.enter()
        self._pairs = pairs
        request, self._spoofed = reading.read_request(pairs)
        self._request = request
        models = self._models(request)
        if models is not None:
            return models
        self._dialect = self._runtime.dialects.for_path(request.path)
        chosen = match_outside(self._choice.candidates, request)
        if isinstance(chosen, Undecided):
            self._dialect = self._dialect or self._dialect_of_candidates()
            if reading.is_call(request, self._dialect):
                if ends:
                    return self._refused(_empty_body())
                return self._left(Proceed(edits=self._stripped(), wish="whole"))
            chosen = first_match(self._choice.candidates, request, "")
        run = self._enter(chosen, request)
        if isinstance(run, Finish):
            return run
        is_call = reading.is_call(request, run.exchange.dialect)
        if not is_call and run.route.config.other == "refuse":
            message = f"{request.method} on this path is no LLM call, and the route takes no other"
            return self._refused(InvalidCall(message, code="not_an_llm_call", status=404))
        if is_call and ends:
            return self._refused(_empty_body())
        finish = await run.headers_phase()
        if finish is not None:
            return finish
        if is_call and run.must_read():
            return self._headed(run.proceed("whole"))
        sent = await run.send(self._observer, with_body=False)
        return sent if isinstance(sent, Finish) else self._headed(sent)

    async def request_body(self, body: bytes) -> Verdict:
        """Parse the call, run `on_request`, and prepare the attempt where it is folded in."""
        request, run = self._request, self._run
        assert request is not None  # noqa: S101 - headers come first
        self._ledger.enter()
        dialect = run.exchange.dialect if run is not None else self._dialect
        assert dialect is not None  # noqa: S101 - a body is wanted for calls alone
        max_bytes = self._runtime.config.limits.request_body
        try:
            call = reading.read_call(body, request, dialect, max_bytes)
        except InvalidCall as error:
            return self._refused(error)
        if run is None:
            chosen = first_match(self._choice.candidates, request, call.model)
            entered = self._enter(chosen, request)
            if isinstance(entered, Finish):
                return entered
            run = entered
            finish = await run.headers_phase()
            if finish is not None:
                return finish
        run.begin_message(self._ledger.clock())
        finish = await run.call_phase(call)
        if finish is not None:
            return finish
        sent = await run.send(self._observer, with_body=True)
        return sent if isinstance(sent, Finish) else self._left(sent)

    async def response_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """Run `on_response_headers` and report the steps in the response's headers."""
        run = self._run
        if run is None:
            return PROCEED
        run.begin_message(self._ledger.enter())
        if _DROPPED in attributes:
            self._ledger.dropped = attributes[_DROPPED]
        verdict = await run.response.headers(pairs, ends=ends, attributes=attributes)
        if isinstance(verdict, Finish):
            return run.end(verdict, "refused")
        if run.response.is_watched and not run.response.holds_headers:
            self._report(verdict)
        return self._left(verdict)

    async def response_body(self, body: bytes) -> Verdict:
        """Run `on_response`, after `on_response_headers` where that waited for the body."""
        run = self._run
        if run is None:
            return PROCEED
        run.begin_message(self._ledger.enter())
        held_headers = run.response.holds_headers
        verdict = await run.response.body(body)
        if isinstance(verdict, Finish):
            return run.end(verdict, "refused")
        if held_headers:
            self._report(verdict)
        return self._left(verdict)

    async def response_events(self, frames: list[Frame], *, ended: bool) -> Emit:
        """Run `on_response_event`."""
        run = self._run
        if run is None:
            return Emit(b"".join(frame.raw for frame in frames), is_original=True)
        run.begin_message(self._ledger.enter())
        emit = await run.response.events(frames, ended=ended)
        self._ledger.leave()
        return emit

    async def response_bytes(self, data: bytes, *, ended: bool) -> Emit:
        """Translate a piece of a stream, and run `on_response_event` for what it completes."""
        run = self._run
        if run is None:
            return Emit(data, is_original=True)
        run.begin_message(self._ledger.enter())
        try:
            emit = await run.response.piece(data, ended=ended)
        except FrameTooLong:
            message = "an event of the answer is too large"
            emit = self.fault_in_stream(status=502, code="event_too_large", message=message)
        self._ledger.leave()
        return emit

    def fault(self, *, status: int, code: str, message: str) -> Finish:
        """Word a fault that the stream found."""
        self._observer.violation(code)
        return self._refused(InvalidCall(message, code=code, status=status))

    def fault_in_stream(self, *, status: int, code: str, message: str) -> Emit:
        """Word a fault of a stream that has begun as the error event that ends it."""
        self._observer.violation(code)
        run = self._run
        if run is None:
            return Emit(b"", is_original=False, end=True)
        run.fail(code)
        return run.response.fault(status=status, code=code, message=message)

    async def complete(self, *, cancelled: bool) -> None:
        """Run `on_complete` and report the outcome."""
        if self._run is not None:
            await self._run.complete(self._observer, cancelled=cancelled)

    def _models(self, request: Request) -> Finish | None:
        """Answer who asks for the models; a route may pass that on where the config names none."""
        answer = models_answer(request, self._runtime.models)
        if answer is None or self._runtime.models:
            return answer
        route = match_outside(self._choice.candidates, request)
        return None if isinstance(route, Route) and route.config.other == "pass" else answer

    def _enter(self, route: Route | None, request: Request) -> Run | Finish:
        if route is None:
            message = f"no route matches {request.method} on this path"
            return self._refused(InvalidCall(message, code="route_not_found", status=404))
        if self._overloaded is not None:
            self._overloaded(route.chain.fails_open)
            if not route.chain.fails_open:
                message = "too many exchanges at once; try again in a moment"
                return self._refused(InvalidCall(message, code="overloaded", status=503))
        named = route.config.dialect
        dialect = self._runtime.dialects.by_name(named) if named is not None else self._dialect
        self._run = Run(
            self._runtime,
            route,
            None if self._choice.is_nowhere else self._choice.current or route,
            request.headers.get("x-request-id") or self._new_id(),
            request,
            self._pairs,
            dialect,
            self._ledger,
            self._watcher,
            None if self._overloaded is None else NO_PLUGINS,
            self._patience,
        )
        return self._run

    def _dialect_of_candidates(self) -> Dialect | None:
        """Return the dialect that a candidate names, on a path that tells none."""
        named = (route.config.dialect for _, route in self._choice.candidates)
        name = next((name for name in named if name is not None), None)
        return None if name is None else self._runtime.dialects.by_name(name)

    def _stripped(self) -> HeaderEdits:
        """Remove what the client sent under our prefix, and compression that plugins can't read."""
        is_read = self._run is None or self._run.chain.reads_response
        plain = _ASK_FOR_PLAIN if is_read else NO_EDITS
        return HeaderEdits(remove=plain.remove | self._spoofed) if self._spoofed else plain

    def _refused(self, error: InvalidCall) -> Finish:
        dialect = self._run.exchange.dialect if self._run is not None else self._dialect
        finish = replies.refusal(
            dialect, status=error.status, code=error.code, message=error.message, param=error.param
        )
        return finish if self._run is None else self._run.end(finish, "refused")

    def _headed(self, verdict: Proceed) -> Proceed:
        stripped = self._stripped()
        if stripped:
            verdict.edits = stripped.then(verdict.edits)
        return self._left(verdict)

    def _report(self, verdict: Proceed) -> None:
        report = HeaderEdits(set=replies.report_headers(self._ledger.report()))
        verdict.edits = verdict.edits.then(report)

    def _left(self, verdict: Proceed) -> Proceed:
        self._ledger.leave()
        return verdict


def _empty_body() -> InvalidCall:
    return InvalidCall("the request has no body", code="empty_body")
