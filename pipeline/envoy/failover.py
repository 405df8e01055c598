"""Failover in Envoy's terms: retry policies, what limits them, and who is left out."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities import (
    v3 as previous_priorities,
)
from envoy_data_plane.envoy.type import v3 as types

from pipeline.config.failover import OutlierConfig, RetriesConfig
from pipeline.config.schema import RouteConfig
from pipeline.envoy.filters import pack

_CONDITIONS = {"5xx": "5xx", "connect": "connect-failure,refused-stream", "reset": "reset"}
_LONGEST_WAIT_S = 30.0
# What connecting and the host take of all attempts together.
_SLACK_S = 1.0
# A group of backends is left when none of it is there any more, not before.
OVERPROVISIONING_PERCENT = 10_000
# Picks until a host that was not tried comes up among those of its priority; they are cheap.
_MOST_PICKS = 100


def attempts_of(target: RouteConfig) -> int:
    """Return how many attempts an exchange has at most."""
    retries = target.retries
    if retries.attempts is not None:
        return retries.attempts
    rounds = len(target.backends) * retries.attempts_per_priority
    return max(len(target.backend_names), rounds)


def retry_policy(target: RouteConfig) -> route.RetryPolicy | None:
    """Return the retry policy of a route with backends; None where an attempt has no limit."""
    retries, attempts = target.retries, attempts_of(target)
    if attempts == 1 and target.idle_timeout is None and retries.per_try_timeout is None:
        return None
    statuses = [cause for cause in retries.on if isinstance(cause, int)]
    conditions = [_CONDITIONS[cause] for cause in retries.on if isinstance(cause, str)]
    first_byte_s, silence_s = retries.per_try_timeout, target.idle_timeout
    if first_byte_s is not None and silence_s is not None:
        # Envoy drops the limit of silence when that of the first byte has passed: what is left of
        # it is `client_silence_s`.
        first_byte_s, silence_s = min(first_byte_s, silence_s), None
    policy = route.RetryPolicy(
        retry_on=",".join([*conditions, *(["retriable-status-codes"] if statuses else [])]),
        retriable_status_codes=statuses,
        num_retries=attempts - 1,
        per_try_timeout=_span(first_byte_s),
        per_try_idle_timeout=_span(silence_s),
        retry_back_off=route.RetryPolicyRetryBackOff(
            base_interval=_span(retries.back_off.base), max_interval=_span(retries.back_off.max)
        ),
        rate_limited_retry_back_off=_asked_for(_longest_wait_s(target)),
    )
    if len(target.backend_names) > 1:
        policy.host_selection_retry_max_attempts = _picks(target)
        policy.retry_host_predicate = [
            route.RetryPolicyRetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=pack(previous_hosts.PreviousHostsPredicate()),
            )
        ]
    if len(target.backends) > 1:
        policy.retry_priority = route.RetryPolicyRetryPriority(
            name="envoy.retry_priorities.previous_priorities",
            typed_config=pack(
                previous_priorities.PreviousPrioritiesConfig(
                    update_frequency=retries.attempts_per_priority
                )
            ),
        )
    return policy


def client_silence_s(target: RouteConfig) -> float:
    """Return how long the client may see nothing at all: from its own side, all attempts count."""
    retries, silence_s = target.retries, target.idle_timeout
    if retries.per_try_timeout is None or silence_s is None:
        return target.timeout
    attempts = attempts_of(target)
    pause_s = max(retries.back_off.max, _longest_wait_s(target) or 0.0)
    trying_s = attempts * min(retries.per_try_timeout, silence_s) + (attempts - 1) * pause_s
    return min(max(silence_s, trying_s + _SLACK_S), target.timeout)


def circuit_breakers(retries: RetriesConfig | None = None) -> cluster.CircuitBreakers:
    """Return limits that are none, but for the share of retries where one is given."""
    # Streams are long: Envoy's defaults of 1024 requests and 3 retries at once are too few.
    made = cluster.CircuitBreakersThresholds(
        max_connections=65536, max_pending_requests=65536, max_requests=65536, max_retries=65536
    )
    if retries is not None and retries.budget_percent is not None:
        made.retry_budget = cluster.CircuitBreakersThresholdsRetryBudget(
            budget_percent=types.Percent(value=float(retries.budget_percent)),
            min_retry_concurrency=3,
        )
    return cluster.CircuitBreakers(thresholds=[made])


def outlier_detection(outlier: OutlierConfig) -> cluster.OutlierDetection:
    """Return when a host that fails is left out, and for how long."""
    return cluster.OutlierDetection(
        consecutive_5xx=outlier.consecutive_failures,
        enforcing_consecutive_5xx=100,
        enforcing_consecutive_gateway_failure=0,
        enforcing_success_rate=0,
        base_ejection_time=_span(outlier.base_ejection),
        max_ejection_time=_span(outlier.max_ejection),
        # Who has been out long enough comes back at the next look.
        interval=timedelta(seconds=min(1.0, outlier.base_ejection)),
        max_ejection_percent=outlier.max_percent,
    )


def while_left_out() -> cluster.ClusterCommonLbConfig:
    """Return how the rest shares the load: who is left out is asked only if nobody is left."""
    return cluster.ClusterCommonLbConfig(
        healthy_panic_threshold=types.Percent(value=1.0),
        # Else Envoy keeps what it found to itself for up to a second.
        update_merge_window=timedelta(0),
    )


def _longest_wait_s(target: RouteConfig) -> float | None:
    is_alone = len(target.backend_names) == 1
    return target.retries.retry_after or (_LONGEST_WAIT_S if is_alone else None)


def _asked_for(longest_s: float | None) -> route.RetryPolicyRateLimitedRetryBackOff | None:
    if longest_s is None:
        return None
    header = route.RetryPolicyResetHeader(
        name="retry-after", format=route.RetryPolicyResetHeaderFormat.SECONDS
    )
    return route.RetryPolicyRateLimitedRetryBackOff(
        reset_headers=[header], max_interval=_span(longest_s)
    )


def _picks(target: RouteConfig) -> int:
    rounds = max(sum(shares.values()) // min(shares.values()) for shares in target.backends)
    return min(max(5, 2 * rounds), _MOST_PICKS)


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
