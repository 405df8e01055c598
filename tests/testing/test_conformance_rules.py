"""Every rule of the conformance suite fails on a plugin that breaks it, and on no sound one."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import Field

from pipeline.api import Plugin, PluginConfig, Refuse, Reply, Rewrite
from pipeline.testing.conformance import (
    RULES,
    NotApplicable,
    Subject,
    Violation,
    check,
    conformance_suite,
    life_rules,
)

BY_NAME = {rule.name: rule for rule in RULES}


class Vague(PluginConfig):
    limit: int = 3


class Nested(PluginConfig):
    inner: dict[str, Vague] = Field(default_factory=dict, description="Limits.")


class Undescribed(Plugin[Vague]):
    Config = Vague


class UndescribedInside(Plugin[Nested]):
    Config = Nested


class TrustsStartup(Plugin[PluginConfig]):
    async def startup(self):
        self.task = asyncio.ensure_future(asyncio.sleep(0))

    async def shutdown(self):
        self.task.cancel()


class LeavesATask(Plugin[PluginConfig]):
    async def startup(self):
        self.task = asyncio.ensure_future(asyncio.sleep(30))


class LeavesAThread(Plugin[PluginConfig]):
    over = threading.Event()

    def startup(self):
        threading.Thread(target=self.over.wait, args=(5,), daemon=True).start()


class ChatOnly(Plugin[PluginConfig]):
    def on_request(self, exchange):
        return Rewrite(call=exchange.call) if exchange.call.document["messages"] else None


class SpoilsCalls(Plugin[PluginConfig]):
    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(set_params={"messages": 1, "input": {}}))


class CountsForAll(Plugin[PluginConfig]):
    count = 0

    def on_request(self, exchange):
        type(self).count += 1
        return Rewrite(call=exchange.call.replace(set_params={"seed": self.count}))


class SeesOneEvent(Plugin[PluginConfig]):
    def on_response_event(self, event):
        if "Paris" not in event.text:
            return None
        hidden = [replace(s, text=s.text.replace("Paris", "***")) for s in event.segments]
        return Rewrite(events=[event.replace(segments=hidden)])


class RefusesAnEvent(Plugin[PluginConfig]):
    def on_response_event(self, event):
        return Refuse(502, "paris", "not this town") if "Paris" in event.text else None


class ReadsRawBytes(Plugin[PluginConfig]):
    def on_request(self, exchange):
        json.loads(exchange.call.encode())


class RemembersInSelf(Plugin[PluginConfig]):
    def on_request(self, exchange):
        self.text = exchange.call.segments[-1].text

    def on_response_event(self, event):
        if not event.text:
            return None
        said = [replace(segment, text=self.text) for segment in event.segments]
        return Rewrite(events=[event.replace(segments=said)])


class ClaimsToRead(Plugin[PluginConfig]):
    read_only = True

    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(model="other"))


class ChangesTheCall(Plugin[PluginConfig]):
    def on_request(self, exchange):
        exchange.call.document["messages"][0]["content"] = "changed"


class ChangesTheAnswer(Plugin[PluginConfig]):
    def on_response(self, exchange):
        exchange.response.answer.document["choices"][0]["index"] = 7


class ChangesTheEvent(Plugin[PluginConfig]):
    def on_response_event(self, event):
        event.raw = event.raw.replace(b"Paris", b"Rome!")


class FailsOpen(Plugin[PluginConfig]):
    on_error = "closed"

    def on_request(self, exchange):
        try:
            bad = "Paris" in exchange.call.segments[0].text
        except Exception:  # noqa: BLE001
            return None
        return Refuse(403, "paris", "not this town") if bad else None


class FailsClosed(Plugin[PluginConfig]):
    def on_request(self, exchange):
        try:
            exchange.call.segments  # noqa: B018
        except Exception:  # noqa: BLE001
            return Refuse(503, "broken", "out of order")


class QuotesExceptions(Plugin[PluginConfig]):
    def on_request(self, exchange):
        try:
            exchange.call.segments  # noqa: B018
        except Exception as error:  # noqa: BLE001
            return Reply(exchange.answer(str(error)))


class Blocks(Plugin[PluginConfig]):
    def on_request(self):
        time.sleep(0.04)


class Sleeps(Plugin[PluginConfig]):
    async def on_request(self):
        time.sleep(60)  # noqa: ASYNC251


class ReadsAFile(Plugin[PluginConfig]):
    def on_response_event(self):
        try:
            return Path(__file__).read_text(encoding="utf-8") and None
        except Exception:  # noqa: BLE001
            return None


class AsksASocket(Plugin[PluginConfig]):
    def on_complete(self):
        with socket.socket() as made:
            made.connect(("127.0.0.1", 1))


class WaitsForALock(Plugin[PluginConfig]):
    def on_response(self):
        lock = threading.Lock()
        with lock:
            lock.acquire(timeout=60)


class SleepsInATask(Plugin[PluginConfig]):
    async def on_request(self):
        await asyncio.gather(self.sleep(), return_exceptions=True)

    async def sleep(self):
        time.sleep(60)  # noqa: ASYNC251


class OutlivesItsTime(Plugin[PluginConfig]):
    async def on_request(self):
        for _ in range(4):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                await asyncio.sleep(0.03)


class CatchesCancellation(Plugin[PluginConfig]):
    async def on_request(self):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            return


class TrustsResponses(Plugin[PluginConfig]):
    def on_complete(self, exchange):
        return exchange.response.status


class LeavesWork(Plugin[PluginConfig]):
    async def on_request(self):
        self.work = asyncio.ensure_future(asyncio.sleep(0.3))


class LogsPrompts(Plugin[PluginConfig]):
    def on_request(self, exchange):
        logging.getLogger("x").debug("asked %s", exchange.call.segments[0].text)


class PrintsAnswers(Plugin[PluginConfig]):
    def on_response(self, exchange):
        print(exchange.response.answer.text)  # noqa: T201


class QuotesPrompts(Plugin[PluginConfig]):
    def on_request(self, exchange):
        return Refuse(400, "bad_words", f"not allowed: {exchange.call.segments[0].text}")


class QuotesAnswers(Plugin[PluginConfig]):
    def on_response_event(self, exchange, event):
        text = exchange.state(self).get("text", "") + event.text
        exchange.state(self)["text"] = text
        return Refuse(502, "too_long", f"not allowed: {text}") if text.endswith(".") else None


class ReasonsWithPrompts(Plugin[PluginConfig]):
    def on_request(self, exchange):
        return Rewrite(call=exchange.call, reason=exchange.call.segments[0].text)


class ShowsKeys(Plugin[PluginConfig]):
    key = ""

    def on_request(self, exchange):
        self.key = exchange.request.headers.get("authorization")

    def __repr__(self):
        return f"ShowsKeys({self.key})"


class KeepsIds(Plugin[PluginConfig]):
    def __init__(self, config, *, name):
        super().__init__(config, name=name)
        self.ids = []

    def on_request(self, exchange):
        self.ids.append(exchange.id + "." * 1_000)


class KeepsTheCancelled(Plugin[PluginConfig]):
    def __init__(self, config, *, name):
        super().__init__(config, name=name)
        self.open = {}

    def on_request(self, exchange):
        self.open[exchange.id] = bytearray(2000)

    def on_response_headers(self, exchange):
        del self.open[exchange.id]


BAD = {
    "described_options": [Undescribed, UndescribedInside],
    "clean_end": [TrustsStartup, LeavesATask, LeavesAThread],
    "every_dialect": [ChatOnly, SpoilsCalls],
    "any_cut": [CountsForAll],
    "any_event": [SeesOneEvent, RefusesAnEvent],
    "gzip_bodies": [ReadsRawBytes],
    "apart": [RemembersInSelf],
    "read_only": [ClaimsToRead],
    "nothing_mutated": [ChangesTheCall, ChangesTheAnswer, ChangesTheEvent],
    "shadow": [ChangesTheEvent],
    "fail_policy": [FailsOpen, FailsClosed, QuotesExceptions],
    "never_blocks": [Sleeps, ReadsAFile, AsksASocket, WaitsForALock, SleepsInATask],
    "timeout": [Blocks, OutlivesItsTime],
    "cancel": [CatchesCancellation, TrustsResponses, LeavesWork],
    "private": [
        LogsPrompts,
        PrintsAnswers,
        QuotesPrompts,
        QuotesAnswers,
        ReasonsWithPrompts,
        ShowsKeys,
    ],
    "memory": [KeepsIds, KeepsTheCancelled],
}
PAIRS = [(name, bad) for name, plugins in BAD.items() for bad in plugins]


class Sound(Plugin[PluginConfig]):
    """Has every kind of hook and breaks no rule."""

    read_only = True

    async def on_request(self, exchange):
        exchange.state(self)["asked"] = len(exchange.call.segments)
        await asyncio.sleep(0)

    def on_response_event(self, event):
        return None

    async def on_response(self, exchange):
        await asyncio.sleep(0)

    async def on_complete(self, exchange, outcome):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    monkeypatch.setattr(life_rules, "HOOK_LIMIT_S", 0.02)


@pytest.mark.parametrize(("name", "bad"), PAIRS, ids=[f"{n}-{bad.__name__}" for n, bad in PAIRS])
def test_a_rule_fails_on_a_plugin_that_breaks_it(name, bad):
    with pytest.raises(Violation):
        check(BY_NAME[name], Subject(bad))


def test_a_slow_import_breaks_its_rule(tmp_path, monkeypatch):
    code = "import time; time.sleep(0.05)\nfrom pipeline.api import Plugin\nclass Slow(Plugin): ..."
    (tmp_path / "slow_to_import.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(life_rules, "IMPORT_LIMIT_S", 0.04)
    from slow_to_import import Slow

    with pytest.raises(Violation):
        check(BY_NAME["quick_import"], Subject(Slow))


def test_every_rule_has_been_seen_to_fail():
    assert {*BAD, "quick_import"} == BY_NAME.keys()


def test_a_plugin_that_no_interpreter_can_import_alone_is_not_timed():
    made = type("Local", (Plugin,), {"__module__": "no_such_module_anywhere"})

    with pytest.raises(NotApplicable):
        check(BY_NAME["quick_import"], Subject(made))


class SleepsInAThread(Plugin[PluginConfig]):
    blocking = True

    def on_request(self):
        time.sleep(0.001)


def test_a_plugin_that_declares_that_it_blocks_may():
    check(BY_NAME["never_blocks"], Subject(SleepsInAThread))


def test_calls_that_block_are_named_with_who_makes_them():
    with pytest.raises(Violation, match=r"with time\.sleep in Sleeps\.on_request$"):
        check(BY_NAME["never_blocks"], Subject(Sleeps))


def test_without_the_extra_the_rule_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "blockbuster", None)

    with pytest.raises(NotApplicable, match=r"dragoman\[testing\]"):
        check(BY_NAME["never_blocks"], Subject(Sound))


def test_a_plugin_that_does_not_claim_to_read_only_may_rewrite():
    with pytest.raises(NotApplicable):
        check(BY_NAME["read_only"], Subject(SeesOneEvent))


def test_every_rule_has_a_sentence_and_a_reason():
    assert [r.name for r in RULES if not (r.sentence.endswith(".") and r.why.endswith("."))] == []


def test_a_skipped_rule_must_exist():
    with pytest.raises(ValueError, match="there is no rule any_cat"):
        conformance_suite(Sound, skip={"any_cat": "it is a dog"})


test_a_sound_plugin_keeps_every_rule = conformance_suite(Sound)
