"""The host in process, for tests of the host itself; see `pipeline.testing.phases`."""

from pipeline.testing.envoy import VIA_UPSTREAM
from pipeline.testing.host import runtime_of, session_of
from pipeline.testing.phases import (
    JSON_RESPONSE,
    SSE_RESPONSE,
    ask,
    error_of,
    forwarded,
    frames_of,
)

__all__ = [
    "JSON_RESPONSE",
    "SSE_RESPONSE",
    "VIA_UPSTREAM",
    "ask",
    "error_of",
    "forwarded",
    "frames_of",
    "runtime_of",
    "session_of",
]
