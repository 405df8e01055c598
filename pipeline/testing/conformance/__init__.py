"""The conformance suite: what any plugin must keep to, checked with one line in a test file.

test_conformance = conformance_suite(MyPlugin, {"option": 1}, prompts=["What it refuses."])
"""

from pipeline.testing.conformance.rule import Rule
from pipeline.testing.conformance.rules import RULES
from pipeline.testing.conformance.subject import NotApplicable, Subject, Violation
from pipeline.testing.conformance.suite import check, conformance_suite

__all__ = [
    "RULES",
    "NotApplicable",
    "Rule",
    "Subject",
    "Violation",
    "check",
    "conformance_suite",
]
