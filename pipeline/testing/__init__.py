"""What the author of a plugin tests it with; see also `pipeline.testing.conformance`."""

from pipeline.stream.messages import Mode
from pipeline.testing import cuts
from pipeline.testing.asserts import (
    assert_answered,
    assert_decided,
    assert_refused,
    assert_replied,
    assert_rewrote,
    assert_unchanged_bytes,
)
from pipeline.testing.clock import Clock, counted_ids, run_at
from pipeline.testing.documents import DIALECTS, answer_document, call_document, stream_events
from pipeline.testing.envoy import FakeEnvoy, ProtocolBroken, Wire
from pipeline.testing.exchanged import Exchanged
from pipeline.testing.host import Host
from pipeline.testing.hosts import Hosts, PlainHost
from pipeline.testing.messages import (
    Message,
    answer_message,
    call_message,
    get,
    gzipped,
    json_response,
    post,
    sse_response,
    stream_message,
    text_of,
)
from pipeline.testing.values import make_answer, make_call, make_exchange

__all__ = [
    "DIALECTS",
    "Clock",
    "Exchanged",
    "FakeEnvoy",
    "Host",
    "Hosts",
    "Message",
    "Mode",
    "PlainHost",
    "ProtocolBroken",
    "Wire",
    "answer_document",
    "answer_message",
    "assert_answered",
    "assert_decided",
    "assert_refused",
    "assert_replied",
    "assert_rewrote",
    "assert_unchanged_bytes",
    "call_document",
    "call_message",
    "counted_ids",
    "cuts",
    "get",
    "gzipped",
    "json_response",
    "make_answer",
    "make_call",
    "make_exchange",
    "post",
    "run_at",
    "sse_response",
    "stream_events",
    "stream_message",
    "text_of",
]
