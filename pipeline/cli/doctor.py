"""`dragoman doctor`: the usual faults of a live set-up, each with its cure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from pipeline.cli.options import compiled
from pipeline.cli.output import PROBLEMS, console, print_json
from pipeline.doctor.case import Case
from pipeline.doctor.dump import Dump, read_dump
from pipeline.doctor.expected import Expected, expect
from pipeline.doctor.finding import Finding
from pipeline.doctor.probe import ask_envoy, ask_host
from pipeline.doctor.rules import RULES, examine

_STYLES = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}


def doctor(
    config: Path, admin: str | None, dump: Path | None, cluster: str | None, *, as_json: bool
) -> None:
    """Examine a live Envoy, or a dump of one, and print what is wrong.

    Args:
        config: the config file; without it only what needs none is looked at.
        admin: URL of Envoy's admin endpoint; the config's if None.
        dump: a file with `/config_dump` or a bootstrap, instead of a live Envoy.
        cluster: the host's cluster, where it cannot be told.
        as_json: print JSON.

    Raises:
        typer.Exit: with 1 where an error was found.
        DragomanError: Envoy or the file cannot be read.
    """
    expected, own_admin = _expected(config)
    url = _url(admin or own_admin)
    if dump is not None:
        case = Case(_read(dump), expected, cluster)
    else:
        case = asyncio.run(_live(url, expected, cluster))
    found = examine(case)
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        _print(console(), found, str(dump or url), config if expected is not None else None)
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(PROBLEMS)


def _expected(config: Path) -> tuple[Expected | None, str]:
    if not config.is_file():
        return None, "127.0.0.1:9901"
    with compiled(config) as runtime:
        return expect(runtime.config, runtime.plans), runtime.config.envoy.admin


def _url(admin: str) -> str:
    return admin if "://" in admin else f"http://{admin}"


async def _live(url: str, expected: Expected | None, cluster: str | None) -> Case:
    dump = await ask_envoy(url)
    case = Case(dump, expected, cluster)
    faults = await ask_host(case.addresses, is_tls="transport_socket" in (case.host or {}))
    return Case(dump, expected, cluster, faults)


def _read(file: Path) -> Dump:
    raw = file.read_text(encoding="utf-8", errors="replace")
    value: Any
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        try:
            value = yaml.safe_load(raw)
        except (yaml.YAMLError, RecursionError):
            raise typer.BadParameter(f"{file} is neither JSON nor YAML") from None
    return read_dump(value)


def _print(out: Console, found: Sequence[Finding], what: str, config: Path | None) -> None:
    for finding in found:
        style = _STYLES[finding.severity]
        out.print(
            f"[{style}]{finding.severity}[/] [bold]{finding.rule}[/] {escape(finding.what)}",
            soft_wrap=True,
        )
        out.print(f"  [dim]where[/] {escape(finding.where)}", soft_wrap=True)
        out.print(f"  [dim]fix[/]   {escape(finding.fix)}", soft_wrap=True)
        for line in finding.yaml.splitlines():
            out.print(f"        {escape(line)}", soft_wrap=True)
        out.print()
    if config is None:
        out.print("[dim]No config: what a route needs was not compared. Give --config PATH.[/]")
    if found:
        counts = [f"{sum(f.severity == s for f in found)} {s}" for s in _STYLES]
        out.print(f"{escape(what)}: {', '.join(counts)}", soft_wrap=True)
    else:
        out.print(
            f"[bold green]✓[/] {escape(what)}: nothing found by {len(RULES)} rules", soft_wrap=True
        )
