"""Streamed answers over a real Envoy: replaced, held back, added to, ended; whole and in time."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import Event, Plugin, Refuse, Rewrite
from tests.support.stack import eventually, running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

STATUSES: list[tuple[str, int]] = []


def _texts(event, change):
    return event.replace(segments=[replace(s, text=change(s.text)) for s in event.segments])


class Upper(Plugin):
    """Replaces."""

    def on_response_event(self, exchange, event):
        return Rewrite(events=[_texts(event, str.upper)]) if event.text else None


class Pairs(Plugin):
    """Holds every first text back and sends it with the next."""

    def on_response_event(self, exchange, event):
        held = exchange.state(self)
        if event.closes:
            rest = held.pop("text", "")
            # Nothing of it may be lost: what is held goes before the end.
            last = [_texts(held["event"], lambda _: rest)] if rest else []
            return Rewrite(events=[*last, event])
        if not event.text:
            return None
        before = held.pop("text", None)
        if before is None:
            held.update(text=event.text, event=event)
            return Rewrite(events=[])
        return Rewrite(events=[_texts(event, lambda text: before + text)])


class Twice(Plugin):
    """Adds."""

    def on_response_event(self, exchange, event):
        return Rewrite(events=[event, event]) if event.text else None


class Short(Plugin):
    """Ends a stream after its second word."""

    def on_response_event(self, exchange, event):
        seen = exchange.state(self)
        seen["words"] = seen.get("words", 0) + bool(event.text)
        return Rewrite(events=[event, _done(event)], end=True) if seen["words"] == 2 else None


class Cut(Plugin):
    """Refuses at the third word."""

    def on_response_event(self, exchange, event):
        return Refuse(451, "cut", "no more of this") if "three" in event.text else None


class Whole(Plugin):
    """Wants the whole answer, streamed or not."""

    def on_response(self, exchange):
        answer = exchange.response.answer
        text = answer.segments[0].text
        STATUSES.append((text, answer.usage.output_tokens or 0))
        return Rewrite(
            answer=answer.replace(segments=[replace(answer.segments[0], text=text[::-1])])
        )


class Looking(Plugin):
    """Sees the whole answer and holds nothing back."""

    read_only = True

    def on_response(self, exchange):
        STATUSES.append((exchange.response.answer.text, exchange.response.status))


def _done(event):
    return Event(event.dialect, b"data: [DONE]\n\n", closes=True)


PLUGINS = ("Upper", "Pairs", "Twice", "Short", "Cut", "Whole", "Looking")
CONFIG = {
    "limits": {"event": "64KiB"},
    "plugins": {name.lower(): {"uses": f"{__name__}:{name}"} for name in PLUGINS}
    | {"closed": {"uses": f"{__name__}:Upper", "on_error": "closed"}},
    "routes": [
        {
            "name": name.lower(),
            "match": {"path_prefix": f"/{name.lower()}/"},
            "plugins": [name.lower()],
            "backends": ["scripted"],
        }
        for name in (*PLUGINS, "closed")
    ],
}
CALL = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}


def chunk(text=None, finish=None):
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


WORDS = [chunk(text) for text in ("one ", "two ", "three ", "four ", "five")]
END = [chunk(finish="stop"), b"data: [DONE]\n\n"]
STREAM = [b": hello\n\n", *WORDS, *END]


class Script:
    """What the upstream answers next: its pieces, each after what it waits for."""

    def __init__(self):
        self.pieces = STREAM
        self.headers = {}
        self.waits = {}

    async def answer(self, request):
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **self.headers})
        await response.prepare(request)
        for position, piece in enumerate(self.pieces):
            if position in self.waits:
                await self.waits[position].wait()
            await response.write(piece)
        await response.write_eof()
        return response


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(envoy):
    script = Script()
    async with upstream_of(script.answer) as url:
        own = {"backends": {"scripted": {"provider": "openai", "url": url}}}
        async with running_stack({**CONFIG, **own}, binary=envoy) as stack:
            yield stack, script


@pytest.fixture
def script(running):
    script = running[1]
    script.__init__()
    return script


@pytest.fixture
def ask(running, script):
    async def send(route):
        return await running[0].http.post(f"/{route}/v1/chat/completions", json=CALL)

    return send


def deltas(body):
    lines = [line[6:] for line in body.splitlines() if line.startswith("data: {")]
    choices = [c for line in lines for c in json.loads(line).get("choices", ())]
    return [c["delta"]["content"] for c in choices if c["delta"].get("content")]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("upper", ["ONE ", "TWO ", "THREE ", "FOUR ", "FIVE"]),
        ("pairs", ["one two ", "three four ", "five"]),
        ("twice", [word for word in ("one ", "two ", "three ", "four ", "five") for _ in "12"]),
        ("short", ["one ", "two "]),
        ("cut", ["one ", "two "]),
        ("looking", ["one ", "two ", "three ", "four ", "five"]),
    ],
)
async def test_what_becomes_of_the_events(ask, route, expected):
    answer = await ask(route)

    assert answer.status_code == 200
    assert deltas(answer.text) == expected
    assert answer.headers["content-type"] == "text/event-stream"
    assert "content-length" not in answer.headers
    assert answer.text.count("[DONE]") == 1


async def test_a_refused_stream_ends_in_an_error_event(ask):
    answer = await ask("cut")

    errors = [line for line in answer.text.splitlines() if '"error"' in line]
    assert len(errors) == 1
    assert json.loads(errors[0].removeprefix("data: "))["error"]["code"] == "cut"


async def test_a_plugin_of_whole_answers_gets_a_streams_answer(ask):
    STATUSES.clear()
    answer = await ask("whole")

    assert STATUSES[0][0] == "one two three four five"
    assert "".join(deltas(answer.text)) == "evif ruof eerht owt eno"
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("cut", ["bytes", "halves", "one"])
async def test_bytes_may_be_cut_anywhere(ask, script, cut, ends):
    text = json.loads(chunk("x")[6:])
    text["choices"][0]["delta"]["content"] = "zwölf 🍒"
    raw = b"data: " + json.dumps(text, ensure_ascii=False).encode() + b"\n\n"
    whole = b"".join([*WORDS[:1], raw, *END]).replace(b"\n", ends)
    script.pieces = {
        "bytes": [whole[i : i + 1] for i in range(len(whole))],
        "halves": [whole[: len(whole) // 3], whole[len(whole) // 3 :]],
        "one": [whole],
    }[cut]

    answer = await ask("upper")

    assert deltas(answer.text) == ["ONE ", "ZWÖLF 🍒"]


async def test_untouched_events_go_on_byte_for_byte(ask, script):
    odd = b'event: x\r\ndata:{"choices" : [ ],\r\ndata: "\\u00e9":1}\r\nid: 7\r\n\r\n'
    script.pieces = [b"\xef\xbb\xbf: hi\n\n", odd, b"retry: 5\n\n", WORDS[0], *END, b": bye\n\n"]

    answer = await ask("looking")

    assert answer.content == b"".join(script.pieces)


@pytest.mark.parametrize("route", ["upper", "cut", "looking", "twice"])
async def test_the_first_event_does_not_wait_for_the_second(running, script, route):
    script.waits = {2: asyncio.Event()}
    url = f"/{route}/v1/chat/completions"
    async with asyncio.timeout(5), running[0].http.stream("POST", url, json=CALL) as answer:
        lines = answer.aiter_lines()
        first = [line async for line in _until(lines, "one ")]
        script.waits[2].set()
        rest = [line async for line in lines]

    assert "one" in first[-1].lower()
    assert "two" in "".join(rest).lower()


async def _until(lines, word):
    async for line in lines:
        yield line
        if word.strip() in line.lower():
            return


async def test_a_plugin_that_holds_the_stream_holds_it(running, script):
    script.waits = {len(STREAM) - 1: asyncio.Event()}
    async with running[0].http.stream("POST", "/whole/v1/chat/completions", json=CALL) as answer:
        assert answer.status_code == 200
        reading = asyncio.ensure_future(answer.aread())
        await asyncio.sleep(0.05)
        assert not reading.done()
        script.waits[len(STREAM) - 1].set()
        assert "evif" in (await asyncio.wait_for(reading, 5)).decode()


async def test_a_stream_without_its_last_frame_is_still_closed(ask, script):
    script.pieces = WORDS[:3]

    assert deltas((await ask("pairs")).text) == ["one two ", "three "]


async def test_an_event_without_its_blank_line_at_the_end_counts(ask, script):
    script.pieces = [WORDS[0], WORDS[1].rstrip(b"\n")]

    assert deltas((await ask("upper")).text) == ["ONE ", "TWO "]


async def test_a_gzipped_stream_is_read(ask, script):
    script.headers = {"content-encoding": "gzip"}
    packed = gzip.compress(b"".join(STREAM))
    script.pieces = [packed[:40], packed[40:]]

    answer = await ask("upper")

    assert deltas(answer.text)[:2] == ["ONE ", "TWO "]
    assert "content-encoding" not in answer.headers


async def test_a_stream_that_cannot_be_read_is_refused_where_it_must_be(ask, script):
    script.headers = {"content-encoding": "compress"}
    script.pieces = [b"whatever"]

    refused = await ask("closed")
    assert refused.status_code == 502
    assert refused.json()["error"]["code"] == "unreadable_answer"


async def test_a_stream_that_is_not_in_its_encoding_ends_with_an_error_event(ask, script):
    script.headers = {"content-encoding": "gzip"}
    script.pieces = [b"whatever"]

    error, *_ = (await ask("closed")).text.split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "unreadable_answer"


TOO_LARGE = b"data: " + b"x" * 100_000 + b"\n\n"


async def test_a_first_event_that_is_too_large_is_an_error_event_since_headers_are_gone(
    ask, script
):
    script.pieces = [TOO_LARGE, *END]
    answer = await ask("upper")

    error, *_ = answer.text.split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "event_too_large"
    assert "xxx" not in answer.text


async def test_a_later_event_that_is_too_large_ends_the_stream_with_an_error_event(running, script):
    script.pieces = [WORDS[0], TOO_LARGE, *END]
    script.waits = {1: asyncio.Event()}
    url = "/upper/v1/chat/completions"
    got = []
    async with asyncio.timeout(5), running[0].http.stream("POST", url, json=CALL) as answer:
        async for piece in answer.aiter_bytes():
            got.append(piece)
            script.waits[1].set()

    first, error, *_ = b"".join(got).decode().split("\n\n")
    assert deltas(first + "\n\n") == ["ONE "]
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "event_too_large"
    assert b"xxx" not in b"".join(got)


async def test_a_client_that_leaves_cancels_the_exchange(running, script):
    script.waits = {3: asyncio.Event()}
    stack, _ = running
    url = "/upper/v1/chat/completions"
    async with asyncio.timeout(5), stack.http.stream("POST", url, json=CALL) as answer:
        assert answer.status_code == 200

    async def is_counted():
        wanted = 'dragoman_exchanges_total{ending="cancelled",route="upper",status_class="2xx"}'
        return wanted in await stack.metrics()

    await eventually(is_counted)
