"""The rule about privacy: what people write, and their keys, is in nothing that is kept."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace

from pipeline.testing.conformance.faults import with_faults
from pipeline.testing.conformance.subject import Case, Subject, Violation, case_of
from pipeline.testing.exchanged import Exchanged

PROMPT = "canary-prompt-7Q4Z"
ANSWER = "canary-answer-9K2X"
KEY = "canary-key-3M8V"
# Shorter texts of an author may stand in a message by chance.
_LEAST_CHARACTERS = 12


class _Kept(logging.Handler):
    """Keeps what is logged, formatted, with the text of exceptions."""

    def __init__(self) -> None:
        super().__init__(level=logging.NOTSET)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + repr(record.__dict__) + "\n"


async def private(subject: Subject) -> None:
    """No prompt, answer or key is in logs, output, warnings, error messages, reasons or `repr`.

    Logs and metrics are read by others than those who may read what people write.
    """
    for case, secrets in _cases(subject):
        with _captured() as kept:
            async with subject.host() as host:
                got = await host.send(case.request, case.response)
                shown = repr(host.plugin()) + str(host.plugin())
            async with with_faults(subject.host()) as (host, _):
                failed = await host.send(case.request, case.response)
        places = {"the log or the output": kept(), "repr(plugin)": shown}
        places["an error or a reason"] = _told(got) + _told(failed)
        for place, text in places.items():
            for what, secret in secrets.items():
                if secret in text:
                    raise Violation(f"{case.name}: {what} is in {place}")


def _cases(subject: Subject) -> Iterator[tuple[Case, dict[str, str]]]:
    pairs = [(f"Please remember {PROMPT}.", f"I remember {ANSWER}."), *subject.texts]
    for number, (prompt, answer) in enumerate(pairs):
        secrets = {"the client's key": KEY, "the prompt": prompt, "the answer": answer}
        if number == 0:
            secrets |= {"the prompt": PROMPT, "the answer": ANSWER}
        long_enough = {k: v for k, v in secrets.items() if len(v) >= _LEAST_CHARACTERS}
        for streams in (False, True):
            case = case_of(prompt, answer, number, streams=streams)
            request = case.request.with_headers(authorization=f"Bearer {KEY}")
            yield replace(case, request=request), long_enough


def _told(got: Exchanged) -> str:
    """Return what others than the client's own program get to read of an exchange."""
    told = " ".join(step.reason for step in got.steps) + repr(got.metadata)
    if got.outcome is not None:
        told += got.outcome.code
    if got.client.status >= 400:
        told += got.client.body.decode("utf-8", "replace")
    if got.client.is_stream:
        # What ended the stream, not what it said before.
        frames = got.client.plain.decode("utf-8", "replace").split("\n\n")
        told += "".join(frame for frame in frames if '"error"' in frame)
    return told


@contextlib.contextmanager
def _captured() -> Iterator[_Captured]:
    handler = _Kept()
    root = logging.getLogger()
    level, disabled = root.level, root.manager.disable
    root.addHandler(handler)
    root.setLevel(logging.NOTSET)
    logging.disable(logging.NOTSET)
    output = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            yield _Captured(handler, output, warned)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        logging.disable(disabled)


class _Captured:
    """What was kept while a plugin worked."""

    def __init__(
        self, handler: _Kept, output: io.StringIO, warned: list[warnings.WarningMessage]
    ) -> None:
        self._handler = handler
        self._output = output
        self._warned = warned

    def __call__(self) -> str:
        told = "".join(str(warning.message) for warning in self._warned)
        return self._handler.text + self._output.getvalue() + told
