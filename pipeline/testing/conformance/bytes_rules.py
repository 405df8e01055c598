"""Rules about bytes: however they are cut, encoded and spoken, the plugin decides alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.stream.messages import Mode
from pipeline.testing.conformance.subject import (
    Case,
    Subject,
    Violation,
    case_of,
    essence,
    require,
    words_of,
)
from pipeline.testing.cuts import byte_by_byte, seeded
from pipeline.testing.documents import DIALECTS, dialect_of
from pipeline.testing.envoy import Wire
from pipeline.testing.exchanged import Exchanged
from pipeline.testing.messages import (
    Message,
    call_message,
    get,
    gzipped,
    json_response,
    stream_message,
)

_STREAMED, _DUPLEX = Mode.STREAMED, Mode.FULL_DUPLEX_STREAMED
_WIRES = (
    Wire(cut=byte_by_byte),
    Wire(_STREAMED, cut=byte_by_byte),
    Wire(_DUPLEX, _DUPLEX, cut=byte_by_byte),
    *(Wire(_STREAMED, _DUPLEX, cut=seeded(seed)) for seed in range(4)),
    Wire(_DUPLEX, _DUPLEX, cut=seeded(5), trailers=True),
)


async def any_cut(subject: Subject) -> None:
    """However a network cuts a body, the same bytes come out of the chain.

    A plugin that remembers something between two pieces, or between two exchanges, answers one
    client in one way and the next in another.
    """
    for case in subject.cases():
        expected = essence(await _alone(subject, case))
        for wire in _WIRES:
            found = essence(await _alone(subject, case, wire))
            if found != expected:
                mode = wire.request.name
                raise Violation(f"{case.name}: other bytes when cut otherwise ({mode})")


async def any_event(subject: Subject) -> None:
    """However a provider divides its words among events, the client reads the same answer.

    Providers cut anywhere. A plugin that looks at one event at a time misses what stands in two.
    """
    for number, (prompt, answer) in enumerate(subject.texts, 1):
        request = case_of(prompt, answer, number, streams=True).request
        divisions = [[answer], list(answer)]
        divisions += [_divided(answer, seed) for seed in range(3)]
        results = [
            await _alone(subject, Case(f"text {number}", request, stream_message(*pieces)))
            for pieces in divisions
        ]
        endings = {(got.ending, _is_refused(got)) for got in results}
        require(len(endings) == 1, f"text {number}: refused or not, depending on its events")
        # What a client had read before a refusal does depend on them.
        read = {got.said for got in results if not _is_refused(got)}
        require(len(read) <= 1, f"text {number}: the client reads other words")


async def gzip_bodies(subject: Subject) -> None:
    """A call or an answer in gzip is treated as the same one in plain bytes.

    `encode()` of what nobody changed is what was on the wire: a plugin that reads that instead of
    the segments or the document fails at the first client that compresses.
    """
    for case in subject.cases():
        expected = words_of(await _alone(subject, case))
        request = replace(case, request=gzipped(case.request))
        response = replace(case, response=gzipped(case.response))
        for what, packed in (("request", request), ("answer", response)):
            got = await _alone(subject, packed)
            require(words_of(got) == expected, f"{case.name}: decided otherwise on a gzip {what}")


async def every_dialect(subject: Subject) -> None:
    """In every API format, whole and streamed, each hook decides and its rewrites are valid.

    A plugin that was written with one format in mind raises on another, or sends a provider what
    it refuses.
    """
    for dialect in DIALECTS:
        for case in [*subject.cases(dialect), *_odd_cases(dialect)]:
            got = await _alone(subject, case)
            for step in got.steps:
                require(
                    step.decision != "error", f"{case.name}: {step.hook} failed ({step.reason})"
                )
            if got.upstream is not None and got.upstream.body:
                _check_call(case, got.upstream)
    got = await _alone(subject, Case("no call", get("/v1/models"), json_response({"data": []})))
    require(all(s.decision != "error" for s in got.steps), "it failed on what is no LLM call")


def _check_call(case: Case, upstream: Message) -> None:
    try:
        dialect_of(case.dialect).check(upstream.document)
    except Exception as error:
        raise Violation(f"{case.name}: it made a call that is not valid") from error


def _odd_cases(dialect: str) -> list[Case]:
    failed = json_response({"error": {"message": "overloaded", "type": "server_error"}}, 529)
    plain = case_of("Hello.", "Hello to you.", dialect=dialect, streams=False)
    cases = [
        replace(plain, name=f"{dialect}, the provider failed", response=failed),
        replace(plain, name=f"{dialect}, no JSON", response=json_response(b"<html>")),
    ]
    image = "data:image/png;base64,iVBORw0KGgo="
    parts: list[dict[str, object]]
    match dialect:
        case "openai.chat":
            parts = [{"type": "image_url", "image_url": {"url": image}}]
            result = {"role": "tool", "tool_call_id": "1", "content": "sunny"}
            messages: list[object] = [{"role": "user", "content": parts}, _CALLED, result]
            fields: dict[str, Any] = {"messages": messages}
        case "anthropic.messages":
            source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
            parts = [{"type": "image", "source": source}]
            fields = {"messages": [{"role": "user", "content": parts}]}
        case "openai.responses":
            parts = [{"type": "input_image", "image_url": image}]
            fields = {"input": [{"role": "user", "content": parts}]}
        case _:
            return cases
    odd = call_message("", dialect=dialect, **fields)
    return [*cases, replace(plain, name=f"{dialect}, without text", request=odd)]


_CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ],
}


async def _alone(subject: Subject, case: Case, wire: Wire | None = None) -> Exchanged:
    """Run one exchange through a fresh instance."""
    async with subject.host() as host:
        return await host.send(case.request, case.response, wire=wire or Wire())


def _divided(text: str, seed: int) -> list[str]:
    # Four bytes a character: a cut of bytes that is one of characters as well.
    pieces = seeded(seed)(b" " * len(text))
    found, start = [], 0
    for piece in pieces:
        found.append(text[start : start + len(piece)])
        start += len(piece)
    return [piece for piece in found if piece]


def _is_refused(got: Exchanged) -> bool:
    return any(step.decision in {"refuse", "error"} and step.applied for step in got.steps)
