"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table's lines."""
    lines = [_line(titles), _line("---" for _ in titles)]
    return lines + [_line(cell(value) for value in row) for row in rows]


def cell(text: str) -> str:
    """Return a text that can stand in a cell."""
    return " ".join(text.split()).replace("\\|", "|").replace("|", "\\|")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
