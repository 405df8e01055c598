"""An operator's request to a plugin, put to the workers: to one of them, or to all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.api.admin import AdminAnswer, AdminRequest
from pipeline.server.administering import WITHIN_S, fault
from pipeline.server.supervised import Worker

# Longer than a worker gives its plugin, so that the worker can say that this was not enough.
PATIENCE_S = WITHIN_S + 1.0
_REPEATABLE = frozenset({"GET", "HEAD"})


async def ask_workers(
    workers: Sequence[Worker], token: str, instance: str, request: AdminRequest
) -> AdminAnswer:
    """Ask one worker, and where its answer tells of itself alone, the others as well.

    Args:
        workers: all of them.
        token: what they ask for.
        instance: the plugin instance.
        request: what is asked.
    """

    async def ask(worker: Worker) -> AdminAnswer | None:
        return await worker.administer(instance, request, token, PATIENCE_S)

    unanswered: list[int] = []
    for first in workers:
        if first.state != "serving":
            continue
        answer = await ask(first)
        if answer is not None:
            break
        unanswered.append(first.role.index)
        if request.method not in _REPEATABLE:
            break  # it may be done, or be under way
    else:
        answer = None
    if answer is None:
        message = "no worker answered in time" if unanswered else "no worker serves yet"
        return fault(504 if unanswered else 503, message, unanswered=unanswered)
    if not answer.is_local:
        return answer
    others = [one for one in workers if one is not first and one.role.index not in unanswered]
    found = await asyncio.gather(*(ask(worker) for worker in others))
    by_index = {first.role.index: answer}
    for worker, its in zip(others, found, strict=True):
        if its is None or its.status >= 500:
            unanswered.append(worker.role.index)
        else:
            by_index[worker.role.index] = its
    return _together([by_index[index] for index in sorted(by_index)], sorted(unanswered))


def _together(answers: Sequence[AdminAnswer], unanswered: Sequence[int]) -> AdminAnswer:
    # What one has, another need not: who has nothing to tell is heard where nobody has.
    good = [one for one in answers if one.status < 400] or answers[:1]
    document = merged(one.document for one in good)
    if unanswered:
        document["unanswered"] = list(unanswered)
    return replace(good[0], document=document)


def merged(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return workers' documents as one: lists joined, numbers added, objects merged.

    Of anything else, and of what differs in kind, the first stands.
    """
    into: dict[str, Any] = {}
    for document in documents:
        for key, value in document.items():
            into[key] = _both(into[key], value) if key in into else value
    return into


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return merged((one, other))
    if _is_number(one) and _is_number(other):
        return one + other
    return one


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
