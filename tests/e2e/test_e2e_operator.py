"""The operator's view of live exchanges: recorded, replayed, remembered, no secret told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from pathlib import Path

import pytest
import yaml

from pipeline.cli.options import compiled
from pipeline.demo.upstream import DemoSettings
from pipeline.wire.recording import decode
from pipeline.wire.replaying import replay
from tests.support.stack import CHAT, eventually, running_stack

pytestmark = pytest.mark.e2e

TOKEN = "token-of-the-operator"
SECRETS = ["canary-prompt", "canary-key", "canary-style", "key-of-demo", TOKEN]
PLUGINS = {
    "style": {
        "uses": "prompt_decorator",
        "with": {"append": [{"role": "system", "content": "canary-style"}]},
    },
    "odd": {"uses": "tests.support.ring_plugin:Odd"},
}
CALL = {
    "model": "m",
    "messages": [{"role": "user", "content": "canary-prompt"}],
    "metadata": {"canary-prompt": "canary-prompt"},
}
UPSTREAMS = {"demo": DemoSettings(), "second": DemoSettings()}


def config_of(folder, **telemetry):
    routes = [
        {**CHAT, "plugins": ["style", "odd"]},
        {
            "name": "spare",
            "match": {"path": "/spare/v1/chat/completions"},
            "plugins": ["style"],
            "backends": ["demo", "second"],
        },
    ]
    record = {"share": "100%", "folder": str(folder), **telemetry}
    return {
        "server": {"admin_token": TOKEN},
        "telemetry": {"record": record},
        "plugins": PLUGINS,
        "routes": routes,
    }


async def talk(stack):
    headers = {"authorization": "Bearer canary-key"}
    for path in ("/v1/chat/completions", "/spare/v1/chat/completions"):
        for more in ({}, {"stream": True}):
            answer = await stack.http.post(
                f"{path}?k=canary-key", json={**CALL, **more}, headers=headers
            )
            assert answer.status_code == 200


async def recorded(folder, config):
    """Return what four exchanges leave behind: six streams, two of them attempts."""
    async with running_stack(config, upstreams=UPSTREAMS) as stack:
        await talk(stack)
    [file] = await asyncio.to_thread(lambda: list(Path(folder).iterdir()))
    return [decode(line) for line in file.read_text().splitlines()], file


async def replayed(tapes, tmp_path, config):
    backends = {name: {"provider": "openai", "api_key": f"key-of-{name}"} for name in UPSTREAMS}
    path = tmp_path / "dragoman.yaml"
    path.write_text(yaml.safe_dump({**config, "telemetry": {}, "backends": backends}))
    with compiled(path) as runtime:
        return [await replay(runtime, tape) for tape in tapes]


@pytest.mark.parametrize("bodies", ["redacted", "full"])
async def test_what_was_recorded_is_answered_alike_when_it_is_replayed(tmp_path, bodies):
    config = config_of(tmp_path / "recordings", bodies=bodies)

    tapes, _ = await recorded(tmp_path / "recordings", config)
    done = await replayed(tapes, tmp_path, config)

    assert sorted(tape.level for tape in tapes) == ["router"] * 4 + ["upstream"] * 2
    for one in done:
        assert one.answered == one.recorded
        assert one.recorded
    assert {one.exchange.route for one in done if one.exchange} == {"chat", "spare"}


async def test_another_config_shows_in_the_differences(tmp_path):
    config = config_of(tmp_path / "recordings")
    tapes, _ = await recorded(tmp_path / "recordings", config)

    config["plugins"]["style"]["with"]["append"][0]["content"] = "something longer"
    done = await replayed(tapes, tmp_path, config)

    assert all(one.answered != one.recorded for one in done if one.tape.level == "router")


async def test_a_recording_shows_no_text_and_no_credential(tmp_path):
    _, file = await recorded(tmp_path / "recordings", config_of(tmp_path / "recordings"))

    def texts(value):
        match value:
            case dict():
                for key, inner in value.items():
                    yield from texts(key)
                    yield from texts(inner)
            case list():
                for inner in value:
                    yield from texts(inner)
            case str():
                yield value
                with contextlib.suppress(ValueError):
                    yield base64.b64decode(value, validate=True).decode("utf-8", "replace")

    everything = [t for line in file.read_text().splitlines() for t in texts(json.loads(line))]

    assert "/v1/chat/completions?xxxxxxxxxxxx" in everything
    assert [t for t in everything for secret in SECRETS if secret in t] == []


async def test_full_bodies_still_show_no_credential(tmp_path):
    _, file = await recorded(
        tmp_path / "recordings", config_of(tmp_path / "recordings", bodies="full")
    )

    text = file.read_text()
    assert not decode(text.splitlines()[0]).redacted
    for header in ("authorization", "x-odd"):
        values = {
            entry_header["raw_value"]
            for line in text.splitlines()
            for entry_header in headers_in(json.loads(line), header)
        }
        assert values
        assert all(set(decoded(value)) <= set("x ") for value in values)


def decoded(value):
    return base64.b64decode(value).decode()


def headers_in(value, name):
    if isinstance(value, dict):
        if value.get("key") == name and "raw_value" in value:
            yield value
        for inner in value.values():
            yield from headers_in(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from headers_in(inner, name)


async def test_a_past_exchange_is_told_to_who_has_the_token_and_to_nobody_else(tmp_path):
    async with running_stack(config_of(tmp_path), upstreams=UPSTREAMS) as stack:
        await stack.http.post("/v1/chat/completions", json=CALL)
        exchange_id = stack.seen["demo"][0].headers["X-Request-ID"]
        url = f"http://{stack.host.admin_address}/exchanges/{exchange_id}"

        async def told():
            answer = await stack.http.get(url, headers={"authorization": f"Bearer {TOKEN}"})
            return answer.status_code == 200

        await eventually(told)
        told_text = (await stack.http.get(url, headers={"authorization": f"Bearer {TOKEN}"})).text
        for wrong in ({}, {"authorization": "Bearer no"}, {"authorization": TOKEN}):
            refused = await stack.http.get(url, headers=wrong)
            assert refused.status_code == 401
            assert "style" not in refused.text
        unknown = await stack.http.get(
            f"http://{stack.host.admin_address}/exchanges/none",
            headers={"authorization": f"Bearer {TOKEN}"},
        )

    assert unknown.status_code == 404
    assert [step["instance"] for step in json.loads(told_text)["steps"]][:2] == ["style", "odd"]
    assert [secret for secret in SECRETS if secret in told_text] == []


async def test_without_a_token_there_is_no_such_page(tmp_path):
    config = config_of(tmp_path)
    del config["server"]
    async with running_stack(config, upstreams=UPSTREAMS) as stack:
        answer = await stack.http.get(f"http://{stack.host.admin_address}/exchanges/any")

    assert answer.status_code == 404
    assert stack.host._observation.ring is None
