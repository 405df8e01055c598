"""The scenarios of the ladder and of the other gateways, and what is compared."""

from __future__ import annotations

import pytest

from bench import page, peers
from bench.effort import FULL, QUICK
from bench.envoy import MODES, bootstrap
from bench.host import EMPTY, THREE
from bench.ladder import (
    ALONE,
    FLOOR,
    FLOOR_BUSY,
    HOST_EMPTY,
    HOST_THREE,
    SIZES,
    comparisons,
    scenarios,
    worker_scenarios,
)
from bench.scenarios import METRICS

VARIANTS = {ALONE: 1.0, FLOOR: 4.0, FLOOR_BUSY: 5.0, HOST_EMPTY: 4.8, HOST_THREE: 8.0}


def sampled(values):
    return {key: [dict.fromkeys(METRICS, value)] * 3 for key, value in values.items()}


ALL_ROUNDS = {scenario.key: sampled(VARIANTS) for scenario in scenarios(FULL)}
PEER_ROUNDS = {
    "peers_16": sampled(
        {peers.OURS: 90.0, peers.LITELLM: 10.0, peers.PORTKEY: 45.0, peers.PORTKEY_2: 90.0}
    ),
    "peers_open": sampled(
        {
            "direct": 1.0,
            peers.OURS: 2.0,
            peers.OURS_THREE: 3.0,
            peers.LITELLM: 9.0,
            peers.PORTKEY: 4.0,
            peers.PORTKEY_2: 4.0,
        }
    ),
}


@pytest.mark.parametrize("effort", [FULL, QUICK])
def test_scenarios_have_names_of_their_own_and_known_modes_and_metrics(effort):
    every = [*scenarios(effort), *worker_scenarios(effort), *peers.scenarios(effort, 1)]

    assert len({scenario.key for scenario in every}) == len(every)
    assert all(scenario.mode in MODES for scenario in every)
    assert all(metric in METRICS for scenario in every for metric in scenario.metrics)
    assert all((scenario.job.events > 0) == (scenario.mode == "streamed") for scenario in every)


def test_every_mode_has_a_route_with_no_plugin_and_one_with_three():
    assert set(MODES) == set(EMPTY) == set(THREE)
    assert all(not chain for chain in EMPTY.values())
    assert all(len(chain) == 3 for chain in THREE.values())


def test_full_effort_has_every_body_size_both_ways():
    keys = {scenario.key for scenario in scenarios(FULL)}

    for size in SIZES:
        assert {f"ladder_{size}_{kind}" for kind in ("16", "1", "answered", "streamed")} <= keys


def test_what_is_compared_has_its_goal():
    found = {row.name: row for row in comparisons(ALL_ROUNDS)}

    empty = found["buffered_16.host_empty.python_us.over_floor"]
    three = found["buffered_16.host_three.python_us.over_floor"]
    assert (empty.value, empty.target, empty.holds) == (pytest.approx(1.2), 1.25, True)
    assert (three.value, three.target, three.holds) == (pytest.approx(2), 1.5, False)
    added = found["open_200.host_three.added_p99_ms"]
    assert (added.value, added.target) == (7.0, 5.0)


def test_what_was_not_measured_is_not_compared():
    assert comparisons({"buffered_16": sampled({FLOOR: 1.0})}) == []


def test_gateways_are_compared_with_the_goals_as_the_least():
    found = {row.name: row for row in peers.comparisons(PEER_ROUNDS)}

    litellm = found["peers_16.dragoman.per_cpu_s.over_litellm"]
    assert (litellm.value, litellm.target, litellm.holds) == (pytest.approx(9), 8.0, True)
    assert not found["peers_16.dragoman.per_cpu_s.over_portkey_2"].holds
    assert found["peers_open.litellm.added_p50_ms"].value == 8


def test_every_goal_has_words_on_the_page():
    with_goal = [row for row in comparisons(ALL_ROUNDS) if row.target is not None]
    with_goal += [row for row in peers.comparisons(PEER_ROUNDS) if row.target is not None]
    rows = {row.name: row for row in with_goal}

    table = page.goal_table(rows, ["buffered", "streamed", "first", "open", "peers"])

    assert len(table.splitlines()) == 2 + len(with_goal)
    assert "`" not in table


def test_envoy_spreads_over_every_process_of_the_server():
    made = bootstrap(80, ["/a", "/b"])

    [cluster] = [c for c in made["static_resources"]["clusters"] if c["name"] == "ext_proc"]
    paths = [
        one["endpoint"]["address"]["pipe"]["path"]
        for one in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ]
    assert paths == ["/a", "/b"]
    assert len(bootstrap(80, [])["static_resources"]["clusters"]) == 1
