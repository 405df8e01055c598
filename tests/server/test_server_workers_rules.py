"""What the supervisor decides and adds up, without any process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config.schema import Config, LimitsConfig
from pipeline.config.workers import usable_cpus, worker_addresses
from pipeline.errors import ConfigError
from pipeline.observability.catalogue import WORKER_RESTARTS
from pipeline.server.aggregate import Aggregate
from pipeline.server.restarts import RestartPolicy
from pipeline.wire.admission import Admission
from tests.support.host import runtime_of

# --- addresses


@pytest.mark.parametrize(
    ("address", "workers", "addresses"),
    [
        ("unix:/run/h.sock", 1, ["unix:/run/h.sock"]),
        ("unix:/run/h.sock", 2, ["unix:/run/h.sock.0", "unix:/run/h.sock.1"]),
        ("0.0.0.0:9000", 3, ["0.0.0.0:9000", "0.0.0.0:9001", "0.0.0.0:9002"]),
        ("[::1]:9000", 2, ["[::1]:9000", "[::1]:9001"]),
        ("localhost:0", 1, ["localhost:0"]),
    ],
)
def test_each_worker_has_an_address_of_its_own(address, workers, addresses):
    assert list(worker_addresses(address, workers)) == addresses


@pytest.mark.parametrize("address", ["localhost:0", "localhost:65535"])
def test_workers_without_enough_ports_are_a_problem_of_the_config(address):
    with pytest.raises(ConfigError, match=r"server: .*port"):
        runtime_of(f"server: {{address: '{address}', workers: 2}}\nroutes: [{{name: r}}]")


@pytest.mark.parametrize("workers", ["0", "257", "several"])
def test_a_number_of_workers_that_cannot_be_is_a_problem_of_the_config(workers):
    with pytest.raises(ConfigError, match=r"server\.workers"):
        runtime_of(f"server: {{workers: {workers}}}\nroutes: [{{name: r}}]")


@pytest.mark.parametrize(
    ("cpus", "quota", "workers"),
    [
        (4, "", 4),
        (4, "max 100000\n", 4),
        (64, "200000 100000\n", 2),
        (64, "50000 100000\n", 1),
        (2, "800000 100000\n", 2),
        (None, "", 1),
        (4, "nonsense", 4),
        (4, "100000 0", 4),
        (4, "² 100000", 4),
    ],
)
def test_auto_is_one_worker_per_cpu_that_the_process_may_use(cpus, quota, workers):
    assert usable_cpus(cpus, quota) == workers
    assert Config.model_validate({"server": {"workers": "auto"}}).server.workers >= 1


def test_tls_goes_with_a_port_only():
    with pytest.raises(ConfigError, match=r"server: `tls` needs an `address`"):
        runtime_of("server: {tls: {cert: c, key: k}}\nroutes: [{name: r}]")


# --- restarts


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def policy_with(clock, random):
    return RestartPolicy(clock, random, first_s=1.0, most_s=8.0, settled_s=60.0)


def test_pauses_double_up_to_the_longest():
    policy = policy_with(Clock(), lambda: 1.0)
    assert [policy.ended() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_long_life_begins_anew_at_the_first_pause():
    clock = Clock()
    policy = policy_with(clock, lambda: 1.0)
    for _ in range(4):
        policy.started()
        policy.ended()
    policy.started()
    clock.now_s += 60.0
    assert policy.ended() == 1.0
    policy.started()
    clock.now_s += 59.0
    assert policy.ended() == 2.0


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 20))
def test_a_pause_is_never_under_half_nor_over_the_whole(random, deaths):
    policy = policy_with(Clock(), lambda: random)
    for death in range(deaths):
        whole_s = min(2.0**death, 8.0)
        assert whole_s / 2 <= policy.ended() <= whole_s


# --- metrics


def text(exchanges=0, streams=0, buckets=(0, 0)):
    low, high = buckets
    return (
        "# HELP e_total Exchanges.\n# TYPE e_total counter\n"
        f'e_total{{route="chat"}} {exchanges}\n'
        "# HELP s Streams.\n# TYPE s gauge\n"
        f"s {streams}\n"
        '# HELP b_info Build.\n# TYPE b_info gauge\nb_info{version="1"} 1\n'
        "# HELP d_seconds Duration.\n# TYPE d_seconds histogram\n"
        f'd_seconds_bucket{{le="0.1"}} {low}\nd_seconds_bucket{{le="+Inf"}} {high}\n'
        f"d_seconds_count {high}\nd_seconds_sum {high / 10}\n"
    )


def numbers(aggregate):
    families = text_string_to_metric_families(aggregate.exposition().decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_and_histograms_are_sums_and_gauges_name_their_worker():
    aggregate = Aggregate()
    aggregate.take("0", 11, text(exchanges=3, streams=2, buckets=(1, 4)))
    aggregate.take("1", 12, text(exchanges=4, streams=5, buckets=(2, 2)))

    assert numbers(aggregate) == {
        ("e_total", "chat"): 7,
        ("s", "0"): 2,
        ("s", "1"): 5,
        ("b_info", "1"): 1,
        ("d_seconds_bucket", "0.1"): 3,
        ("d_seconds_bucket", "+Inf"): 6,
        ("d_seconds_count",): 6,
        ("d_seconds_sum",): pytest.approx(0.6),
    }


def test_a_worker_that_ended_keeps_its_counts_and_loses_its_gauges():
    aggregate = Aggregate()
    aggregate.take("0", 11, text(exchanges=3, streams=2, buckets=(1, 4)))
    aggregate.lose("0")
    ended = numbers(aggregate)
    assert ended["e_total", "chat"] == 3
    assert ended["d_seconds_count",] == 4
    assert ("s", "0") not in ended

    aggregate.take("0", 21, text(exchanges=1, streams=1, buckets=(0, 1)))
    again = numbers(aggregate)
    assert again["e_total", "chat"] == 4
    assert again["d_seconds_bucket", "+Inf"] == 5
    assert again["s", "0"] == 1


def test_what_no_worker_counts_stands_beside_what_they_count():
    aggregate = Aggregate()
    aggregate.take("0", 11, text(exchanges=3))
    aggregate.count(WORKER_RESTARTS, worker="0")
    aggregate.count(WORKER_RESTARTS, worker="0")
    assert numbers(aggregate)[WORKER_RESTARTS.name, "0"] == 2
    assert aggregate.exposition().decode().count(f"# TYPE {WORKER_RESTARTS.name} counter") == 1


lives = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(0, 9), min_size=1, max_size=4)), max_size=12
)


@given(lives)
def test_a_counter_never_falls_whatever_lives_and_ends(lives):
    aggregate, seen, total = Aggregate(), 0.0, 0
    for pid, (worker, counts) in enumerate(lives):
        count = 0
        for more in counts:
            count += more
            aggregate.take(str(worker), pid, text(exchanges=count))
            now = numbers(aggregate)["e_total", "chat"]
            assert now >= seen
            seen = now
        total += count
    if lives:
        assert numbers(aggregate)["e_total", "chat"] == total


# --- admission


class Meter:
    def __init__(self):
        self.overloads = []
        self.held_bytes = 0

    def held(self, held_bytes):
        self.held_bytes = held_bytes

    def overload(self, limit, answer):
        self.overloads.append((limit, answer))


def admission_of(meter, **limits):
    return Admission(LimitsConfig(**limits), meter)


def test_exchanges_are_let_in_up_to_the_limit_and_again_after_one_left():
    admission = admission_of(Meter(), exchanges=2)
    assert [admission.enter() for _ in range(3)] == [True, True, False]
    admission.leave()
    admission.leave()
    assert admission.enter()


def test_bytes_are_held_up_to_the_limit_but_one_stream_alone_may_always():
    meter = Meter()
    admission = admission_of(meter, process_bytes="100B")
    assert admission.hold(0, 150)
    assert not admission.hold(0, 1)
    assert meter.overloads == [("process_bytes", "refused")]
    assert admission.hold(150, 60)
    assert admission.hold(0, 40)
    assert not admission.hold(40, 41)
    assert meter.held_bytes == 100
    assert admission.hold(60, 0)
    assert admission.hold(40, 0)
    assert meter.held_bytes == 0


def test_a_gauge_of_the_supervisors_own_stands_once_and_without_a_worker():
    from pipeline.observability.catalogue import CONFIG_LAST_SUCCESSFUL, CONFIG_RELOADS

    aggregate = Aggregate()
    empty = f"# TYPE {CONFIG_LAST_SUCCESSFUL.name} gauge\n"
    aggregate.take("0", 11, text() + empty)
    aggregate.set(CONFIG_LAST_SUCCESSFUL, value=1)
    aggregate.set(CONFIG_LAST_SUCCESSFUL, value=0)
    aggregate.count(CONFIG_RELOADS, result="refused")

    found = numbers(aggregate)
    assert found[(CONFIG_LAST_SUCCESSFUL.name,)] == 0
    assert found[CONFIG_RELOADS.name, "refused"] == 1
    assert aggregate.exposition().decode().count(f"# TYPE {CONFIG_LAST_SUCCESSFUL.name} ") == 1
