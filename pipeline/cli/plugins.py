"""`dragoman plugins`: configured instances, and installed plugins that no instance uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from pipeline.cli.options import DEFAULT_CONFIG, compiled
from pipeline.cli.output import console, print_json
from pipeline.cli.words import policies, seconds_words
from pipeline.host.instances import HOOKS, Instance
from pipeline.host.loading import installed
from pipeline.host.runtime import Runtime


def plugins(path: Path, *, as_json: bool) -> None:
    """Print both lists; where there is no config yet, only what is installed."""
    configured: list[dict[str, Any]] = []
    if path.exists() or path != DEFAULT_CONFIG:
        with compiled(path) as runtime:
            configured = [_row(runtime, name) for name in runtime.instances]
    used = {row["uses"] for row in configured}
    # Names alone: nothing is imported that no config names.
    idle = [
        {"name": name, "distribution": entry.dist.name, "version": entry.dist.version}
        for name, entries in sorted(installed().items())
        for entry in entries
        if name not in used and entry.dist is not None
    ]
    if as_json:
        print_json({"configured": configured, "installed": idle})
        return
    out = console()
    if configured:
        out.print(_table(configured))
    if idle:
        names = ", ".join(
            f"[bold]{r['name']}[/] ({r['distribution']} {r['version']})" for r in idle
        )
        out.print(f"Installed, not in the config: {names}")


def _row(runtime: Runtime, name: str) -> dict[str, Any]:
    instance: Instance = runtime.instances[name]
    plugin = instance.plugin
    return {
        "name": name,
        "uses": instance.uses,
        "distribution": instance.found.distribution,
        "version": instance.found.version,
        "traits": sorted(plugin.traits),
        "hooks": [hook for hook in HOOKS if instance.has(hook)],
        "routes": [route.name for route in runtime.config.routes if name in route.plugins],
        "read_only": plugin.read_only,
        "blocking": plugin.blocking,
        **policies(instance),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="bold dim")
    for title in ("Plugin", "From", "Hooks", "Routes", "Policies"):
        table.add_column(title, overflow="fold", no_wrap=title == "Hooks")
    for row in rows:
        kind = ", ".join([*row["traits"], *(k for k in ("read_only", "blocking") if row[k])])
        source = f"{row['distribution']} {row['version']}".strip()
        policies = [
            f"timeout {seconds_words(row['timeout_s'])}",
            f"on_error {row['on_error']}",
            f"mode {row['mode']}",
            *([f"when {row['when']}"] if row["when"] else []),
        ]
        table.add_row(
            f"[bold]{row['name']}[/]" + (f"\n[dim]{kind.replace('_', '-')}[/]" if kind else ""),
            f"{escape(row['uses'])}\n[dim]{escape(source)}[/]",
            "\n".join(row["hooks"]) or "[dim]none[/]",
            "\n".join(row["routes"]) or "[dim]none[/]",
            escape("\n".join(policies)),
        )
    return table
