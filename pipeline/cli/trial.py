"""One request, and perhaps an answer, through a chain in process; everything on record."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.decisions import Decision, Refuse, Rewrite
from pipeline.api.exchange import Exchange
from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.outcome import Outcome, Step
from pipeline.api.provider import Attempt
from pipeline.api.sse import FrameDecoder
from pipeline.cli.differences import diff_documents, diff_lines
from pipeline.cli.exchange_files import AnswerFile, RequestFile
from pipeline.dialects.encoding import decoded
from pipeline.errors import InvalidCall
from pipeline.host.backends import Link
from pipeline.host.invoke import Bound
from pipeline.host.names import ROUTE_HEADER
from pipeline.host.preparing import ATTEMPT_BUDGET_S, in_time
from pipeline.host.runtime import Route, Runtime
from pipeline.host.session import Choice, RouterSession
from pipeline.host.verdicts import Finish, Proceed

_NO_ATTRIBUTES: Mapping[str, str] = {}  # not `via_upstream`: no cache may store what comes of this


@dataclass(frozen=True, slots=True)
class Change:
    """What one decision would change, or did.

    Args:
        headers: header edits.
        diff: unified diff of the call or the answer.
        events: what became of each streamed event, a word or two.
    """

    headers: HeaderEdits = NO_EDITS
    diff: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


@dataclass(slots=True)
class Trial:
    """What happened.

    Args:
        exchange: the exchange at its end; None when no route matched.
        outcome: as `on_complete` saw it.
        request: what the request became: passed on with all its edits, or answered.
        response: what an answer became; None when there was none to run.
        answered: the answer's bytes as the client gets them.
        attempts: by backend, what each would be sent at the upstream level; why not, where a
            backend cannot be asked; None where its credential does not come.
        changes: of each step, in the order of the outcome's.
    """

    exchange: Exchange | None = None
    outcome: Outcome | None = None
    request: Proceed | Finish | None = None
    response: Proceed | Finish | None = None
    answered: bytes = b""
    attempts: dict[str, Attempt | InvalidCall | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


@dataclass(slots=True)
class _Stream:
    """What one plugin made of the events of a stream."""

    before: str = ""
    after: str = ""
    words: list[str] = field(default_factory=list)

    def add(self, event: Event, decision: Decision) -> None:
        word = "passed"
        events: tuple[Event, ...] = (event,)
        if isinstance(decision, Refuse):
            word, events = "refused", ()
        elif isinstance(decision, Rewrite) and decision.events is not None:
            events = tuple(decision.events)
            word = "rewritten" if events else "held back"
            word = "passed" if events == (event,) else word
        self.words.append(word)
        self.before += event.text
        self.after += "".join(one.text for one in events)

    def change(self) -> Change:
        diff = diff_lines(self.before.splitlines(), self.after.splitlines())
        return Change(diff=tuple(diff), events=tuple(self.words))


class _Record:
    """Watches the decisions of one exchange, and its end: a watcher and an observer."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.outcome: Outcome | None = None
        self._changes: dict[tuple[str, str], list[Change]] = defaultdict(list)
        self._streams: dict[str, _Stream] = defaultdict(_Stream)

    def decided(
        self, exchange: Exchange, given: tuple[Any, ...], bound: Bound, decision: Decision
    ) -> None:
        """Note what a decision changes."""
        name = bound.instance.name
        if bound.hook == "on_response_event":
            self._streams[name].add(given[0], decision)
        else:
            self._changes[name, bound.hook].append(_change(exchange, decision))

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Note how the exchange ended."""
        self.exchange, self.outcome = exchange, outcome

    def violation(self, kind: str) -> None:
        """Note nothing: a fault is the answer that the client gets."""

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """Note nothing: what an attempt leaves out is told with it."""

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """Note nothing: each step has its time."""

    def changes(self) -> list[Change]:
        """Return what each step of the outcome changed, in their order."""
        steps = self.outcome.steps if self.outcome is not None else ()
        # A stream's events are one step per kind of decision: the last tells of them all.
        return [self._taken(step) for step in reversed(steps)][::-1]

    def _taken(self, step: Step) -> Change:
        if step.decision == "error":
            return Change()
        if step.hook == "on_response_event":
            stream = self._streams.pop(step.instance, None)
            return stream.change() if stream is not None else Change()
        return self._changes[step.instance, step.hook].pop()


async def run_trial(
    runtime: Runtime, choice: Choice, request: RequestFile, answer: AnswerFile | None
) -> Trial:
    """Run a request through the chain of its route, and an answer back.

    Args:
        runtime: a compiled config; its plugins are started and shut down.
        choice: the routes in question.
        request: the request.
        answer: what the provider answers, None to stop before it.
    """
    record = _Record()
    session = RouterSession(
        runtime, choice, record, time.perf_counter, lambda: uuid.uuid4().hex, record
    )
    trial = Trial()
    await runtime.startup()
    try:
        trial.request = await _request(session, request)
        passed = isinstance(trial.request, Proceed)
        if passed and answer is not None:
            trial.response, trial.answered = await _response(session, answer, runtime)
        elif isinstance(trial.request, Finish):
            trial.answered = trial.request.body
        await session.complete(cancelled=passed and answer is None)
        if isinstance(trial.request, Proceed) and record.exchange is not None:
            target = target_of(runtime, record.exchange, trial.request)
            trial.attempts = await _attempts(target, record.exchange)
    finally:
        await runtime.shutdown()
    trial.exchange, trial.outcome, trial.changes = record.exchange, record.outcome, record.changes()
    return trial


def target_of(runtime: Runtime, exchange: Exchange, request: Proceed) -> Route:
    """Return the route whose backends a request goes to."""
    return runtime.routes[request.edits.set.get(ROUTE_HEADER, exchange.route)]


async def _attempts(target: Route, exchange: Exchange) -> dict[str, Attempt | InvalidCall | None]:
    links = target.links if target.plan.attempts else ()
    return {link.backend.name: await _attempt(link, exchange) for link in links}


async def _attempt(link: Link, exchange: Exchange) -> Attempt | InvalidCall | None:
    try:
        made = link.connection.prepare(exchange.request, exchange.call)
        return made if isinstance(made, Attempt) else await in_time(made, ATTEMPT_BUDGET_S)
    except InvalidCall as error:
        return error
    except TimeoutError:
        return None


async def _request(session: RouterSession, request: RequestFile) -> Proceed | Finish:
    first = await session.request_headers(
        request.pairs, ends=not request.body, attributes=_NO_ATTRIBUTES
    )
    if isinstance(first, Finish) or first.wish == "skip":
        return first
    second = await session.request_body(request.body)
    return second if isinstance(second, Finish) else _joined(first, second)


async def _response(
    session: RouterSession, answer: AnswerFile, runtime: Runtime
) -> tuple[Proceed | Finish, bytes]:
    first = await session.response_headers(answer.pairs, ends=False, attributes=_NO_ATTRIBUTES)
    if isinstance(first, Finish):
        return first, first.body
    if first.wish == "skip":
        return first, answer.body if first.body is None else first.body
    if first.wish == "bytes":
        plain = decoded(answer.body, first.encoding, runtime.config.limits.response_body)
        return first, (await session.response_bytes(plain, ended=True)).data
    if first.wish == "whole":
        second = await session.response_body(answer.body)
        if isinstance(second, Finish):
            return second, second.body
        joined = _joined(first, second)
        return joined, answer.body if joined.body is None else joined.body
    decoder = FrameDecoder(runtime.config.limits.event)
    frames = decoder.feed(answer.body) + decoder.finish()
    emit = await session.response_events(frames, ended=True)
    return first, emit.data


def _joined(first: Proceed, second: Proceed) -> Proceed:
    hides_answer = first.hides_answer or second.hides_answer
    return replace(second, edits=first.edits.then(second.edits), hides_answer=hides_answer)


def _change(exchange: Exchange, decision: Decision) -> Change:
    if not isinstance(decision, Rewrite):
        return Change()
    diff: list[str] = []
    if decision.call is not None and exchange.call is not None:
        diff = diff_documents(exchange.call, decision.call)
    response = exchange.response
    if decision.answer is not None and response is not None and response.answer is not None:
        diff = diff_documents(response.answer, decision.answer)
    return Change(decision.headers, tuple(diff))
