"""Gemini's stream of responses as canonical chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.formats import CUT_OFF, Fault
from plugins.translate.upstreams.event_stream import EventDecoder
from plugins.translate.upstreams.gemini_answer import Candidate, logprobs_of
from plugins.translate.upstreams.gemini_errors import error_fault
from plugins.translate.upstreams.gemini_words import blocked, usage_of


class ContentDecoder(EventDecoder):
    """Reads one stream; how it ends is told when it has, for some models say `STOP` each time.

    Args:
        model: the model asked for, until the stream names one.
        created_s: Unix seconds for the chunks.
    """

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._candidates: dict[int, Candidate] = {}
        self._usage: Any = None
        self._blocked: tuple[str, str] | None = None

    def _read(self, name: str, document: Json) -> Sequence[Json | Fault]:  # noqa: ARG002
        """Read a response: Gemini's stream knows no other kind of event."""
        if "error" in document:
            self._has_ended = True
            return (error_fault(document),)
        self._id = self._id or str(document.get("responseId") or "")
        self._model = str(document.get("modelVersion") or self._model)
        self._usage = document.get("usageMetadata") or self._usage
        self._blocked = self._blocked or blocked(document.get("promptFeedback"))
        given = document.get("candidates")
        choices = []
        for place, one in enumerate(given if isinstance(given, list) else ()):
            if isinstance(one, dict) and (choice := self._choice(one, place)):
                choices.append(choice)
        return ({**self._head(), "choices": choices},) if choices else ()

    def end(self) -> Sequence[Json | Fault]:
        """Return how the choices end, and the usage; a Fault when the stream was cut."""
        if self._has_ended:
            return ()
        choices = []
        if not self._candidates and self._blocked:
            reason, why = self._blocked
            delta = {"role": "assistant", "content": "", "refusal": why}
            choice = _choice_of(0, delta, finish_reason="content_filter")
            choices.append({**choice, "native_finish_reason": reason})
        for candidate in self._candidates.values():
            if candidate.reason:
                last = candidate.last()
                choices.append(_choice_of(candidate.index, last["delta"], **last["ending"]))
        if len(choices) < max(1, len(self._candidates)):
            return (CUT_OFF,)
        return ({**self._head(), "choices": choices, **usage_of(self._usage)},)

    def _choice(self, given: Json, place: int) -> Json | None:
        index = given.get("index")
        index = index if isinstance(index, int) else place
        candidate = self._candidates.get(index)
        opening: Json = {}
        if candidate is None:
            candidate = self._candidates[index] = Candidate(index, self._id)
            opening = {"role": "assistant", "content": ""}
        delta = {**opening, **candidate.read(given)}
        logprobs = logprobs_of(given) if "logprobsResult" in given else None
        if not delta and not logprobs:
            return None
        return _choice_of(index, delta, logprobs=logprobs)


def _choice_of(index: int, delta: Json, **beside: Any) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **beside}
