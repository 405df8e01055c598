"""Rows, their goals, and the page that is made of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import page
from bench.measure import Estimate
from bench.report import Row, figure, number, read_rows, write_rows

ROOT = Path(__file__).parent.parent.parent
SURE = Row("a.b", 1.2, "ratio", 1.25, Estimate(1.2, 1.18, 1.22))
UNSURE = Row("a.c", 1.2, "ratio", 1.25, Estimate(1.2, 1.1, 1.3))


@pytest.mark.parametrize(
    ("value", "target", "at_least", "holds", "goal"),
    [
        (1.0, 1.5, False, True, "≤ 1.5"),
        (2.0, 1.5, False, False, "≤ 1.5"),
        (9.0, 8, True, True, "≥ 8"),
        (7.0, 8, True, False, "≥ 8"),
        (7.0, None, False, None, ""),
    ],
)
def test_a_goal_is_the_most_or_the_least(value, target, at_least, holds, goal):
    row = Row("a", value, "x", target, at_least=at_least)

    assert (row.holds, row.goal) == (holds, goal)


def test_a_goal_inside_the_interval_is_within_noise():
    assert page.verdict(SURE) == "yes"
    assert page.verdict(UNSURE) == "yes, within noise"


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [SURE, UNSURE, Row("memory", 80.5, "MB"), Row("more", 9, "ratio", 8, at_least=True)]
    path = tmp_path / "build" / "rows.json"

    write_rows(path, rows)

    assert read_rows(path) == rows


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (12.345, "12.3"), (0.01234, "0.0123"), ("x", "x")]
)
def test_figures_have_three_digits(value, text):
    assert number(value) == text


def test_a_figure_has_half_its_interval():
    assert figure(UNSURE) == "1.2 ± 0.1"
    assert figure(Row("a", 3.0, "s")) == "3"
    assert figure(None) == ""


def test_a_table_of_goals_says_what_was_measured_and_whether_it_holds():
    rows = {row.name: row for row in (SURE, Row("a.d", 9, "ms", 5), Row("b", 1, "ms", 5))}

    table = page.goal_table(rows, ["a."])

    assert table.splitlines()[2:] == [
        "| `a.b` | 1.2 ± 0.02 | ratio | ≤ 1.25 | yes |",
        "| `a.d` | 9 | ms | ≤ 5 | **no** |",
    ]


def test_a_table_of_sizes_has_no_line_for_what_has_no_such_figure():
    row = Row("ladder_6kb_16.floor.python_us", 400.0, "µs", estimate=Estimate(400, 390, 410))

    table = page.size_table({row.name: row}, "16", "python_us")

    assert table.splitlines()[2:] == ["| the floor | 400 ± 10 |  |  |  |"]


def test_a_page_is_filled_where_it_asks_and_left_alone_where_nothing_was_measured():
    def nothing():
        raise page.NotMeasured("no soak")

    text = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\nkept\n<!-- end -->\n"

    filled, left = page.fill(text, {"one": lambda: "new\n", "two": nothing})

    assert filled == text.replace("old", "new")
    assert left == ["two: no soak"]
    assert page.fill(filled, {"one": lambda: "new\n", "two": nothing})[0] == filled


def test_an_empty_place_is_filled():
    filled, _ = page.fill("<!-- one -->\n<!-- end -->\n", {"one": lambda: "new\n"})

    assert filled == "<!-- one -->\nnew\n<!-- end -->\n"


def test_the_page_asks_only_for_tables_that_there_are():
    asked = re.findall(r"<!-- ([a-z0-9-]+) -->", (ROOT / page.PAGE).read_text())

    assert asked
    assert set(asked) - {"end"} == set(page.tables({}))


def test_a_scenario_without_a_figure_is_not_measured():
    with pytest.raises(page.NotMeasured, match="buffered_16"):
        page.tables({})["buffered-16"]()
