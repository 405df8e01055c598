"""Gemini's thought signatures, carried through clients that know nothing of them.

Gemini signs what it thought on the part that follows from it: a thought, a function call, or the
text of an answer (https://ai.google.dev/gemini-api/docs/thought-signatures). Each signature must
come back on the part that had it; Gemini 3 refuses a function call of the current turn without it.

On the way out a signature goes into a canonical thinking block, with the place that it belongs to
before it: `gemini:thought:…`, `gemini:text:…`, `gemini:call0:…` (the message's first call). Every
client can bring that back: chat clients in `thinking_blocks`, Anthropic's in `signature`, those of
Responses in `encrypted_content`. A call's signature is also in `extra_content` of its tool call,
where Google's own OpenAI-compatible API has it. No other provider's signature has a colon in it, so
that each can tell which are its own.

A client that brings nothing back (plain chat clients), and a history that another model wrote, get
the word that Google has for such calls: they work, but what was thought is gone.
"""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import as_object

NOT_SIGNED = "skip_thought_signature_validator"
"""Google's word for a function call that Gemini did not make, or whose signature is lost."""

_PREFIX = "gemini:"


def packed(place: str, signature: str) -> str:
    """Return a signature with its place: `thought`, `text`, or `call` and a number."""
    return f"{_PREFIX}{place}:{signature}"


def unpacked(packed_signature: str) -> tuple[str, str] | None:
    """Return place and signature, None for another provider's."""
    if not packed_signature.startswith(_PREFIX):
        return None
    place, _, signature = packed_signature[len(_PREFIX) :].partition(":")
    return place, signature


def block_signature(block: Json) -> str:
    """Return a thinking block's signature as it came, however its client spells it."""
    for name in ("signature", "encrypted_content", "data"):
        if isinstance(found := block.get(name), str) and found:
            return found
    return ""


def block_text(block: Json) -> str:
    """Return a thinking block's text."""
    if block.get("type") == "reasoning":
        summary = block.get("summary")
        texts = [as_object(one).get("text") for one in summary if one] if summary else []
        return "\n\n".join(text for text in texts if isinstance(text, str))
    text = block.get("thinking")
    return text if isinstance(text, str) else ""


def extra_content(signature: str) -> Json:
    """Return what Google's OpenAI-compatible API adds to a signed tool call."""
    return {"extra_content": {"google": {"thought_signature": signature}}}


def extra_signature(call: Any) -> str:
    """Return the signature that a tool call brings in `extra_content`."""
    google = as_object(as_object(as_object(call).get("extra_content")).get("google"))
    signature = google.get("thought_signature")
    return signature if isinstance(signature, str) else ""
