"""Charts as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import svg

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)
BARS = POSITIVE.map(lambda value: svg.Bar(value, value * 0.9, value * 1.1))


def elements(document, name):
    return ET.fromstring(document).iter(f"{{http://www.w3.org/2000/svg}}{name}")


@given(st.lists(st.tuples(BARS, BARS), min_size=1, max_size=5), st.booleans())
def test_bars_lie_within_the_picture_and_every_figure_is_written(pairs, logarithmic):
    groups = [(f"group {i} <&>", pair) for i, pair in enumerate(pairs)]

    drawn = svg.bars("A title", "ms", ["p50", "p99"], groups, logarithmic=logarithmic)

    rects = [r for r in elements(drawn, "rect") if r.get("height") != "12"]
    assert len(rects) == 2 * len(pairs)
    assert all(0 < float(r.get("width")) <= 760 - float(r.get("x")) for r in rects)
    assert drawn == svg.bars("A title", "ms", ["p50", "p99"], groups, logarithmic=logarithmic)


def test_a_bar_is_as_long_as_its_value_says():
    drawn = svg.bars("t", "ms", ["x"], [("a", [svg.Bar(1, 1, 1)]), ("b", [svg.Bar(4, 4, 4)])])

    first, second = (float(r.get("width")) for r in elements(drawn, "rect") if r.get("y") != "34")
    assert second == pytest.approx(4 * first, rel=0.01)


def test_what_is_missing_leaves_its_place_empty():
    drawn = svg.bars("t", "ms", ["x", "y"], [("a", [None, svg.Bar(4, 3, 5)])])

    assert [r.get("class") for r in elements(drawn, "rect") if r.get("y") != "34"] == ["b"]


@given(st.lists(POSITIVE, min_size=2, max_size=50))
def test_a_line_lies_within_the_picture(values):
    drawn = svg.line("t", "requests", "MB", [(i + 1, value) for i, value in enumerate(values)])

    (polyline,) = elements(drawn, "polyline")
    points = [tuple(map(float, pair.split(","))) for pair in polyline.get("points").split()]
    assert len(points) == len(values)
    assert all(64 <= x <= 760 and 60 <= y <= 310 for x, y in points)
