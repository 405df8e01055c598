"""The suite as pytest runs it: one test for each rule, under the rule's name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.api import Plugin
from pipeline.testing.conformance.rule import Rule
from pipeline.testing.conformance.rules import RULES
from pipeline.testing.conformance.subject import NotApplicable, Subject


def check(rule: Rule, subject: Subject) -> None:
    """Check one rule.

    Raises:
        Violation: the plugin breaks it.
        NotApplicable: it says nothing about this plugin.
        ConfigError: the host does not take the plugin at all.
    """

    async def run() -> None:
        await rule.check(subject)

    asyncio.run(run())


def conformance_suite(
    plugin: type[Plugin[Any]],
    config: Mapping[str, Any] | None = None,
    *,
    prompts: Sequence[str] = (),
    answers: Sequence[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Callable[[Rule], None]:
    """Return a test of every rule, to be assigned to a name that starts with `test_`.

    Args:
        plugin: the class.
        config: a `with:` block that makes it do what it is for.
        prompts: what clients say that it does something about; one for each kind of decision.
        answers: what models say that it does something about.
        skip: rule names that cannot hold for this plugin, with the reason.

    Raises:
        ValueError: `skip` names no rule.
    """
    import pytest  # noqa: PLC0415 - the rules are also listed where there is no pytest

    excused = dict(skip or {})
    if unknown := sorted(excused.keys() - {rule.name for rule in RULES}):
        raise ValueError(f"there is no rule {', '.join(unknown)}")
    subject = Subject(plugin, config or {}, prompts, answers)

    @pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
    def test_conformance(rule: Rule) -> None:
        """A rule of the conformance suite holds."""
        __tracebackhide__ = True
        if rule.name in excused:
            pytest.skip(excused[rule.name])
        try:
            check(rule, subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))

    return test_conformance
