"""`semantic_cache` keeps every rule of the conformance suite."""

from pipeline.testing.conformance import conformance_suite
from plugins.semantic_cache.plugin import SemanticCache

test_conformance = conformance_suite(SemanticCache, {"semantic": {"enabled": False}})
