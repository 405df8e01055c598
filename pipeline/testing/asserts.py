"""Assertions about exchanges; each says what happened instead, and never more than that."""

from __future__ import annotations

from typing import NoReturn

from pipeline.testing.exchanged import Exchanged
from pipeline.testing.messages import Message


def assert_unchanged_bytes(got: Exchanged) -> None:
    """The provider got the client's bytes, and the client the provider's."""
    upstream, answered = _asked(got)
    if upstream.body != got.sent.body:
        _fail(got, "the request's body was changed on its way to the provider")
    if got.client.body != answered.body or got.client.status != answered.status:
        _fail(got, "the answer was changed on its way to the client")


def assert_rewrote(got: Exchanged, *texts: str) -> None:
    """The provider got another body than the client sent.

    Args:
        got: the exchange.
        texts: all texts of the call as the provider got it, in order; anything if none is given.
    """
    upstream, _ = _asked(got)
    if upstream.body == got.sent.body:
        _fail(got, "the call reached the provider as the client sent it")
    if texts and got.asked != texts:
        _fail(got, f"the provider was asked {got.asked!r} instead of {texts!r}")


def assert_answered(got: Exchanged, text: str) -> None:
    """The client read this text as the model's, whole or streamed."""
    if got.client.status >= 300 or got.said != text:
        _fail(got, f"the client read {got.said!r} instead of {text!r}")


def assert_replied(got: Exchanged, text: str | None = None) -> None:
    """A plugin answered in the provider's place.

    Args:
        got: the exchange.
        text: what it said; anything if None.
    """
    if got.ending != "replied":
        _fail(got, "no plugin answered in the provider's place")
    if text is not None:
        assert_answered(got, text)


def assert_refused(got: Exchanged, code: str = "", status: int = 0) -> None:
    """The client got an error from the host or a plugin, as a response or at a stream's end.

    Args:
        got: the exchange.
        code: its stable code; any if empty.
        status: its HTTP status; any if 0.
    """
    refused = [step for step in got.steps if step.decision in {"refuse", "error"} and step.applied]
    if got.ending != "refused" and not refused:
        _fail(got, "nothing was refused")
    found = got.error.get("code") or next((step.reason for step in refused), "")
    if code and code not in {found, *(step.reason for step in refused)}:
        _fail(got, f"the refusal's code is {found!r} instead of {code!r}")
    if status and got.client.status != status:
        _fail(got, f"the refusal's status is {got.client.status} instead of {status}")


def assert_decided(got: Exchanged, hook: str, decision: str, instance: str = "plugin") -> None:
    """A hook of an instance decided like this: `continue`, `rewrite`, `reply`, `refuse`, `error`.

    Args:
        got: the exchange.
        hook: the hook's name.
        decision: the kind.
        instance: the plugin's name in the config.
    """
    if (instance, hook, decision) not in got.decisions:
        _fail(got, f"{instance} did not decide {decision} in {hook}")


def _asked(got: Exchanged) -> tuple[Message, Message]:
    if got.upstream is None or got.answered is None:
        _fail(got, "the provider was never asked")
    return got.upstream, got.answered


def _fail(got: Exchanged, what: str) -> NoReturn:
    steps = ", ".join(
        f"{s.instance}.{s.hook}: {s.decision}{f' ({s.reason})' if s.reason else ''}"
        for s in got.steps
    )
    error = got.error
    said = f"; the client got {error['status']} {error.get('code', '')}" if error else ""
    raise AssertionError(f"{what} (it {got.ending}; steps: {steps or 'none'}{said})")
