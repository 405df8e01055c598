"""`dragoman replay FILE`: recorded streams through today's chain, without Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from pipeline.cli.differences import diff_lines
from pipeline.cli.explain_request import step_text
from pipeline.cli.options import compiled
from pipeline.cli.output import PROBLEMS, console, print_json
from pipeline.host.runtime import Runtime
from pipeline.wire.recording import Tape, decode
from pipeline.wire.replaying import Replay, replay

_STYLES = {"+": "green", "-": "red", "@": "dim cyan"}


def replay_file(config: Path, file: Path, exchange_id: str | None, *, as_json: bool) -> None:
    """Replay a recording and print every decision, and what the host answers differently.

    Args:
        config: the config file.
        file: a recording, one stream a line.
        exchange_id: only the stream of this request id.
        as_json: print JSON.

    Raises:
        ConfigError: the config cannot be used.
        NotARecording: a line of the file is none.
        typer.Exit: with 1 where something differs.
    """
    with compiled(config) as runtime:
        documents = [_document(one) for one in asyncio.run(_replayed(runtime, file, exchange_id))]
    if not documents:
        raise typer.BadParameter(f"{file} has no such stream")
    if as_json:
        print_json(documents)
    else:
        _print(console(), documents)
    if any(document["diff"] for document in documents):
        raise typer.Exit(PROBLEMS)


async def _replayed(runtime: Runtime, file: Path, exchange_id: str | None) -> list[Replay]:
    await runtime.startup()
    try:
        return [await replay(runtime, tape) for tape in _tapes(file, exchange_id)]
    finally:
        await runtime.shutdown()


def _tapes(file: Path, exchange_id: str | None) -> Iterator[Tape]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            tape = decode(line)
            if exchange_id is None or tape.request_id == exchange_id:
                yield tape


def _document(done: Replay) -> dict[str, Any]:
    exchange, outcome = done.exchange, done.outcome
    before = [line for answer in done.recorded for line in answer.splitlines()]
    after = [line for answer in done.answered for line in answer.splitlines()]
    return {
        "id": done.tape.request_id,
        "level": done.tape.level,
        "redacted": done.tape.redacted,
        "route": exchange.route if exchange is not None else None,
        "ending": outcome.ending if outcome is not None else None,
        "steps": [
            {
                "instance": step.instance,
                "hook": step.hook,
                "decision": step.decision,
                "reason": step.reason,
                "applied": step.applied,
                "ms": round(step.duration_s * 1000, 3),
            }
            for step in (outcome.steps if outcome is not None else ())
        ],
        "answers": len(done.answered),
        "diff": diff_lines(before, after),
    }


def _print(out: Console, documents: list[dict[str, Any]]) -> None:
    for document in documents:
        where = f"route [bold]{document['route']}[/]" if document["route"] else "no exchange"
        facts = [document["level"], document["ending"]]
        rest = "".join(f" · {fact}" for fact in facts if fact)
        out.print(f"[bold]{escape(document['id'] or 'a stream')}[/] → {where}{rest}")
        steps = document["steps"]
        width = max((len(f"{s['instance']} {s['hook']}") for s in steps), default=0)
        for number, step in enumerate(steps, 1):
            out.print(step_text(number, step, width), soft_wrap=True)
        if document["diff"]:
            out.print("  [yellow]answers otherwise than it was recorded:[/]")
            for line in document["diff"]:
                out.print(Text(f"  {line}", style=_STYLES.get(line[:1], "")), soft_wrap=True)
        else:
            out.print(f"  [green]answers as it was recorded[/] ({document['answers']})")
        out.print()
    if any(document["redacted"] for document in documents):
        out.print(
            "[dim]Texts of redacted recordings are masked: plugins that judge by texts decide "
            "otherwise.[/]",
            soft_wrap=True,
        )
    changed = sum(bool(document["diff"]) for document in documents)
    out.print(f"{len(documents)} replayed, {changed} differ")
