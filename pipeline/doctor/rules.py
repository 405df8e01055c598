"""Every rule, and the examination that applies them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.doctor import rules_filter, rules_host
from pipeline.doctor.case import Case
from pipeline.doctor.finding import Finding

Rule = Callable[[Case], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    rules_filter.filter_missing,
    rules_host.cluster_missing,
    rules_host.host_unreachable,
    rules_host.host_unhealthy,
    rules_filter.filter_disabled,
    rules_host.attempt_missing,
    rules_filter.fail_policy,
    rules_filter.body_mode,
    rules_filter.mode_override,
    rules_filter.message_timeout,
    rules_host.buffer_limit,
    rules_host.runtime_flag,
    rules_host.health_check,
    rules_filter.metadata_options,
    rules_filter.two_filters,
    rules_filter.upgrades,
    rules_host.config_drift,
    rules_host.envoy_version,
)
_ORDER = {"error": 0, "warning": 1, "info": 2}


def examine(case: Case) -> list[Finding]:
    """Return every finding, the gravest first."""
    found = [finding for rule in RULES for finding in rule(case)]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])
