"""SVG charts: horizontal bars with intervals, and a line. Same data, same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.report import number

_WIDTH, _LEFT, _RIGHT = 760, 230, 90
_BAR, _GAP, _TOP = 16, 14, 64
_PLOT_HEIGHT = 240
_SERIES = ("a", "b", "c", "d")
_STYLE = """\
<style>
 svg { background: #fff; font: 13px system-ui, sans-serif }
 text { fill: #1f2328 } .dim { fill: #59636e } .axis { stroke: #d1d9e0 }
 .whisker { stroke: #1f2328 } .line { stroke: #0969da; fill: none; stroke-width: 1.5 }
 .a { fill: #8c959f } .b { fill: #54aeff } .c { fill: #0969da } .d { fill: #bf8700 }
 @media (prefers-color-scheme: dark) {
  svg { background: #0d1117 } text { fill: #f0f6fc } .dim { fill: #9198a1 }
  .axis { stroke: #3d444d } .whisker { stroke: #f0f6fc } .line { stroke: #4493f8 }
  .a { fill: #656c76 } .b { fill: #79c0ff } .c { fill: #1f6feb } .d { fill: #d29922 }
 }
</style>
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Args:
        value: its length.
        low: lower end of its interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


def bars(
    title: str,
    unit: str,
    series: Sequence[str],
    groups: Sequence[tuple[str, Sequence[Bar | None]]],
    *,
    logarithmic: bool = False,
) -> str:
    """Draw groups of horizontal bars, one a series, each with its figure and interval."""
    found = [bar for _, members in groups for bar in members if bar is not None]
    highest = max(bar.high for bar in found)
    lowest = 10 ** math.floor(math.log10(min(bar.value for bar in found))) if logarithmic else 0.0

    def place(value: float) -> float:
        if logarithmic:
            share = math.log(max(value, lowest) / lowest) / math.log(highest / lowest)
        else:
            share = max(value, 0.0) / highest
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    parts = []
    y = float(_TOP)
    for label, members in groups:
        middle = y + _BAR * len(members) / 2 + 4
        parts.append(_text(_LEFT - 8, middle, label, anchor="end"))
        for name, bar in zip(_SERIES, members, strict=False):
            if bar is not None:
                end, low, high = place(bar.value), place(bar.low), place(bar.high)
                at = y + _BAR / 2
                width = max(end - _LEFT, 1)
                parts.append(
                    f'<rect class="{name}" x="{_LEFT}" y="{y + 1:.1f}" width="{width:.1f}" '
                    f'height="{_BAR - 2}"/>'
                )
                parts.append(_line("whisker", low, at, high, at))
                parts.append(_text(max(end, high) + 6, at + 4, number(bar.value)))
            y += _BAR
        y += _GAP
    suffix = ", logarithmic scale" if logarithmic else ""
    head = [_text(12, 22, title, bold=True), _line("axis", _LEFT, _TOP - 6, _LEFT, y - _GAP + 6)]
    at_x = float(_LEFT)
    for name, label in zip(_SERIES, series, strict=False):
        head.append(f'<rect class="{name}" x="{at_x:.0f}" y="34" width="12" height="12"/>')
        head.append(_text(at_x + 17, 45, label))
        at_x += 17 + 7.2 * len(label) + 18
    head.append(_text(12, 45, f"{unit}{suffix}", dim=True))
    return _document(title, y, [*head, *parts])


def line(title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float]]) -> str:
    """Draw a line through points, from zero upwards on the vertical axis."""
    most_x = max(x for x, _ in points)
    step = _step(max(y for _, y in points))
    most_y = step * math.ceil(max(y for _, y in points) / step)
    left, bottom = 64, _TOP + _PLOT_HEIGHT

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / most_x * (_WIDTH - left - _RIGHT), bottom - y / most_y * _PLOT_HEIGHT

    parts = [_text(12, 22, title, bold=True), _text(12, 45, y_label, dim=True)]
    for tick in range(round(most_y / step) + 1):
        _, y = at(0, tick * step)
        parts.append(_line("axis", left, y, _WIDTH - _RIGHT, y))
        parts.append(_text(left - 6, y + 4, number(tick * step), anchor="end"))
    step = _step(most_x)
    for tick in range(int(most_x / step) + 1):
        x, _ = at(tick * step, 0)
        parts.append(_text(x, bottom + 18, f"{tick * step:,.0f}", anchor="middle"))
    parts.append(_text((left + _WIDTH) / 2, bottom + 38, x_label, anchor="middle", dim=True))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    parts.append(f'<polyline class="line" points="{path}"/>')
    return _document(title, bottom + 48, parts)


def _step(most: float) -> float:
    """Return a round step that goes about five times into a number."""
    unit = 10 ** math.floor(math.log10(most / 5))
    return float(next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= most / 5))


def _document(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" role="img">\n<title>{escape(title)}</title>\n'
    )
    return head + _STYLE + "\n".join(parts) + "\n</svg>\n"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False, dim: bool = False
) -> str:
    extra = ' font-weight="600"' if bold else ""
    extra += ' class="dim"' if dim else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}{extra}>{escape(text)}</text>"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
