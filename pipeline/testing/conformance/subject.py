"""The plugin under test: hosts with it alone, and exchanges that it is tried on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.api import Plugin
from pipeline.testing.documents import DEFAULT_DIALECT, SPEAKING
from pipeline.testing.exchanged import Exchanged
from pipeline.testing.host import Host
from pipeline.testing.messages import Message, answer_message, call_message, stream_message

PROMPTS = ("What is the capital of France?", "Zähle bitte: 1, 2, 3 … 🙂\nUnd dann?")
ANSWERS = ("It is Paris, a town on the Seine.", "Naïve café 🙂, twice: naïve café 🙂.")


class Violation(AssertionError):
    """Raised when a plugin breaks a rule; the message says how."""


class NotApplicable(Exception):
    """Raised when a rule says nothing about a plugin; the message says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """An exchange to try.

    Args:
        name: what it is, for messages.
        request: the client's.
        response: the provider's.
        dialect: the API format.
    """

    name: str
    request: Message
    response: Message
    dialect: str = DEFAULT_DIALECT


@dataclass(frozen=True, slots=True)
class Subject:
    """The plugin under test.

    Args:
        plugin: its class.
        options: a `with:` block that makes it do what it is for.
        prompts: texts that it does something about.
        answers: a model's texts that it does something about.
    """

    plugin: type[Plugin[Any]]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    prompts: Sequence[str] = field(default=(), repr=False)
    answers: Sequence[str] = field(default=(), repr=False)

    def host(self, **keys: Any) -> Host:
        """Make a host with a fresh instance; see `Host.of`."""
        return Host.of(self.plugin, self.options, **keys)

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Prompts with answers: the author's own first, then ordinary ones."""
        prompts = [*self.prompts, *PROMPTS]
        answers = [*self.answers, *ANSWERS]
        for at in range(max(len(prompts), len(answers))):
            yield prompts[at % len(prompts)], answers[at % len(answers)]

    def cases(self, dialect: str = DEFAULT_DIALECT) -> Iterator[Case]:
        """Return exchanges of an API format, whole and streamed."""
        for number, (prompt, answer) in enumerate(self.texts, 1):
            for streams in (False, True) if dialect in SPEAKING else (False,):
                yield case_of(prompt, answer, number, dialect=dialect, streams=streams)


def case_of(
    prompt: str, answer: str, number: int = 1, *, dialect: str = DEFAULT_DIALECT, streams: bool
) -> Case:
    """Return an exchange."""
    fields: dict[str, Any] = {"stream": True} if streams else {}
    request = call_message(prompt, dialect=dialect, **fields)
    if streams:
        words = [word + " " for word in answer.split(" ")]
        response = stream_message(*words[:-1], words[-1][:-1], dialect=dialect)
    else:
        response = answer_message(answer, dialect=dialect)
    kind = "streamed" if streams else "whole"
    return Case(f"{dialect}, text {number}, {kind}", request, response, dialect)


def essence(got: Exchanged) -> tuple[object, ...]:
    """Return what must be equal in equal exchanges: bytes, but only a reply's text."""
    upstream = got.upstream.body if got.upstream is not None else None
    # A reply may say when it was made.
    client: object = got.said if got.ending == "replied" else got.client.body
    return got.ending, got.client.status, upstream, client


def words_of(got: Exchanged) -> tuple[object, ...]:
    """Return what must be equal in exchanges that mean the same: decisions and texts."""
    decided = sorted({(step.hook, step.decision) for step in got.steps})
    return got.ending, got.client.status, decided, got.asked, got.said


def require(holds: bool, message: str) -> None:
    """Raise a violation unless something holds."""
    if not holds:
        raise Violation(message)
