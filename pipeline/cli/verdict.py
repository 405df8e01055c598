"""What comes of a trial: what goes upstream, or what the client gets, credentials masked."""

from __future__ import annotations

import json
from typing import Any

from pipeline.api.headers import HeaderEdits
from pipeline.cli.differences import Mask, diff_lines
from pipeline.cli.exchange_files import AnswerFile, RequestFile
from pipeline.cli.trial import Trial, target_of
from pipeline.errors import InvalidCall
from pipeline.host.names import DROPPED_KEY
from pipeline.host.runtime import Route, Runtime
from pipeline.host.verdicts import Finish, Proceed


def request_verdict(
    runtime: Runtime, trial: Trial, request: RequestFile, mask: Mask
) -> dict[str, Any]:
    """Say what the request became."""
    verdict, exchange = trial.request, trial.exchange
    if isinstance(verdict, Finish):
        return _finished(verdict, mask)
    assert isinstance(verdict, Proceed)  # noqa: S101 - every trial begins with a request
    assert exchange is not None  # noqa: S101 - only a request on a route goes on
    target = target_of(runtime, exchange, verdict)
    notes = [_target_words(target)]
    if target.name != exchange.route:
        notes.insert(0, f"Envoy is told to take the route {target.name} instead")
    notes += _attempts(trial, mask)
    if dropped := (verdict.report or {}).get(DROPPED_KEY):
        notes.append(f"{exchange.backend} is not sent {dropped}")
    if verdict.body is None:
        notes.append(f"body as it came, byte for byte ({len(request.body)} bytes)")
    else:
        notes.append(f"body rewritten: {len(request.body)} → {len(verdict.body)} bytes")
    return {
        "goes": "upstream",
        "title": "Goes upstream",
        "status": None,
        "notes": notes,
        "headers": mask.edits(verdict.edits),
        "diff": _body_diff(request.body, verdict.body),
        "body": [],
    }


def response_verdict(
    runtime: Runtime, trial: Trial, answer: AnswerFile | None, mask: Mask
) -> dict[str, Any] | None:
    """Say what the answer became; None when none was run."""
    verdict, exchange = trial.response, trial.exchange
    if verdict is None or exchange is None or answer is None:
        return None
    if isinstance(verdict, Finish):
        return _finished(verdict, mask)
    notes = []
    asked = trial.request
    is_hidden = isinstance(asked, Proceed) and asked.hides_answer
    if is_hidden or not runtime.routes[exchange.route].plan.response_headers:
        notes.append("the route has no response phase: Envoy does not show its answers to the host")
    if trial.answered == answer.body:
        notes.append(f"body as it came, byte for byte ({len(answer.body)} bytes)")
    else:
        notes.append(f"body changed: {len(answer.body)} → {len(trial.answered)} bytes")
    return {
        "goes": "client",
        "title": "The client gets the answer",
        "status": 200,
        "notes": notes,
        "headers": mask.edits(verdict.edits),
        "diff": diff_lines(_readable(answer.body), _readable(trial.answered)),
        "body": [],
    }


def _finished(finish: Finish, mask: Mask) -> dict[str, Any]:
    word = "an answer from the chain" if finish.status < 400 else f"an error, {finish.code}"
    return {
        "goes": "client",
        "title": f"The client gets {finish.status}: {word}",
        "status": finish.status,
        "notes": [],
        "headers": mask.edits(HeaderEdits(set=finish.headers)),
        "diff": [],
        "body": _readable(finish.body),
    }


def _target_words(target: Route) -> str:
    if not target.links:
        return f"route {target.name} has no backends: Envoy has nowhere to send it"
    names = ", then ".join(
        f"{link.backend.name} ({link.backend.provider}, {link.backend.url.geturl()})"
        for link in target.links
    )
    return f"to {names}"


def _attempts(trial: Trial, mask: Mask) -> list[str]:
    notes = []
    for name, attempt in trial.attempts.items():
        what = f"an attempt at {name}"
        if isinstance(attempt, InvalidCall):
            notes.append(f"{what} is refused: {attempt.code}: {attempt.message}")
            continue
        if attempt is None:
            notes.append(f"{what} waits in vain for its credential")
            continue
        edits = mask.edits(attempt.headers)
        words = [
            f"-{name}" if value is None else f"{name}: {value}" for name, value in edits.items()
        ]
        if attempt.body is not None:
            words.append(f"a body of {len(attempt.body)} bytes")
        notes.append(f"{what} sets {'; '.join(words) or 'nothing'}")
        if attempt.dropped:
            notes.append(f"{what} leaves out {', '.join(sorted(attempt.dropped))}")
    return notes


def _body_diff(before: bytes, after: bytes | None) -> list[str]:
    return [] if after is None else diff_lines(_readable(before), _readable(after))


def _readable(body: bytes) -> list[str]:
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.splitlines()
    return json.dumps(value, indent=2, ensure_ascii=False).splitlines()
