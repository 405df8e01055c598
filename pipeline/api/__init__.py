"""Everything that a plugin imports from Dragoman; nothing else is a promise."""

from pipeline.api.answer import Answer, Event
from pipeline.api.call import Call
from pipeline.api.decisions import CONTINUE, Continue, Decision, Refuse, Reply, Rewrite
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Exchange, Request, Response
from pipeline.api.headers import HeaderEdits, Headers
from pipeline.api.outcome import Outcome, Step
from pipeline.api.plugin import Plugin, PluginConfig
from pipeline.api.provider import Attempt, Backend, Provider
from pipeline.api.signals import SignalFunction, Signals
from pipeline.api.text import Attachment, Segment, Tool, ToolCall, Usage
from pipeline.errors import InvalidCall, InvalidHeader

__all__ = [
    "CONTINUE",
    "Answer",
    "Attachment",
    "Attempt",
    "Backend",
    "Call",
    "Continue",
    "Decision",
    "Dialect",
    "Event",
    "Exchange",
    "HeaderEdits",
    "Headers",
    "InvalidCall",
    "InvalidHeader",
    "Outcome",
    "Plugin",
    "PluginConfig",
    "Provider",
    "Refuse",
    "Reply",
    "Request",
    "Response",
    "Rewrite",
    "Segment",
    "SignalFunction",
    "Signals",
    "Step",
    "Tool",
    "ToolCall",
    "Usage",
]
