"""`dragoman check`: the config's errors and lints, and what a running host has of it."""

from __future__ import annotations

from pathlib import Path

import typer

from pipeline.cli.options import compiled
from pipeline.cli.output import PROBLEMS, console, print_json, problem_json, problem_text
from pipeline.cli.running_host import compare
from pipeline.errors import ConfigError, Problem
from pipeline.host.lint import Lint, lint


def check(path: Path, admin: str | None, *, as_json: bool, strict: bool) -> None:
    """Print every error, or where there is none every lint.

    Args:
        path: the config file.
        admin: of a running host that the config is compared with; the config's, if it answers.
        as_json: print a list for machines.
        strict: treat warnings as errors.

    Raises:
        typer.Exit: with 1 when something must be put right.
    """
    errors: tuple[Problem, ...] = ()
    lints: list[Lint] = []
    routes = 0
    try:
        with compiled(path) as runtime:
            lints, routes = [*lint(runtime), *compare(runtime, admin)], len(runtime.routes)
    except ConfigError as error:
        errors = error.problems
    if as_json:
        found = [problem_json(problem) for problem in errors]
        print_json([*found, *(problem_json(x.problem, x.severity, x.rule) for x in lints)])
    else:
        out = console()
        for problem in errors:
            out.print(problem_text(problem), soft_wrap=True)
        for one in lints:
            out.print(problem_text(one.problem, one.severity), soft_wrap=True)
        out.print(_summary(path, len(errors), lints, routes), soft_wrap=True)
    if errors or (strict and _count(lints, "warning")):
        raise typer.Exit(PROBLEMS)


def _summary(path: Path, errors: int, lints: list[Lint], routes: int) -> str:
    if errors:
        return f"[bold red]✗[/] {path}: {_number(errors, 'error')}"
    counts = f"{_number(_count(lints, 'warning'), 'warning')}, {_count(lints, 'info')} to know"
    return f"[bold green]✓[/] {path}: {_number(routes, 'route')}, no errors, {counts}"


def _count(lints: list[Lint], severity: str) -> int:
    return sum(one.severity == severity for one in lints)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
