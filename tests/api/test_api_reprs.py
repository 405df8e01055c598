"""What ends up in tracebacks and debuggers has no content in it."""

from __future__ import annotations

import pytest

from pipeline.api import (
    Attachment,
    HeaderEdits,
    Headers,
    Refuse,
    Request,
    Rewrite,
    Segment,
    Tool,
    ToolCall,
)
from pipeline.api.sse import Frame
from pipeline.host.verdicts import Emit, Finish, Proceed
from pipeline.stream.messages import (
    AskBody,
    AskEvents,
    Body,
    BodyReply,
    ChunkReply,
    HeadersReply,
    ImmediateReply,
)
from pipeline.stream.messages import Headers as HeadersMessage

WORD = "canary-4711"
RAW = WORD.encode()
EDITS = HeaderEdits(set={"authorization": WORD})
FRAME = Frame(RAW, "", WORD)
FINISH = Finish(200, {"x-key": WORD}, RAW, "reply")


@pytest.mark.parametrize(
    "value",
    [
        Attachment("image/png", "base64", WORD),
        Segment("user", WORD),
        Tool("f", WORD, ("tools", 0)),
        ToolCall("c1", "f", WORD),
        Headers([("authorization", RAW)]),
        EDITS,
        Rewrite(headers=EDITS),
        Refuse(400, "no", "No.", headers=EDITS),
        Request("GET", "/", f"key={WORD}", "host", Headers()),
        FRAME,
        Proceed(edits=EDITS, body=RAW, report={"path": WORD}),
        FINISH,
        Emit(RAW, is_original=False),
        HeadersMessage("request", ((":path", RAW),), ends=True),
        Body("request", RAW, ends=True),
        AskBody("request", RAW),
        AskEvents([FRAME], ended=True),
        HeadersReply("request", EDITS, report={"path": WORD}),
        BodyReply("request", RAW, EDITS),
        ChunkReply("request", RAW, ends=True),
        ImmediateReply(FINISH),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_repr_has_no_content(value):
    assert WORD not in repr(value)
