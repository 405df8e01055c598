"""The rules of the conformance suite, in the order in which they are reported."""

from __future__ import annotations

from pipeline.testing.conformance import (
    bytes_rules,
    life_rules,
    loop_rules,
    privacy_rules,
    promise_rules,
)
from pipeline.testing.conformance.rule import Rule

RULES: tuple[Rule, ...] = tuple(
    Rule.of(check)
    for check in (
        life_rules.quick_import,
        life_rules.described_options,
        life_rules.clean_end,
        bytes_rules.every_dialect,
        bytes_rules.any_cut,
        bytes_rules.any_event,
        bytes_rules.gzip_bodies,
        promise_rules.apart,
        promise_rules.read_only,
        promise_rules.nothing_mutated,
        promise_rules.shadow,
        promise_rules.fail_policy,
        loop_rules.never_blocks,
        life_rules.timeout,
        life_rules.cancel,
        privacy_rules.private,
        life_rules.memory,
    )
)
