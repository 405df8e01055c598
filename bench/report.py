"""The report: tables for people, rows of JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Estimate, mean
from bench.scenarios import METRICS, Rounds, Scenario, Variant


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Args:
        name: dotted, stable.
        value: the figure.
        unit: of the value and the target.
        target: the most it may be, or the least; None when nothing was promised.
        estimate: the figure's interval, where it comes from rounds.
        at_least: whether the target is the least it may be.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    estimate: Estimate | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the value meets the target; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def goal(self) -> str:
        """The target in words; empty without one."""
        if self.target is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {number(self.target)}"

    @property
    def certain(self) -> bool:
        """Whether the interval lies on one side of the target."""
        if self.target is None or self.estimate is None:
            return True
        return not self.estimate.low <= self.target <= self.estimate.high


def scenario_rows(scenario: Scenario, rounds: Rounds) -> list[Row]:
    """Return a scenario's figures, one row per variant and metric."""
    rows = []
    for variant, samples in rounds.items():
        for metric in (metric for metric in scenario.metrics if metric in samples[0]):
            estimate = mean([sample[metric] for sample in samples])
            name = f"{scenario.key}.{variant}.{metric}"
            rows.append(Row(name, estimate.value, METRICS[metric][1], estimate=estimate))
    return rows


def print_scenario(
    console: Console, scenario: Scenario, variants: Sequence[Variant], rows: Sequence[Row]
) -> None:
    """Print a scenario as a table: a line per variant, a column per metric."""
    found = {row.name: row for row in rows}
    table = Table(title=scenario.title, title_justify="left")
    table.add_column("")
    for metric in scenario.metrics:
        heading, unit = METRICS[metric]
        table.add_column(f"{heading}, {unit}", justify="right")
    for variant in variants:
        names = [f"{scenario.key}.{variant.key}.{metric}" for metric in scenario.metrics]
        table.add_row(variant.title, *(figure(found.get(name)) for name in names))
    console.print(table)


def print_targets(console: Console, rows: Sequence[Row]) -> None:
    """Print the figures that have a target, or that compare two variants."""
    table = Table(title="Targets (95 % intervals over rounds)", title_justify="left")
    table.add_column("")
    for heading in ("value", "low", "high", "target", "unit"):
        table.add_column(heading, justify="right")
    table.add_column("holds")
    for row in rows:
        ends = (row.estimate.low, row.estimate.high) if row.estimate is not None else ("", "")
        table.add_row(
            row.name,
            number(row.value),
            *(number(end) for end in ends),
            row.goal,
            row.unit,
            _verdict(row),
        )
    console.print(table)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = [
        {
            "name": row.name,
            "value": row.value,
            "unit": row.unit,
            "target": row.target,
            "at_least": row.at_least,
            "holds": row.holds,
            "low": None if row.estimate is None else row.estimate.low,
            "high": None if row.estimate is None else row.estimate.high,
        }
        for row in rows
    ]
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote."""
    rows = []
    for entry in json.loads(path.read_text()):
        value, low, high = entry["value"], entry["low"], entry["high"]
        estimate = None if low is None else Estimate(value, low, high)
        rows.append(
            Row(entry["name"], value, entry["unit"], entry["target"], estimate, entry["at_least"])
        )
    return rows


def number(value: float | str) -> str:
    """Return a figure with as many digits as it deserves; a text as it is."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def figure(row: Row | None) -> str:
    """Return a figure with half its interval; empty if there is none."""
    if row is None:
        return ""
    if row.estimate is None:
        return number(row.value)
    return f"{number(row.value)} ± {number((row.estimate.high - row.estimate.low) / 2)}"


def _verdict(row: Row) -> str:
    if row.holds is None:
        return ""
    verdict = "[green]yes[/]" if row.holds else "[red]no[/]"
    return verdict if row.certain else f"{verdict} (within noise)"
