"""Everything that a plugin imports from Dragoman; nothing else is a promise."""

from typing import TYPE_CHECKING, Any

from pipeline.api.admin import AdminAnswer, AdminRequest, RunningHost
from pipeline.api.answer import Answer, Event
from pipeline.api.call import Call
from pipeline.api.catalog import ModelEntry, find_model
from pipeline.api.decisions import CONTINUE, Continue, Decision, Refuse, Reply, Rewrite
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Exchange, Request, Response
from pipeline.api.headers import HeaderEdits, Headers
from pipeline.api.outcome import Outcome, Step
from pipeline.api.plugin import Plugin, PluginConfig, last_user_text
from pipeline.api.provider import (
    Attempt,
    Backend,
    Begun,
    Connection,
    Provider,
    Translated,
    Translation,
)
from pipeline.api.quantities import Duration, Secret, Size
from pipeline.api.signals import Label, SignalFunction, Signals
from pipeline.api.sse import Frame, FrameDecoder, FrameTooLong, encode_frame
from pipeline.api.text import Attachment, Segment, Tool, ToolCall, Usage
from pipeline.errors import AdminError, InferenceError, InvalidCall, InvalidHeader

if TYPE_CHECKING:
    from pipeline.api.metrics import METRICS

__all__ = [
    "CONTINUE",
    "METRICS",
    "AdminAnswer",
    "AdminError",
    "AdminRequest",
    "Answer",
    "Attachment",
    "Attempt",
    "Backend",
    "Begun",
    "Call",
    "Connection",
    "Continue",
    "Decision",
    "Dialect",
    "Duration",
    "Event",
    "Exchange",
    "Frame",
    "FrameDecoder",
    "FrameTooLong",
    "HeaderEdits",
    "Headers",
    "InferenceError",
    "InvalidCall",
    "InvalidHeader",
    "Label",
    "ModelEntry",
    "Outcome",
    "Plugin",
    "PluginConfig",
    "Provider",
    "Refuse",
    "Reply",
    "Request",
    "Response",
    "Rewrite",
    "RunningHost",
    "Secret",
    "Segment",
    "SignalFunction",
    "Signals",
    "Size",
    "Step",
    "Tool",
    "ToolCall",
    "Translated",
    "Translation",
    "Usage",
    "encode_frame",
    "find_model",
    "last_user_text",
]


def __getattr__(name: str) -> Any:
    # Half as long again as all the rest takes to import; who counts nothing shall not wait for it.
    if name == "METRICS":
        from pipeline.api.metrics import METRICS  # noqa: PLC0415

        return METRICS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
