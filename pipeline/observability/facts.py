"""What logs, metrics and spans may say of an exchange: facts without content."""

from __future__ import annotations

from pipeline.api.answer import Answer
from pipeline.api.exchange import Exchange

_MAX_CHARACTERS = 128


def answer_of(exchange: Exchange) -> Answer | None:
    """Return the provider's answer where the host read it whole; a plugin's reply is none."""
    response = exchange.response
    return response.answer if response is not None and response.via_upstream else None


def label(text: str) -> str:
    """Bound a word that a client, an upstream or a plugin chose, and make it encodable."""
    return text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode()
