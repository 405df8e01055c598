"""`dragoman explain --request FILE`: every decision on one request, and what goes upstream."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from pipeline.api.outcome import Step
from pipeline.api.sse import FrameTooLong
from pipeline.cli.differences import Mask
from pipeline.cli.exchange_files import AnswerFile, RequestFile, read_answer_file, read_request_file
from pipeline.cli.explain import find_route
from pipeline.cli.options import compiled
from pipeline.cli.output import console, print_json
from pipeline.cli.trial import Change, Trial, run_trial
from pipeline.cli.verdict import request_verdict, response_verdict
from pipeline.host.runtime import Runtime
from pipeline.host.session import Choice

_CHAT = "/v1/chat/completions"


def explain_request(
    config: Path,
    name: str | None,
    request_file: Path,
    path: str | None,
    answer_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Run a request through its chain and print what happened.

    Args:
        config: the config file.
        name: the route; found by its match if None.
        request_file: the request.
        path: path of a request that is a body alone.
        answer_file: an answer to run back.
        as_json: print JSON.

    Raises:
        ConfigError: the config cannot be used, or has no such route.
        typer.BadParameter: a file is not what it should be.
    """
    with compiled(config) as runtime:
        route = find_route(runtime, name) if name is not None else None
        if path is None:
            path = (route.config.match.path if route is not None else None) or _CHAT
        request = read_request_file(request_file, path)
        answer = read_answer_file(answer_file) if answer_file is not None else None
        candidates = [(route.matcher, route)] if route is not None else runtime.candidates
        try:
            trial = asyncio.run(run_trial(runtime, Choice(candidates, route), request, answer))
        except FrameTooLong as error:
            raise typer.BadParameter(f"{answer_file}: {error}") from None
        document = _document(runtime, trial, request, answer)
    if as_json:
        print_json(document)
    else:
        _print(console(), document)


def _document(
    runtime: Runtime, trial: Trial, request: RequestFile, answer: AnswerFile | None
) -> dict[str, Any]:
    given = {name: value.decode("utf-8", "replace") for name, value in request.pairs}
    mask = Mask(key for link in runtime.links.values() for key in link.secrets)
    exchange, outcome = trial.exchange, trial.outcome
    steps = outcome.steps if outcome is not None else ()
    return {
        "request": f"{given[':method']} {given[':path']}",
        "route": exchange.route if exchange is not None else None,
        "tenant": exchange.tenant if exchange is not None else None,
        "dialect": exchange.dialect.name if exchange is not None and exchange.dialect else None,
        "ending": outcome.ending if outcome is not None else "refused",
        "overhead_ms": round(outcome.overhead_s * 1000, 3) if outcome is not None else 0.0,
        "steps": [
            _step(step, change, mask) for step, change in zip(steps, trial.changes, strict=True)
        ],
        "verdict": request_verdict(runtime, trial, request, mask),
        "answer": response_verdict(runtime, trial, answer, mask),
    }


def _step(step: Step, change: Change, mask: Mask) -> dict[str, Any]:
    return {
        "instance": step.instance,
        "hook": step.hook,
        "decision": step.decision,
        "reason": step.reason,
        "applied": step.applied,
        "ms": round(step.duration_s * 1000, 3),
        "headers": mask.edits(change.headers),
        "events": dict(Counter(change.events)),
        "diff": list(change.diff),
    }


_DECISION_STYLES = {
    "continue": "dim",
    "rewrite": "yellow",
    "reply": "cyan",
    "refuse": "red",
    "error": "bold red",
}


def _print(out: Console, document: dict[str, Any]) -> None:
    where = f"route [bold]{document['route']}[/]" if document["route"] else "no route"
    facts = [document["dialect"], document["tenant"] and f"tenant {document['tenant']}"]
    rest = "".join(f" · {escape(fact)}" for fact in facts if fact)
    out.print(f"[bold]{escape(document['request'])}[/] → {where}{rest}", soft_wrap=True)
    if document["steps"]:
        out.print(f"\n[bold]Decisions[/] [dim]({document['overhead_ms']:.2f} ms in all)[/]")
    width = max((len(f"{s['instance']} {s['hook']}") for s in document["steps"]), default=0)
    for number, step in enumerate(document["steps"], 1):
        out.print(step_text(number, step, width), soft_wrap=True)
        for line in _change_lines(step["headers"], step["events"], step["diff"]):
            out.print(Text("      ").append_text(line), soft_wrap=True)
    for title in ("verdict", "answer"):
        part = document[title]
        if part is not None:
            out.print()
            _print_verdict(out, part)


def step_text(number: int, step: dict[str, Any], width: int) -> Text:
    """Return one decision as a line."""
    text = Text(f"{number:3}  ")
    text.append(step["instance"], style="bold").append(f" {step['hook']}")
    text.pad_right(width - len(f"{step['instance']} {step['hook']}") + 2)
    text.append(f"{step['decision']:<9}", style=_DECISION_STYLES[step["decision"]])
    text.append(f"{step['ms']:8.2f} ms", style="dim")
    if step["reason"]:
        text.append(f"  {step['reason']}")
    if not step["applied"]:
        text.append("  not applied", style="italic magenta")
    return text


def _print_verdict(out: Console, part: dict[str, Any]) -> None:
    out.print(f"[bold]{escape(part['title'])}[/]", soft_wrap=True)
    for note in part["notes"]:
        out.print(Text(f"  {note}", style="dim"), soft_wrap=True)
    for line in _change_lines(part["headers"], {}, part["diff"]):
        out.print(Text("  ").append_text(line), soft_wrap=True)
    for line in part["body"]:
        out.print(Text(f"  {line}"), soft_wrap=True)


def _change_lines(
    headers: dict[str, str | None], events: dict[str, int], diff: Sequence[str]
) -> Iterator[Text]:
    for name, value in headers.items():
        if value is None:
            yield Text(f"- {name}", style="red")
        else:
            yield Text(f"+ {name}: {value}", style="green")
    if events:
        yield Text(
            ", ".join(
                f"{count} {'event' if count == 1 else 'events'} {word}"
                for word, count in events.items()
            )
        )
    styles = {"+": "green", "-": "red", "@": "dim cyan"}
    for line in diff:
        yield Text(line, style=styles.get(line[:1], ""))
