"""Admission: which calls a cache looks at, and which answers it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.api import Answer, Call, Outcome
from plugins.semantic_cache.config import Semantic
from plugins.semantic_cache.keys import user_turns

# Answers that a later call refers to by something that changes on the provider's side.
_STATEFUL = ("background", "conversation")
# What each client API says of an answer that came to its own end.
_FINISHED = frozenset(
    {
        "completed",  # OpenAI responses
        "end_turn",  # Anthropic
        "function_call",
        "stop",
        "stop_sequence",
        "tool_calls",
        "tool_use",
    }
)
_TEXT_DIALECTS = frozenset(
    {"anthropic.messages", "openai.chat", "openai.completions", "openai.responses"}
)
_NUMBER_DIALECTS = frozenset({"cohere.rerank", "openai.embeddings"})


@dataclass(frozen=True, slots=True)
class Admission:
    """What a cache does with a call.

    Args:
        bypass: why it does not look at it; empty if it does.
        exact_only: why another wording cannot hit; empty if it can.
    """

    bypass: str = ""
    exact_only: str = ""


def admission_of(
    call: Call | None, tenant: str | None, scope: str, semantic: Semantic
) -> Admission:
    """Decide whether a call is looked up, by its text too or only as a whole.

    Args:
        call: the call; None where there is none.
        tenant: who pays; None if unknown.
        scope: `tenant` or `shared`.
        semantic: the options.
    """
    if call is None:
        return Admission(bypass="no_call")
    if scope == "tenant" and not tenant:
        return Admission(bypass="no_tenant")
    if call.dialect.name in _NUMBER_DIALECTS:
        return Admission(exact_only="no_text")
    if call.dialect.name not in _TEXT_DIALECTS:
        return Admission(bypass="not_cacheable")
    if any(call.document.get(name) for name in _STATEFUL):
        return Admission(bypass="stateful")
    if not semantic.enabled:
        return Admission(exact_only="disabled")
    if call.tools and not semantic.tools:
        return Admission(exact_only="tools")
    if any(segment.role == "tool" or segment.name for segment in call.segments):
        return Admission(exact_only="tools")
    if user_turns(call) > semantic.max_turns:
        return Admission(exact_only="turns")
    return Admission()


def unfit(answer: Answer, max_bytes: int) -> str:
    """Say why an answer is not kept; empty if it may be.

    Args:
        answer: whole.
        max_bytes: of its JSON.
    """
    document = answer.document
    if document.get("error") is not None:
        return "error"
    if answer.dialect.name in _TEXT_DIALECTS:
        if any(segment.kind == "refusal" and segment.text for segment in answer.segments):
            return "refused"
        reasons = _reasons(answer)
        if not reasons or not reasons <= _FINISHED:
            return "unfinished"
        if not answer.tool_calls and not any(segment.text for segment in answer.segments):
            return "empty"
    if len(answer.encode()) > max_bytes:
        return "too_large"
    return ""


def undone(outcome: Outcome) -> str:
    """Say why an exchange's answer is not kept, seen from its end; empty if it may be.

    A plugin that masks what it does not restore says `masked` as the reason of its rewrite: two
    questions that look the same then are not.
    """
    if outcome.ending != "completed":
        return outcome.ending
    if not 200 <= outcome.status < 300:
        return "status"
    if any(step.applied and step.decision == "refuse" for step in outcome.steps):
        return "refused"
    if any(step.applied and step.reason == "masked" for step in outcome.steps):
        return "masked"
    return ""


def _reasons(answer: Answer) -> frozenset[str]:
    choices = answer.document.get("choices")
    if isinstance(choices, list):
        # A call may ask for several answers, and each ends in its own way.
        found = [one.get("finish_reason") for one in choices if isinstance(one, dict)]
        return frozenset(str(reason) for reason in found)
    return frozenset({answer.finish_reason} - {""})
