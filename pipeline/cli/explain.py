"""`dragoman explain ROUTE`: the effective chain, what Envoy sends for it, and its lints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.cli.options import compiled
from pipeline.cli.output import console, print_json, problem_json, problem_text
from pipeline.cli.words import match_words, plan_words, policies, seconds_words
from pipeline.config.load import nearest
from pipeline.errors import ConfigError
from pipeline.host.chain import Group
from pipeline.host.invoke import Bound
from pipeline.host.lint import Lint, lint
from pipeline.host.runtime import Route, Runtime

_SIDE_BY_SIDE = "∥"


def explain_route(path: Path, name: str, *, as_json: bool) -> None:
    """Print a route's chain.

    Raises:
        ConfigError: there is no such route.
    """
    with compiled(path) as runtime:
        route = find_route(runtime, name)
        lints = [one for one in lint(runtime) if name in one.routes]
        if as_json:
            print_json(_document(runtime, route, lints))
        else:
            _print(console(), runtime, route, lints)


def find_route(runtime: Runtime, name: str) -> Route:
    """Return a route by its name.

    Raises:
        ConfigError: there is none.
    """
    route = runtime.routes.get(name)
    if route is None:
        hint = nearest(name, runtime.routes) or f"; there are {', '.join(runtime.routes)}"
        raise ConfigError(runtime.source.problem(("routes",), f"there is no route {name!r}{hint}"))
    return route


def _phases(route: Route) -> list[tuple[str, Sequence[Group]]]:
    chain = route.chain
    return [
        ("Request headers", chain.request_headers),
        ("Request", chain.request),
        ("Response headers", chain.response_headers),
        ("Whole answer", chain.response),
        ("Streamed answer", [(bound,) for bound in chain.stream]),
        ("After the answer", [(bound,) for bound in chain.complete]),
    ]


def _document(runtime: Runtime, route: Route, lints: list[Lint]) -> dict[str, Any]:
    return {
        "route": route.name,
        "match": route.config.match.model_dump(exclude_none=True),
        "dialect": _dialect(runtime, route),
        "other": route.config.other,
        "backends": [link.backend.name for link in route.links],
        "phases": [
            {"phase": title, "groups": [[_hook(bound) for bound in group] for group in groups]}
            for title, groups in _phases(route)
            if groups
        ],
        "envoy": asdict(route.plan),
        "lints": [problem_json(one.problem, one.severity, one.rule) for one in lints],
    }


def _hook(bound: Bound) -> dict[str, Any]:
    instance = bound.instance
    return {"instance": instance.name, "hook": bound.hook, **policies(instance)}


def _dialect(runtime: Runtime, route: Route) -> str | None:
    if route.config.dialect is not None:
        return route.config.dialect
    found = runtime.dialects.for_path(route.config.match.path or "")
    return found.name if found is not None else None


def _order(route: Route) -> str:
    told = {
        link.backend.name: f"{link.backend.name} [dim]({link.backend.provider}, "
        f"{escape(link.backend.url.geturl())})[/]"
        for link in route.links
    }
    return " → ".join(
        " | ".join(
            f"{weight}x {told[name]}" if len(shares) > 1 else told[name]
            for name, weight in shares.items()
        )
        for shares in route.config.backends
    )


def _print(out: Console, runtime: Runtime, route: Route, lints: list[Lint]) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("[dim]matches[/]", escape(match_words(route.config.match)))
    facts.add_row("[dim]dialect[/]", _dialect(runtime, route) or "found by the request's path")
    facts.add_row("[dim]no LLM call[/]", f"{route.config.other} (`other`)")
    facts.add_row("[dim]backends[/]", _order(route) or "none")
    out.print(f"[bold]Route {route.name}[/]")
    out.print(facts)
    out.print()
    if route.chain.instances:
        out.print(_chain_table(route))
        if any(len(group) > 1 for _, groups in _phases(route) for group in groups):
            out.print(
                f"[dim]{_SIDE_BY_SIDE} read-only neighbours of one number run side by side[/]"
            )
    else:
        out.print("No plugins: calls pass through.")
    out.print("\n[bold]What Envoy sends[/]")
    modes = Table.grid(padding=(0, 2))
    for part, words in plan_words(route):
        modes.add_row(f"[dim]{part}[/]", words)
    out.print(modes)
    if lints:
        out.print("\n[bold]Lints[/]")
        for one in lints:
            out.print(problem_text(one.problem, one.severity), soft_wrap=True)


def _chain_table(route: Route) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("Phase, plugin", "Hook", "Timeout", "On error", "Mode"):
        table.add_column(title, no_wrap=True)
    table.add_column("When", overflow="fold")
    for title, groups in _phases(route):
        if groups:
            table.add_row(f"[bold]{title}[/]")
        for number, group in enumerate(groups, 1):
            for bound in group:
                row = _hook(bound)
                mark = _SIDE_BY_SIDE if len(group) > 1 else " "
                table.add_row(
                    f"{number:3}{mark} {row['instance']}",
                    row["hook"],
                    seconds_words(row["timeout_s"]),
                    row["on_error"],
                    row["mode"],
                    escape(row["when"] or ""),
                )
    return table
