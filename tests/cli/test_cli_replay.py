"""`dragoman replay` and `dragoman explain --id`."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from typer.testing import CliRunner

from pipeline.cli.options import compiled
from pipeline.server.admin import Admin
from pipeline.server.bearer import Bearer
from pipeline.server.exchanges import Exchanges
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.recording import Tape, decode, encode, redactor
from pipeline.wire.replaying import replay

TOKEN = "token-of-the-operator"
CALL = {"model": "m", "messages": [{"role": "user", "content": "good morning"}]}
ENTRY = {
    "id": "id-1",
    "route": "chat",
    "tenant": "blue",
    "dialect": "openai_chat",
    "backend": "openai",
    "ending": "refused",
    "status": 403,
    "code": "no_bombs",
    "started_at": 1.5,
    "duration_ms": 2.0,
    "overhead_ms": 1.25,
    "dropped": [],
    "unread_tokens": 12,
    "steps": [
        {
            "instance": "loud",
            "hook": "on_request",
            "decision": "rewrite",
            "reason": "shouted",
            "applied": True,
            "ms": 0.5,
            "change": {
                "added": [{"role": "user", "kind": "text", "characters": 12}],
                "headers": {"set": ["x-loud"], "removed": []},
                "fields": ["temperature"],
                "events": {"held back": 2},
            },
        }
    ],
}


def tape_of(body):
    headers = {":method": "POST", ":path": "/v1/chat/completions", "x-request-id": "id-1"}
    first = pb.ProcessingRequest()
    first.protocol_config.request_body_mode = pb.ProcessingMode.BUFFERED
    for key, value in headers.items():
        first.request_headers.headers.headers.add(key=key, raw_value=value.encode())
    second = pb.ProcessingRequest()
    second.request_body.body = json.dumps(body).encode()
    second.request_body.end_of_stream = True
    return Tape(
        (("x-dragoman-level", "router"), ("x-dragoman-route", "chat")),
        2**20,
        entries=[first, second],
    )


@pytest.fixture
def recording(folder):
    """A recording of one call, with the answers that the config gives today."""
    with compiled(folder / "dragoman.yaml") as runtime:
        tape = tape_of(CALL)
        tape.entries += asyncio.run(replay(runtime, tape)).messages
        redacted = redactor(runtime.config, with_bodies=False)(tape)
    (folder / "a.jsonl").write_bytes(encode(redacted) + b"\n")
    return folder / "a.jsonl"


def test_decisions_are_printed_and_nothing_differs(dragoman, recording):
    result = dragoman("replay", "a.jsonl")

    assert "id-1 → route chat" in result.output
    assert "loud on_request" in result.output
    assert "answers as it was recorded" in result.output
    assert "Texts of redacted recordings are masked" in result.output
    assert "1 replayed, 0 differ" in result.output


def test_a_change_of_the_config_is_shown_and_exits_with_1(dragoman, folder, recording):
    text = (folder / "dragoman.yaml").read_text()
    (folder / "dragoman.yaml").write_text(text.replace("[guard, second, loud]", "[guard, second]"))

    result = dragoman("replay", "a.jsonl", exit_code=1)

    assert "answers otherwise than it was recorded" in result.output
    assert '"key": "x-loud"' in result.output
    assert "1 replayed, 1 differ" in result.output


def test_machines_get_json(dragoman, recording):
    [document] = json.loads(dragoman("replay", "a.jsonl", "--json").output)

    assert document["id"] == "id-1"
    assert document["diff"] == []
    assert [step["instance"] for step in document["steps"]] == ["guard", "second", "loud"]


def test_one_stream_can_be_picked(dragoman, recording):
    dragoman("replay", "a.jsonl", "--id", "id-1")
    dragoman("replay", "a.jsonl", "--id", "other", exit_code=2)


@pytest.mark.parametrize("line", ["{}", "text", '{"version": 2}', '{"version": 1, "metadata": 3}'])
def test_what_is_no_recording_is_an_error(dragoman, folder, line):
    (folder / "a.jsonl").write_text(line)

    assert "recording" in dragoman("replay", "a.jsonl", exit_code=1).output


def test_a_tape_survives_the_way_through_a_file():
    tape = tape_of(CALL)

    again = decode(encode(tape).decode())

    assert again.entries == tape.entries
    assert (again.level, again.request_id) == ("router", "id-1")


def test_a_tape_that_is_too_long_keeps_nothing():
    tape = Tape((), 10)
    for message in tape_of(CALL).entries:
        tape.add(message)

    assert not tape.is_whole
    assert tape.entries == []


@pytest.fixture
def admin():
    """An admin server that remembers one exchange."""
    address: list[str] = []
    up, over = threading.Event(), threading.Event()

    async def find(exchange_id):
        return json.dumps(ENTRY).encode() if exchange_id == "id-1" else None

    async def run():
        server = Admin(
            "127.0.0.1:0", lambda: b"", lambda: (True, {}), exchanges=Exchanges(Bearer(TOKEN), find)
        )
        address.append(await server.start())
        up.set()
        await asyncio.to_thread(over.wait)
        await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert up.wait(5)
    yield address[0]
    over.set()
    thread.join()


@pytest.fixture
def with_token(folder):
    text = (folder / "dragoman.yaml").read_text()
    (folder / "dragoman.yaml").write_text(f"server: {{admin_token: {TOKEN}}}\n{text}")


def test_a_past_exchange_is_explained(dragoman, with_token, admin):
    output = dragoman("explain", "--id", "id-1", "--admin", admin).output

    assert "id-1 → route chat · refused 403 no_bombs" in output
    assert "1970-01-01T00:00:01.500+00:00 · openai_chat · tenant blue · backend openai" in output
    assert "loud on_request  rewrite" in output
    assert "+ [user] 12 characters" in output
    assert "+ header x-loud" in output
    assert "~ temperature" in output
    assert "2 events held back" in output
    assert "read by no model: 12 tokens" in output


def test_a_past_exchange_as_json(dragoman, with_token, admin):
    assert (
        json.loads(dragoman("explain", "--id", "id-1", "--admin", admin, "--json").output) == ENTRY
    )


def test_an_exchange_that_nobody_remembers_is_an_error(dragoman, with_token, admin):
    result = dragoman("explain", "--id", "id-2", "--admin", admin, exit_code=1)

    assert "does not remember 'id-2'" in result.output


def test_a_wrong_token_is_an_error_that_does_not_show_it(dragoman, folder, with_token, admin):
    text = (folder / "dragoman.yaml").read_text()
    (folder / "dragoman.yaml").write_text(text.replace(TOKEN, "another-token-than-that"))

    result = dragoman("explain", "--id", "id-1", "--admin", admin, exit_code=1)

    assert "answers with 401" in result.output
    assert "another-token" not in result.output


def test_without_a_token_nothing_is_asked(dragoman):
    assert "server.admin_token is not set" in dragoman("explain", "--id", "x", exit_code=1).output


def test_a_short_token_is_a_config_error(folder):
    from pipeline.cli.main import app

    text = (folder / "dragoman.yaml").read_text()
    (folder / "dragoman.yaml").write_text(f"server: {{admin_token: short-secret}}\n{text}")

    result = CliRunner().invoke(app, ["check"])

    assert result.exit_code == 1
    assert "at least 16 characters" in result.output
    assert "short-secret" not in result.output
