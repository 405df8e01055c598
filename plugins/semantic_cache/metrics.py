"""The cache's metrics, for all instances; no label's value comes from a client."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from pipeline.api import METRICS

LOOKUPS = Counter(
    "dragoman_cache_lookups",
    "Calls that came to a cache, by what it did: `hit`, `stale`, `miss` or `bypass`; the reason "
    "says why, for a hit `exact`, `semantic` or `coalesced`.",
    ["instance", "result", "reason"],
    registry=METRICS,
)
STAGES = Histogram(
    "dragoman_cache_stage_duration_seconds",
    "Time of a lookup's stages: `keys`, `embedding`, `search`, `fetch`, `verify`, `wait` (for an "
    "equal call in flight).",
    ["instance", "stage"],
    buckets=(1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0),
    registry=METRICS,
)
SIMILARITY = Histogram(
    "dragoman_cache_similarity",
    "Cosine of the nearest stored question, by whether it was served.",
    ["instance", "result"],
    buckets=(0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 1.0),
    registry=METRICS,
)
NEAR_MISSES = Counter(
    "dragoman_cache_near_misses",
    "Near questions that the verifier did not let pass, by the first difference it names.",
    ["instance", "difference"],
    registry=METRICS,
)
SAVED_TOKENS = Counter(
    "dragoman_cache_saved_tokens",
    "Tokens that hits did not have to pay for, `input` and `output`.",
    ["instance", "type"],
    registry=METRICS,
)
SAVED_DOLLARS = Counter(
    "dragoman_cache_saved_dollars",
    "US dollars that hits did not cost, by the catalog's list prices.",
    ["instance"],
    registry=METRICS,
)
SAVED_SECONDS = Counter(
    "dragoman_cache_saved_seconds",
    "Seconds that providers took for the answers that hits served again.",
    ["instance"],
    registry=METRICS,
)
STORES = Counter(
    "dragoman_cache_stores",
    "Answers at their end: `stored`, or why not.",
    ["instance", "outcome"],
    registry=METRICS,
)
EVICTIONS = Counter(
    "dragoman_cache_evictions", "Entries that made room for others.", ["instance"], registry=METRICS
)
FEEDBACK = Counter(
    "dragoman_cache_feedback",
    "Verdicts on entries: `good` or `bad`.",
    ["instance", "verdict"],
    registry=METRICS,
)
SHADOW_CHECKS = Counter(
    "dragoman_cache_shadow_checks",
    "Hits that went to the provider all the same: its answer `agreed` or `differed`.",
    ["instance", "result"],
    registry=METRICS,
)
STORE_ERRORS = Counter(
    "dragoman_cache_store_errors",
    "Times that the store could not be asked, by what for: `get`, `put`, `delete`, `tail`, "
    "`search`.",
    ["instance", "operation"],
    registry=METRICS,
)
LOST = Counter(
    "dragoman_cache_lost",
    "Entries that a failed write to the store lost.",
    ["instance"],
    registry=METRICS,
)
STORE_UP = Gauge(
    "dragoman_cache_store_up",
    "Whether the store answers: 0 while its circuit breaker is open.",
    ["instance"],
    registry=METRICS,
)
ENTRIES = Gauge(
    "dragoman_cache_entries", "Entries that this process knows.", ["instance"], registry=METRICS
)
BYTES = Gauge(
    "dragoman_cache_body_bytes",
    "Bytes of the questions and answers of those entries.",
    ["instance"],
    registry=METRICS,
)
