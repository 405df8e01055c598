"""Output: for people through rich, for machines as JSON, and exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from pipeline.errors import ConfigError, DragomanError, Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PROBLEMS = 1
"""Exit code where something was found that must be put right; 2 is a wrong command line."""

_STYLES = {"warning": "bold yellow", "info": "bold cyan"}


def console(*, stderr: bool = False) -> Console:
    """Return a console; nothing is highlighted or wrapped that we did not ask for."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Print a value for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201


def problem_json(problem: Problem, severity: str = "error", rule: str = "") -> dict[str, Any]:
    """Return a problem as JSON values."""
    return {
        "severity": severity,
        "rule": rule,
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
    }


def problem_text(problem: Problem, severity: str = "error") -> Text:
    """Return a problem as `file:line: key: message`; a lint says its severity before the key."""
    from rich.text import Text

    where = ":".join(str(part) for part in (problem.file, problem.line) if part is not None)
    text = Text()
    if where:
        text.append(f"{where}: ", style="dim")
    if severity in _STYLES:
        text.append(f"{severity}: ", style=_STYLES[severity])
    if problem.key:
        text.append(problem.key, style="bold")
        text.append(": ")
    return text.append(problem.message)


def print_problems(problems: Sequence[Problem], to: Console) -> None:
    """Print problems for people, one a line."""
    for problem in problems:
        to.print(problem_text(problem), soft_wrap=True)


@contextmanager
def reported(*, as_json: bool = False) -> Iterator[None]:
    """Print what went wrong instead of a traceback, and exit with 1."""
    try:
        yield
    except DragomanError as error:
        problems = error.problems if isinstance(error, ConfigError) else (Problem("", str(error)),)
        if as_json:
            print_json([problem_json(problem) for problem in problems])
        else:
            print_problems(problems, console(stderr=True))
        raise typer.Exit(PROBLEMS) from None


def read_json(text: str, what: str) -> Any:
    """Parse a file that the user named; a wrong one is a wrong command line.

    Raises:
        typer.BadParameter: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{what} is not JSON: {error}") from None
