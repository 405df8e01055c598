"""What came of an exchange: who was sent what, and what the plugins decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.api import Outcome, Step
from pipeline.testing.documents import DEFAULT_DIALECT, dialect_of
from pipeline.testing.messages import Message, text_of


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One exchange, from the client to the provider and back.

    Args:
        sent: the request as the client sent it.
        upstream: the request as the provider got it; None where it never did.
        answered: the provider's response; None where it was not asked.
        client: the response as the client got it.
        outcome: as `on_complete` saw it; None where no route was entered.
        metadata: the dynamic metadata that Envoy was given.
        dialect: the call's API format.
    """

    sent: Message
    upstream: Message | None
    answered: Message | None
    client: Message
    outcome: Outcome | None
    metadata: dict[str, str]
    dialect: str = DEFAULT_DIALECT

    @property
    def ending(self) -> str:
        """How it ended: `completed`, `replied`, `refused`, `cancelled` or `failed`."""
        return self.outcome.ending if self.outcome is not None else "refused"

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every hook that ran."""
        return self.outcome.steps if self.outcome is not None else ()

    @property
    def asked(self) -> tuple[str, ...]:
        """The texts that the provider was sent, in order; none where it was not asked."""
        if self.upstream is None or not self.upstream.body:
            return ()
        found = dialect_of(self.dialect).segments(self.upstream.document)
        return tuple(segment.text for segment in found if segment.text is not None)

    @property
    def said(self) -> str:
        """What the client reads as the model's words; empty for an error."""
        return text_of(self.client, self.dialect) if self.client.status < 300 else ""

    @property
    def error(self) -> dict[str, Any]:
        """The error that the client got, `status` beside `code` and `message`; empty if none."""
        if self.client.status < 400:
            return {}
        document = self.client.document
        fault = document.get("error", document)
        # Anthropic's format has no code of its own: the host reports it in the outcome as well.
        code = self.outcome.code if self.outcome is not None else ""
        return {"code": code, **fault, "status": self.client.status}

    @property
    def decisions(self) -> list[tuple[str, str, str]]:
        """What was decided: instance, hook and kind of every step."""
        return [(step.instance, step.hook, step.decision) for step in self.steps]
