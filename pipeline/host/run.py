"""One exchange on its chosen route: the request phases, and what is done with their end."""

from __future__ import annotations

from collections.abc import Awaitable

from pipeline.api.call import Call
from pipeline.api.decisions import Decision, Refuse, Reply, Rewrite
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Exchange, Request, advance
from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.outcome import Ending, Outcome
from pipeline.api.provider import Translation
from pipeline.api.signals import Signals
from pipeline.host import replies
from pipeline.host.chain import Chain, Group
from pipeline.host.folded_response import FoldedResponse
from pipeline.host.inference import prefetch
from pipeline.host.ledger import Ledger
from pipeline.host.names import ROUTE_HEADER
from pipeline.host.origin import origin_report, path_report
from pipeline.host.policy import Policy, Watcher
from pipeline.host.preparing import Patience, dropped_names, dropped_words, prepared
from pipeline.host.response import ResponseSide
from pipeline.host.routing import first_match
from pipeline.host.runtime import Observer, Route, Runtime
from pipeline.host.tenancy import tenant_of
from pipeline.host.translating import TranslatedResponse
from pipeline.host.verdicts import Finish, Pairs, Proceed, Wish


class Run:
    """Runs one exchange on one route.

    Args:
        runtime: the compiled config.
        route: the route chosen.
        current: the route that Envoy is on; None if it is on none.
        exchange_id: the request id.
        request: the request as plugins may see it.
        pairs: its headers as Envoy sent them, for the tenant.
        dialect: its API format, if it speaks one.
        ledger: where steps are noted.
        watcher: sees every decision.
        chain: the plugins to run; the route's if None.
        patience: asks Envoy for more time, where an attempt needs it.
    """

    def __init__(
        self,
        runtime: Runtime,
        route: Route,
        current: Route | None,
        exchange_id: str,
        request: Request,
        pairs: Pairs,
        dialect: Dialect | None,
        ledger: Ledger,
        watcher: Watcher | None,
        chain: Chain | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.route = route
        self.chain = route.chain if chain is None else chain
        self.ledger = ledger
        self._runtime = runtime
        self._current = current
        self._patience = patience
        self._has_touched_routing = False
        self._hides_answer = False
        self._edits = NO_EDITS
        self._entered: int | None = None
        self._ending: Ending = "completed"
        self._status = 0
        self._code = ""
        deadline_s = ledger.clock() + route.budget_s
        self.exchange = Exchange(
            id=exchange_id,
            route=route.name,
            tenant=tenant_of(runtime.config.tenant, pairs),
            request=request,
            dialect=dialect,
            deadline_s=deadline_s,
            signals=Signals(runtime.signals, runtime.reader, deadline_s),
        )
        self._policy = Policy(self.exchange, ledger, runtime.pool, watcher)
        self.response: ResponseSide | FoldedResponse = self._response_side(None)

    def begin_message(self, now_s: float) -> None:
        """Give the hooks of the next message their budget, which runs from now."""
        self._wait_until(now_s + self.route.budget_s)

    def _wait_until(self, deadline_s: float) -> None:
        advance(self.exchange, deadline_s=deadline_s)
        self.exchange.signals.deadline_s = deadline_s

    def headers_phase(self) -> Awaitable[Finish | None]:
        """Run `on_request_headers`."""
        return self._phase(self.chain.request_headers)

    def call_phase(self, call: Call) -> Awaitable[Finish | None]:
        """Run `on_request` over the call."""
        advance(self.exchange, call=call)
        if self.chain.asking:
            active = [one for one in self.chain.asking if self._policy.is_active(one)]
            prefetch(self.exchange, call, active, self.ledger)
        return self._phase(self.chain.request)

    def must_read(self) -> bool:
        """Say whether the call is to be read: for plugins, a check or the backend."""
        dialect = self.exchange.dialect
        return self.route.must_read(dialect) or self._target().must_read(dialect)

    def proceed(self, wish: Wish) -> Proceed:
        """Let the request's headers go on; its body is still to be decided."""
        edits, self._edits = self._edits, NO_EDITS
        self._hides_answer = (
            self._is_unwatched()
            and self._target().keeps_answers(self.exchange.dialect)
            and not self.chain.may_reroute
        )
        return Proceed(edits=edits, wish=wish, hides_answer=self._hides_answer)

    async def send(self, observer: Observer, *, with_body: bool) -> Proceed | Finish:
        """Let the request go to its backend: nothing of it will be decided later.

        Args:
            observer: sees faults.
            with_body: the body goes out with this, so it may have changed.
        """
        edits, self._edits = self._edits, NO_EDITS
        target = self._target()
        is_rerouted = target is not self._current
        if is_rerouted:
            edits = edits.then(HeaderEdits(set={ROUTE_HEADER: target.name}))
        call = self.exchange.call
        request = self.exchange.request
        body: bytes | None = None
        told: dict[str, str] = {}
        link = target.folded
        if link is not None:
            attempt = await prepared(
                link,
                request,
                call if with_body else None,
                self.exchange.dialect,
                observer,
                may_translate=not self._hides_answer,
                patience=self._patience,
            )
            if isinstance(attempt, Finish):
                return self.end(attempt, "refused")
            edits = edits.then(attempt.headers)
            body = attempt.body
            advance(self.exchange, backend=link.backend.name)
            told = path_report(request)
            self.ledger.dropped = dropped_words(attempt.dropped)
            if attempt.translation is not None:
                self.response = self._translated(attempt.translation, observer)
        if body is None and with_body and call is not None and not call.is_untouched:
            body = call.encode()
        if body is not None and "content-encoding" in request.headers:
            edits = edits.then(HeaderEdits(remove=frozenset({"content-encoding"})))
        if target.plan.attempts:
            told = origin_report(request, body)
        if not with_body:
            is_plain = isinstance(self.response, ResponseSide)
            self._hides_answer = is_plain and self._is_unwatched()
        return Proceed(
            edits=edits,
            body=body,
            # Only then: on our Envoy's way to the same route the backend's path would not match it.
            clear_route=is_rerouted,
            report=self.ledger.report() | told,
            # Of use with headers alone: with the body Envoy takes no mode any more.
            hides_answer=self._hides_answer,
        )

    def end(self, finish: Finish, ending: Ending) -> Finish:
        """Note how the exchange ends for the client, and report the steps with it."""
        self._ending, self._status = ending, finish.status
        self._code = finish.code if ending == "refused" else ""
        headers = {**finish.headers, **replies.report_headers(self.ledger.report())}
        self.ledger.leave()
        return Finish(finish.status, headers, finish.body, finish.code)

    def fail(self, code: str) -> None:
        """Note that the answer failed after it had begun."""
        self._ending, self._code = "failed", code

    async def complete(self, observer: Observer, *, cancelled: bool) -> None:
        """Run `on_complete` for every plugin that was entered, then report the outcome."""
        self._status = self._status or self.response.status
        is_shown = self.route.plan.response_headers and not self._hides_answer
        never_answered = is_shown and not self._status
        if self._ending == "completed" and (cancelled or never_answered):
            self._ending = "cancelled"
        if self.chain.complete:
            # A stream that Envoy cancelled still gets its `on_complete`.
            await self._runtime.finish(self._look_back(observer))
        else:
            self._finish(observer)

    def _finish(self, observer: Observer) -> None:
        self.exchange.signals.cancel()
        observer.ended(self.exchange, self._outcome())
        for (instance, hook), held_s in self.ledger.held.items():
            observer.held(instance, hook, held_s)

    async def _look_back(self, observer: Observer) -> None:
        outcome = self._outcome()
        called = {step.instance for step in outcome.steps}
        for bound in self.chain.complete:
            was_entered = self._entered is None or bound.index <= self._entered
            if (was_entered or bound.instance.name in called) and self._policy.is_active(
                bound.instance
            ):
                # The last message's budget may long be over, and nobody waits for this but it.
                self._wait_until(self.ledger.clock() + bound.instance.timeout_s)
                await self._policy.look_back(bound, outcome)
        self._finish(observer)

    def _outcome(self) -> Outcome:
        ledger = self.ledger
        return Outcome(
            self._ending,
            self._status,
            self._code,
            ledger.steps,
            ledger.started_s,
            ledger.total_s,
            ledger.spent_s,
            dropped_names(ledger.dropped),
            self.exchange.signals.unread,
        )

    async def _phase(self, groups: tuple[Group, ...]) -> Finish | None:
        ended = await self._policy.run(groups, self._apply) if groups else None
        if ended is None:
            return None
        decision, bound = ended
        self._entered = bound.index
        self.response = side = self._response_side(bound.index)
        if isinstance(decision, Refuse):
            return self.end(await side.refused(decision), "refused")
        call = self.exchange.call
        streamed = call is not None and call.stream
        finish = await side.replied(decision.answer, decision.headers, streamed=streamed)
        return self.end(finish, "replied" if finish.status < 400 else "refused")

    def _apply(self, decision: Decision) -> Refuse | Reply | None:
        match decision:
            case Refuse() | Reply():
                return decision
            case Rewrite(call=call, headers=headers):
                if headers:
                    self._edits = self._edits.then(headers)
                    self._touch(headers)
                if call is not None:
                    before = self.exchange.call
                    if before is not None and before.model != call.model:
                        self._has_touched_routing |= self._runtime.routes_by_model
                    advance(self.exchange, call=call)
        return None

    def _touch(self, edits: HeaderEdits) -> None:
        names = edits.remove.union(edits.set)
        self._has_touched_routing |= not self._runtime.routing_headers.isdisjoint(names)
        request = self.exchange.request
        path, _, query = edits.set.get(":path", "").partition("?")
        changed = Request(
            method=edits.set.get(":method", request.method),
            path=path or request.path,
            query=query if path else request.query,
            host=edits.set.get(":authority", request.host),
            headers=request.headers.edited(edits.without_pseudo()),
        )
        advance(self.exchange, request=changed)

    def _target(self) -> Route:
        if not self._has_touched_routing:
            return self.route
        call = self.exchange.call
        model = call.model if call is not None else ""
        return first_match(self._runtime.candidates, self.exchange.request, model) or self.route

    def _is_unwatched(self) -> bool:
        """Say whether answers are sent for the sake of other calls alone."""
        return self.route.plan.response_headers and not self.chain.sees_responses

    def _translated(self, translation: Translation, observer: Observer) -> FoldedResponse:
        limits = self._runtime.config.limits
        dialect = self.exchange.dialect
        part = TranslatedResponse(translation, dialect, limits.response_body, observer)
        side = self._response_side(None)
        return FoldedResponse(part, side, limits.event, is_watched=self.chain.sees_responses)

    def _response_side(self, before: int | None) -> ResponseSide:
        max_bytes = self._runtime.config.limits.response_body
        return ResponseSide(self._policy, self.chain, max_bytes, before)
