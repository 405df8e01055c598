"""The ring: the last exchanges, what each plugin decided and what that changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import orjson

from pipeline.api.answer import Answer
from pipeline.api.call import Call
from pipeline.api.decisions import Decision, Refuse, Rewrite
from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome, Step
from pipeline.api.text import Segment
from pipeline.host.invoke import Bound
from pipeline.host.ledger import EVENT_HOOK
from pipeline.observability.facts import label
from pipeline.observability.fields import field_labels

_MAX_ENTRY_BYTES = 32 * 1024
_MAX_SEGMENTS = 20
_MAX_TEXT = 500
# Exchanges whose end has not come; one whose end never comes must not stay for ever.
_MAX_OPEN = 4096
Change = dict[str, Any]


class Ring:
    """Remembers exchanges by request id, the last ones only; a `Watcher` of the host.

    Memory is at most `capacity` times 32 KiB, and what the exchanges in flight changed.

    Args:
        capacity: how many.
        wall_s: turns monotonic seconds into seconds since the epoch.
        with_texts: keep the texts that changed; else their lengths.
    """

    def __init__(
        self, capacity: int, wall_s: Callable[[float], float], *, with_texts: bool = False
    ) -> None:
        self._capacity = capacity
        self._wall_s = wall_s
        self._with_texts = with_texts
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._open: OrderedDict[Exchange, dict[tuple[str, str], list[Change]]] = OrderedDict()

    def decided(
        self, exchange: Exchange, given: tuple[Any, ...], bound: Bound, decision: Decision
    ) -> None:
        """Note what a decision changes."""
        del given
        name, hook = bound.instance.name, bound.hook
        if hook == EVENT_HOOK:
            self._note_event(exchange, name, decision)
            return
        change = self._change(exchange, decision) if isinstance(decision, Rewrite) else {}
        self._changes(exchange).setdefault((name, hook), []).append(change)

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Remember an exchange that ended."""
        changes = self._open.pop(exchange, {})
        steps = [_step(step, _taken(changes, step)) for step in outcome.steps]
        name = label(exchange.id)
        entry = {
            "id": name,
            "route": exchange.route,
            "tenant": None if exchange.tenant is None else label(exchange.tenant),
            "dialect": exchange.dialect.name if exchange.dialect is not None else None,
            "backend": exchange.backend,
            "ending": outcome.ending,
            "status": outcome.status,
            "code": label(outcome.code),
            "dropped": field_labels(outcome.dropped),
            "unread_tokens": outcome.unread_tokens,
            "started_at": round(self._wall_s(outcome.started_s), 3),
            "duration_ms": round(outcome.duration_s * 1000, 3),
            "overhead_ms": round(outcome.overhead_s * 1000, 3),
            "steps": steps,
        }
        packed = orjson.dumps(entry)
        if len(packed) > _MAX_ENTRY_BYTES:
            slim = [{**step, "change": {"omitted": True}} for step in steps[:_MAX_SEGMENTS]]
            packed = orjson.dumps({**entry, "steps": slim})
        self._entries.pop(name, None)
        self._entries[name] = packed
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def get(self, exchange_id: str) -> bytes | None:
        """Return an exchange as JSON, None where it is not remembered."""
        return self._entries.get(exchange_id)

    def _changes(self, exchange: Exchange) -> dict[tuple[str, str], list[Change]]:
        changes = self._open.get(exchange)
        if changes is None:
            changes = self._open[exchange] = {}
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        return changes

    def _note_event(self, exchange: Exchange, name: str, decision: Decision) -> None:
        if isinstance(decision, Rewrite) and decision.events is not None:
            word = "rewritten" if decision.events else "held back"
        elif isinstance(decision, Refuse):
            word = "refused"
        else:
            return
        [counts] = self._changes(exchange).setdefault((name, EVENT_HOOK), [{"events": {}}])
        counts["events"][word] = counts["events"].get(word, 0) + 1

    def _change(self, exchange: Exchange, decision: Rewrite) -> Change:
        change: Change = {}
        if decision.headers:
            # Names alone: a value may be a credential.
            change["headers"] = {
                "set": sorted(decision.headers.set),
                "removed": sorted(decision.headers.remove),
            }
        if decision.call is not None and exchange.call is not None:
            change |= self._texts(exchange.call, decision.call)
            fields = sorted(_changed(_fields(exchange.call), _fields(decision.call)))
            if fields:
                change["fields"] = [label(name) for name in fields]
        response = exchange.response
        if decision.answer is not None and response is not None and response.answer is not None:
            change |= self._texts(response.answer, decision.answer)
        return change

    def _texts(self, before: Call | Answer, after: Call | Answer) -> Change:
        removed, added = _difference(before.segments, after.segments)
        return {
            name: [self._segment(one) for one in found[:_MAX_SEGMENTS]]
            for name, found in (("removed", removed), ("added", added))
            if found
        }

    def _segment(self, segment: Segment) -> Change:
        text = segment.text or ""
        about: Change = {"role": segment.role, "kind": segment.kind, "characters": len(text)}
        if self._with_texts:
            about["text"] = text[:_MAX_TEXT].encode("utf-8", "replace").decode()
        return about


def _difference(
    before: Sequence[Segment], after: Sequence[Segment]
) -> tuple[Sequence[Segment], Sequence[Segment]]:
    """Return what lies between the common beginning and the common end."""
    head = sum(1 for _ in takewhile(_same, zip(before, after, strict=False)))
    rest_before, rest_after = before[head:], after[head:]
    backwards = zip(reversed(rest_before), reversed(rest_after), strict=False)
    tail = sum(1 for _ in takewhile(_same, backwards))
    return rest_before[: len(rest_before) - tail], rest_after[: len(rest_after) - tail]


def _same(pair: tuple[Segment, Segment]) -> bool:
    one, other = pair
    return (one.role, one.kind, one.text) == (other.role, other.kind, other.text)


def _fields(call: Call) -> dict[str, Any]:
    return {"model": call.model, "stream": call.stream, **call.params}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield name


def _taken(changes: dict[tuple[str, str], list[Change]], step: Step) -> Change:
    found = changes.get((step.instance, step.hook))
    # A failure is no decision: nobody saw one. An event that passed changed nothing.
    changed = step.decision != "error" and (step.hook, step.decision) != (EVENT_HOOK, "continue")
    return found.pop(0) if found and changed else {}


def _step(step: Step, change: Change) -> Change:
    return {
        "instance": step.instance,
        "hook": step.hook,
        "decision": step.decision,
        "reason": label(step.reason),
        "applied": step.applied,
        "ms": round(step.duration_s * 1000, 3),
        "change": change,
    }
