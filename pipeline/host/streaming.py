"""A streamed answer on its way through the chain: one stage per plugin, one event at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.api.answer import Answer, Event
from pipeline.api.decisions import CONTINUE, Continue, Decision, Refuse, Rewrite
from pipeline.api.dialect import Dialect, Restater
from pipeline.api.exchange import Exchange, advance
from pipeline.errors import PluginError
from pipeline.host.invoke import Bound
from pipeline.host.policy import Policy

Batch = Sequence[Event]


class StreamedAnswer:
    """Runs the events of one streamed answer through the stages of a route.

    Args:
        policy: runs the hooks.
        hooks: `on_response_event`, or `on_response` where a plugin has only that, in the order
            in which responses pass.
        dialect: the stream's format.
        max_bytes: how much one stage may hold.
    """

    def __init__(
        self, policy: Policy, hooks: Sequence[Bound], dialect: Dialect, max_bytes: int
    ) -> None:
        self._dialect = dialect
        self._stages = [
            _stage(policy, hook, dialect, max_bytes)
            for hook in hooks
            if policy.is_active(hook.instance)
        ]
        self._is_closed = False
        self._repeats = _restated(self._stages, dialect)
        self.is_ended = False

    async def feed(self, events: list[Event], *, ended: bool) -> list[Event]:
        """Run events through all stages and return what goes to the client.

        Args:
            events: complete events, in order.
            ended: the stream is over; without its terminal frame a closing event is made up.
        """
        if ended and not self._is_closed and not any(event.closes for event in events):
            events = [*events, Event(self._dialect, b"", closes=True)]
        if not self._stages:
            return events
        out: list[Event] = []
        for event in events:
            if self.is_ended:
                break
            # A plugin has been told that the stream is over: what follows is not for it.
            out += [event] if self._is_closed else await self._through(event)
            self._is_closed = self._is_closed or event.closes
        return out if self._repeats is None else [self._repeats(event) for event in out]

    async def _through(self, event: Event) -> Batch:
        batch: Batch = (event,)
        for stage in self._stages:
            produced: list[Event] = []
            if stage.repeats_before is not None:
                batch = [stage.repeats_before(one) for one in batch]
            for one in batch:
                if stage.repeats_from is not None:
                    stage.repeats_from.received(one)
                events, ends = stage.push_now(one) if stage.is_plain else await stage.push(one)
                produced += events
                if (ends or one.closes) and not any(made.closes for made in events):
                    # Whoever comes after this plugin is told that the stream is over all the same.
                    produced.append(Event(self._dialect, b"", closes=True))
                if ends:
                    self.is_ended = True
                    break
            batch = produced
            if not batch:
                break
        return batch


class _EventStage:
    """A plugin that sees every event."""

    def __init__(self, policy: Policy, hook: Bound, dialect: Dialect) -> None:
        self.policy = policy
        self.hook = hook
        self.dialect = dialect
        self.is_plain = hook.is_plain
        self.repeats_from: Restater | None = None  # is told of what comes in here
        self.repeats_before: Restater | None = None  # what comes in here goes through it first

    def push_now(self, event: Event) -> tuple[Batch, bool]:
        decision = self.policy.decide_now(self.hook, event)
        return ((event,), False) if decision is CONTINUE else self.outcome(decision, (event,))

    async def push(self, event: Event) -> tuple[Batch, bool]:
        decision = await self.policy.decide(self.hook, event)
        return self.outcome(decision, (event,))

    def outcome(self, decision: Decision, unchanged: Batch) -> tuple[Batch, bool]:
        match decision:
            case Continue():
                return unchanged, False
            case Rewrite(events=events, end=end):
                return (unchanged if events is None else tuple(events)), end
            case Refuse(status=status, code=code, message=message):
                errors = self.dialect.error_events(status=status, code=code, message=message)
                return errors, True
            case _:  # pragma: no cover - `checked` lets no Reply through
                raise AssertionError(decision)


class _WholeStage(_EventStage):
    """A plugin that sees the whole answer: the stream is held back for it, unless it only reads."""

    def __init__(self, policy: Policy, hook: Bound, dialect: Dialect, max_bytes: int) -> None:
        super().__init__(policy, hook, dialect)
        self.max_bytes = max_bytes
        self.is_plain = False
        # What is only recorded must not hold anything back either.
        self.only_reads = hook.instance.plugin.read_only or not policy.is_enforced(hook.instance)
        self.events: list[Event] = []
        self.held_bytes = 0
        self.is_done = False

    async def push(self, event: Event) -> tuple[Batch, bool]:
        if self.is_done:
            return (event,), False
        self.events.append(event)
        self.held_bytes += len(event.raw)
        if self.held_bytes > self.max_bytes:
            return self._unreadable("the answer is longer than limits.response_body", event)
        if not event.closes:
            return ((event,) if self.only_reads else ()), False
        self.is_done = True
        return await self._whole(event)

    async def _whole(self, closing: Event) -> tuple[Batch, bool]:
        exchange = self.policy.exchange
        try:
            answer = Answer(self.dialect, self.dialect.fold(self.events))
        except Exception:  # noqa: BLE001 - an upstream may send anything
            return self._unreadable("the stream is no answer of its API", closing)
        show_answer(exchange, answer)
        decision = await self.policy.decide(self.hook)
        unchanged: Batch = (closing,) if self.only_reads else self.events
        if isinstance(decision, Rewrite):
            if decision.answer is None or decision.answer is answer:
                return unchanged, False
            show_answer(exchange, decision.answer)
            return unfolded(exchange, decision.answer), False
        return self.outcome(decision, unchanged)

    def _unreadable(self, message: str, event: Event) -> tuple[Batch, bool]:
        self.is_done = True
        held: Batch = (event,) if self.only_reads else tuple(self.events)
        self.events = []
        error = PluginError(self.hook.instance.name, self.hook.hook, message)
        started_s = self.policy.ledger.clock()
        return self.outcome(self.policy.failed(self.hook, error, started_s), held)


def _stage(policy: Policy, hook: Bound, dialect: Dialect, max_bytes: int) -> _EventStage:
    if hook.hook == "on_response_event":
        return _EventStage(policy, hook, dialect)
    return _WholeStage(policy, hook, dialect, max_bytes)


def _restated(stages: Sequence[_EventStage], dialect: Dialect) -> Restater | None:
    """Keep repeated texts true wherever somebody reads them: before whole answers, and at the end.

    Returns:
        What events go through at the end.
    """
    repeats: Restater | None = None
    for stage in stages:
        if isinstance(stage, _WholeStage):
            stage.repeats_before, repeats = repeats, None
        elif repeats is None:
            repeats = stage.repeats_from = dialect.restate()
    return repeats


def unfolded(exchange: Exchange, answer: Answer) -> list[Event]:
    """Split an answer into the events that the exchange's call asked for."""
    request = dict(exchange.call.document) if exchange.call is not None else None
    return answer.dialect.unfold(dict(answer.document), request)


def show_answer(exchange: Exchange, answer: Answer) -> None:
    """Let the plugins that follow see an answer, whole."""
    assert exchange.response is not None  # noqa: S101 - headers come first
    advance(exchange, response=replace(exchange.response, answer=answer))
