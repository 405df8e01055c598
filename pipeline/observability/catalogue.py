"""Every metric: its name, type, labels and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_FAST_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
_LONG_S = (*_FAST_S[3:], 10.0, 30.0, 60.0, 120.0, 300.0)
# The boundaries that the OpenTelemetry GenAI conventions give for this metric.
_TOKENS = tuple(float(4**power) for power in range(14))


@dataclass(frozen=True, slots=True)
class Metric:
    """The definition of one metric.

    Args:
        name: as Prometheus shows it.
        type: Prometheus type.
        labels: label names; their values come from the config or a closed set, never a client.
        description: one sentence.
        bounds: upper bounds of a histogram's buckets, without +Inf.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    description: str
    bounds: tuple[float, ...] = ()


EXCHANGES = Metric(
    "dragoman_exchanges_total",
    "counter",
    ("route", "ending", "status_class"),
    "Exchanges that ended, by how (`completed`, `replied`, `refused`, `cancelled`, `failed`) and "
    "by class of the client's status (`2xx`, …, `none`).",
)
EXCHANGE_DURATION = Metric(
    "dragoman_exchange_duration_seconds",
    "histogram",
    ("route",),
    "Time from an exchange's first header to its end.",
    _LONG_S,
)
OVERHEAD = Metric(
    "dragoman_overhead_seconds",
    "histogram",
    ("route",),
    "The part of an exchange's time that was spent in the host and its plugins.",
    _FAST_S,
)
PLUGIN_DECISIONS = Metric(
    "dragoman_plugin_decisions_total",
    "counter",
    ("route", "instance", "hook", "decision", "applied"),
    "Hooks that ran, by what they decided; `applied` is `false` in shadow mode and for an error "
    "that was let through. The events of one stream count once.",
)
PLUGIN_ERRORS = Metric(
    "dragoman_plugin_errors_total",
    "counter",
    ("route", "instance", "hook", "kind"),
    "Hooks that failed, by kind: `plugin_error`, `plugin_timeout`, `plugin_nonsense`.",
)
PLUGIN_DURATION = Metric(
    "dragoman_plugin_duration_seconds",
    "histogram",
    ("instance", "hook"),
    "Time that a hook took; for `on_response_event`, over all events of a stream.",
    _FAST_S,
)
VIOLATIONS = Metric(
    "dragoman_protocol_violations_total",
    "counter",
    ("kind",),
    "Messages of Envoy that broke the protocol, or bodies over a limit.",
)
DROPPED_FIELDS = Metric(
    "dragoman_dropped_fields_total",
    "counter",
    ("backend", "field"),
    "Fields of calls that a backend was not sent because its provider cannot carry them, once per "
    "attempt; `other` for names that no API documents.",
)
STREAMS_ACTIVE = Metric(
    "dragoman_streams_active", "gauge", (), "Streams of Envoy that are open now."
)
HELD_BYTES = Metric(
    "dragoman_held_bytes", "gauge", (), "Bytes of bodies that the process holds now."
)
OVERLOADS = Metric(
    "dragoman_overloads_total",
    "counter",
    ("limit", "answer"),
    "Exchanges over a limit of the process (`exchanges`, `process_bytes`), by whether they were "
    "`refused` or went on without plugins (`passed`).",
)
CONFIG_RELOADS = Metric(
    "dragoman_config_reloads_total",
    "counter",
    ("result",),
    "Attempts to reload the config: `applied`, `unchanged`, or `refused` with the old one kept.",
)
CONFIG_LAST_SUCCESSFUL = Metric(
    "dragoman_config_last_reload_successful",
    "gauge",
    (),
    "0 after a reload was refused, 1 otherwise.",
)
CONFIG_GENERATION = Metric(
    "dragoman_config_generation",
    "gauge",
    (),
    "Number of the config that serves new exchanges: 1 at the start, one more with each reload.",
)
CONFIG_ENVOY_GENERATION = Metric(
    "dragoman_config_envoy_generation",
    "gauge",
    (),
    "The generation that last changed Envoy's part: Envoy's configuration must not be older.",
)
ENVOY_UPDATES = Metric(
    "dragoman_envoy_updates_total",
    "counter",
    ("result",),
    "Configs that `dragoman run` handed to its Envoy: `taken`, or `refused` with the old one kept.",
)
CONFIG_INFO = Metric(
    "dragoman_config_info", "gauge", ("hash",), "Always 1: the hash of the config that runs."
)
WORKER_RESTARTS = Metric(
    "dragoman_worker_restarts_total",
    "counter",
    ("worker",),
    "Times that a worker was started again after it ended; with `server.workers` only.",
)
PLUGIN_INFO = Metric(
    "dragoman_plugin_info",
    "gauge",
    ("instance", "uses", "distribution", "version"),
    "Always 1: which plugin is behind an instance.",
)
BUILD_INFO = Metric("dragoman_build_info", "gauge", ("version",), "Always 1: Dragoman's version.")
LOOP_LAG = Metric(
    "dragoman_loop_lag_seconds",
    "gauge",
    (),
    "How late the event loop woke from a sleep, at worst in the last 15 to 30 seconds: something "
    "blocks it when this rises.",
)
TOKEN_USAGE = Metric(
    "gen_ai_client_token_usage",
    "histogram",
    ("route", "gen_ai_token_type"),
    "Tokens per call (`input`, `output`) as providers counted them, where the host reads answers.",
    _TOKENS,
)

METRICS = (
    EXCHANGES,
    EXCHANGE_DURATION,
    OVERHEAD,
    PLUGIN_DECISIONS,
    PLUGIN_ERRORS,
    PLUGIN_DURATION,
    VIOLATIONS,
    DROPPED_FIELDS,
    STREAMS_ACTIVE,
    HELD_BYTES,
    OVERLOADS,
    CONFIG_RELOADS,
    CONFIG_LAST_SUCCESSFUL,
    CONFIG_GENERATION,
    CONFIG_ENVOY_GENERATION,
    ENVOY_UPDATES,
    CONFIG_INFO,
    PLUGIN_INFO,
    BUILD_INFO,
    LOOP_LAG,
    TOKEN_USAGE,
)
"""Those of a host process, in the order of the reference."""

SUPERVISOR_METRICS = (WORKER_RESTARTS,)
"""Those that only the supervisor of several processes can count."""

MODEL_METRIC_NAMES = (
    "dragoman_model_readings_total",
    "dragoman_model_refusals_total",
    "dragoman_model_tokens_total",
    "dragoman_model_node_calls_total",
    "dragoman_model_node_call_duration_seconds",
    "dragoman_model_node_retries_total",
    "dragoman_model_node_breaker",
    "dragoman_model_calls_total",
    "dragoman_model_call_duration_seconds",
    "dragoman_model_texts_total",
    "dragoman_model_texts_held",
)
"""Names of those that `server.models` defines: no plugin may have one either."""

NAMES = frozenset(
    {*(metric.name for metric in (*METRICS, *SUPERVISOR_METRICS)), *MODEL_METRIC_NAMES}
)
"""Every name that the host has, as Prometheus shows it."""
