"""The chain over a real Envoy: order, decisions, modes, conditions, budgets, failures."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
import pytest_asyncio
from pydantic import Field

from pipeline.api import Answer, HeaderEdits, Plugin, PluginConfig, Refuse, Reply, Rewrite
from tests.support.stack import eventually, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

COMPLETED: list[tuple[str, str, str]] = []
"""Instance, request id and ending of each `on_complete`."""


def _say(source, text):
    """Append to the last text of a call, an answer or an event."""
    *rest, last = source.segments
    return source.replace(segments=[*rest, replace(last, text=last.text + text)])


class Tag(Plugin):
    """Signs the prompt on its way in and the answer on its way out."""

    def on_request(self, exchange):
        return Rewrite(call=_say(exchange.call, f" {self.name}"))

    def on_response(self, exchange):
        return Rewrite(answer=_say(exchange.response.answer, f" <{self.name}"))

    def on_response_event(self, exchange, event):
        if event.closes or not event.text:
            return None
        return Rewrite(events=[_say(event, f"<{self.name}")])

    def on_complete(self, exchange, outcome):
        COMPLETED.append((self.name, exchange.id, outcome.ending))


class Answering(Plugin):
    """Replies with its own name, and signs what comes back, which it must never see."""

    def on_request(self, exchange):
        headers = HeaderEdits(set={"x-from": self.name})
        return Reply(exchange.answer(self.name, model="mine"), headers=headers)

    def on_response(self, exchange):
        return Rewrite(answer=_say(exchange.response.answer, " unseen"))

    def on_complete(self, exchange, outcome):
        COMPLETED.append((self.name, exchange.id, outcome.ending))


class Early(Plugin):
    """Replies or refuses before the body has come."""

    def on_request_headers(self, exchange):
        if "x-refuse" in exchange.request.headers:
            return Refuse(418, "early", "no tea")
        return Reply(exchange.answer("early"))


class Guard(Plugin):
    on_error = "closed"

    def on_request(self, exchange):
        headers = HeaderEdits(set={"retry-after": "7"})
        return Refuse(429, "too_many", "slow down", headers=headers, reason="limit")

    def on_complete(self, exchange, outcome):
        COMPLETED.append((self.name, exchange.id, outcome.ending))


class AnswerGuard(Plugin):
    def on_response(self, exchange):
        if "secret" in exchange.response.answer.text:
            return Refuse(451, "leak", "not for you")
        return None


class FaultyConfig(PluginConfig):
    """Which fault, and where."""

    fault: str = Field(description="What to do wrong.")


class Faulty(Plugin[FaultyConfig]):
    """Does every hook wrong in one way."""

    Config = FaultyConfig

    async def on_request(self, exchange):
        match self.config.fault:
            case "raise":
                raise RuntimeError("about: " + exchange.call.segments[-1].text)
            case "hang":
                await asyncio.sleep(30)
            case "nonsense":
                return {"allow": True}
            case "status":
                return Refuse(200, "fine", "is it?")
            case "answer":
                return Rewrite(answer=exchange.answer("too soon"))
            case "foreign":
                return Rewrite(call=exchange.call.replace(segments=[*exchange.call.segments, 7]))
        return None


class FaultyAnswer(Plugin[FaultyConfig]):
    """As `Faulty`, on the way back."""

    Config = FaultyConfig

    async def on_response(self, exchange):
        match self.config.fault:
            case "raise":
                raise RuntimeError(exchange.response.answer.text)
            case "hang":
                await asyncio.sleep(30)
            case "nonsense":
                return Reply(Answer(exchange.dialect, {}))
        return None


class Blocking(Plugin):
    """Works in a thread for a while."""

    blocking = True
    on_error = "closed"
    timeout_s = 0.1

    def on_request(self, exchange):
        if exchange.call.model == "slow":
            time.sleep(0.3)


class Watching(Plugin):
    """Takes 100 ms to look at a call."""

    read_only = True

    async def on_request(self, exchange):
        await asyncio.sleep(0.1)


def tag(name, **settings):
    return {name: {"uses": f"{__name__}:Tag", **settings}}


def one(name, kind, **settings):
    return {name: {"uses": f"{__name__}:{kind}", **settings}}


FAULTS = ("raise", "hang", "nonsense", "status", "answer", "foreign")
ANSWER_FAULTS = ("raise", "hang", "nonsense")
POLICIES = ("open", "closed")
WHEN = {
    "header": 'headers["x-team"] == "red"',
    "model": 'model.startsWith("gpt-") && !stream',
    "stream": "stream",
    "tenant": 'tenant == "acme"',
    "place": 'route == "when" && method == "POST" && path.endsWith("/completions")',
    "optional": '"x-team" in headers && headers["x-team"] == "red"',
}
ROUTES = {
    "order": ["a", "b", "c"],
    "replied": ["a", "b", "answering", "c"],
    "refused": ["a", "guard", "c"],
    "early": ["early", "a"],
    "leaking": ["a", "answerguard"],
    "shadowed": ["shadowtag", "shadowguard", "shadowfault"],
    "partly": ["half"],
    "when": [f"when-{name}" for name in WHEN],
    "watched": ["watching1", "watching2"],
    "blocking": ["blocking"],
    "nothing": [],
    **{f"{fault}-{policy}": [f"{fault}-{policy}", "a"] for fault in FAULTS for policy in POLICIES},
    **{
        f"answer-{fault}-{policy}": [f"answer-{fault}-{policy}"]
        for fault in ANSWER_FAULTS
        for policy in POLICIES
    },
}
CONFIG = {
    "tenant": {"header": "x-tenant"},
    "plugins": {
        **tag("a"),
        **tag("b"),
        **tag("c"),
        **one("answering", "Answering"),
        **one("guard", "Guard"),
        **one("early", "Early"),
        **one("answerguard", "AnswerGuard"),
        **tag("shadowtag", mode="shadow"),
        **one("shadowguard", "Guard", mode="shadow"),
        **one(
            "shadowfault",
            "Faulty",
            mode="shadow",
            on_error="closed",
            **{"with": {"fault": "raise"}},
        ),
        **tag("half", mode="50%"),
        **{k: v for name, when in WHEN.items() for k, v in tag(f"when-{name}", when=when).items()},
        **one("watching1", "Watching"),
        **one("watching2", "Watching"),
        **one("blocking", "Blocking"),
        **{
            f"{fault}-{policy}": {
                "uses": f"{__name__}:Faulty",
                "with": {"fault": fault},
                "on_error": policy,
                "timeout": "60ms",
            }
            for fault in FAULTS
            for policy in POLICIES
        },
        **{
            f"answer-{fault}-{policy}": {
                "uses": f"{__name__}:FaultyAnswer",
                "with": {"fault": fault},
                "on_error": policy,
                "timeout": "60ms",
            }
            for fault in ANSWER_FAULTS
            for policy in POLICIES
        },
    },
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": plugins,
            "backends": ["demo"],
        }
        for name, plugins in ROUTES.items()
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack():
    async with running_stack(CONFIG) as made:
        yield made


@pytest.fixture
def ask(stack):
    async def send(route, text="say: hi", path="chat/completions", headers=None, **fields):
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
        return await stack.http.post(f"/{route}/v1/{path}", json=body, headers=headers)

    return send


async def completed(response_id, count):
    """Wait for `on_complete`, which runs after the client has its answer."""

    async def all_did():
        return len([c for c in COMPLETED if c[1] == response_id]) >= count

    await eventually(all_did)
    return [c for c in COMPLETED if c[1] == response_id]


def text_of(response):
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]["content"]


def deltas_of(response):
    assert response.headers["content-type"] == "text/event-stream", response.text
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
    choices = [c for line in lines for c in json.loads(line).get("choices", ())]
    return [c["delta"]["content"] for c in choices if c["delta"].get("content")]


async def test_requests_pass_in_list_order_and_answers_in_reverse(ask, stack):
    answer = await ask("order")

    assert text_of(answer) == "hi a b c <c <b <a"
    assert json.loads(stack.seen["demo"][-1].body)["messages"][0]["content"] == "say: hi a b c"
    assert answer.headers["x-dragoman-plugins"] == "a=rewrite, b=rewrite, c=rewrite"


async def test_streamed_events_pass_in_reverse_order(ask):
    answer = await ask("order", stream=True)

    assert deltas_of(answer)[0].startswith("hi<c<b<a")
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_reply_is_seen_by_those_before_it_alone(ask, stack):
    before = len(stack.seen["demo"])
    answer = await ask("replied")

    assert text_of(answer) == "answering <b <a"
    assert answer.json()["model"] == "mine"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-from"] == "answering"
    assert len(stack.seen["demo"]) == before
    assert "answering=reply" in answer.headers["x-dragoman-plugins"]


async def test_a_reply_to_a_streaming_client_is_a_stream(ask):
    answer = await ask("replied", stream=True)

    assert deltas_of(answer) == ["answering<b<a"]
    assert answer.headers["x-from"] == "answering"
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_everyone_entered_completes_and_nobody_else(ask, stack):
    answer = await ask("replied")
    exchange_id = answer.json()["id"].removeprefix("dragoman-")

    found = await completed(exchange_id, 3)

    assert found == [(name, exchange_id, "replied") for name in ("answering", "b", "a")]


async def test_everyone_completes_after_a_providers_answer(ask):
    COMPLETED.clear()  # what another test left behind may still come
    await ask("order")

    async def c_did():
        return any(name == "c" for name, _, _ in COMPLETED)

    await eventually(c_did)
    exchange_id = next(id_ for name, id_, _ in COMPLETED if name == "c")
    found = await completed(exchange_id, 3)
    assert found == [(name, exchange_id, "completed") for name in ("c", "b", "a")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_an_error_of_the_clients_format(ask, stack, stream):
    before = len(stack.seen["demo"])
    answer = await ask("refused", stream=stream)

    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"] == {
        "message": "slow down",
        "type": "rate_limit_error",
        "param": None,
        "code": "too_many",
    }
    assert answer.headers["x-dragoman-plugins"] == "a=rewrite, guard=refuse"
    assert len(stack.seen["demo"]) == before


async def test_a_refusal_speaks_anthropics_format_too(ask):
    answer = await ask("refused", path="messages", max_tokens=9)

    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.json()["error"]["code"] == "too_many"


async def test_headers_alone_may_be_answered(ask):
    assert text_of(await ask("early")) == "early"
    refused = await ask("early", headers={"x-refuse": "1"})
    assert refused.status_code == 418
    assert refused.json()["error"]["code"] == "early"


async def test_an_answer_may_be_refused(ask):
    assert text_of(await ask("leaking")) == "hi a <a"
    refused = await ask("leaking", "say: the secret")
    assert refused.status_code == 451
    assert refused.json()["error"]["code"] == "leak"
    assert "secret" not in refused.text


async def test_shadow_leaves_no_trace_but_in_the_report(ask, stack):
    answer = await ask("shadowed")

    assert text_of(answer) == "hi"
    assert json.loads(stack.seen["demo"][-1].body)["messages"][0]["content"] == "say: hi"
    assert answer.headers["x-dragoman-plugins"] == (
        "shadowtag=shadow-rewrite, shadowguard=shadow-refuse, shadowfault=shadow-error"
    )
    assert deltas_of(await ask("shadowed", stream=True)) == ["hi"]


async def test_a_share_is_of_tenants_and_stable(ask):
    tenants = [f"tenant-{n}" for n in range(24)]

    async def enforced(tenant):
        return text_of(await ask("partly", headers={"x-tenant": tenant})) != "hi"

    first = [await enforced(tenant) for tenant in tenants]
    second = [await enforced(tenant) for tenant in tenants]

    assert first == second
    assert 4 <= sum(first) <= 20


@pytest.mark.parametrize(
    ("headers", "fields", "expected"),
    [
        ({}, {}, ["place"]),
        ({"x-team": "red"}, {}, ["header", "place", "optional"]),
        ({"x-team": "blue"}, {}, ["place"]),
        ({"x-tenant": "acme"}, {}, ["tenant", "place"]),
        ({}, {"model": "gpt-5"}, ["model", "place"]),
        ({}, {"model": "gpt-5", "stream": True}, ["stream", "place"]),
    ],
)
async def test_conditions_choose_who_runs(ask, stack, headers, fields, expected):
    await ask("when", "x", headers=headers, **fields)

    said = json.loads(stack.seen["demo"][-1].body)["messages"][0]["content"]
    assert said.split()[1:] == [f"when-{name}" for name in expected]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_let_through_where_the_instance_fails_open(ask, fault):
    answer = await asyncio.wait_for(ask(f"{fault}-open"), 2)

    assert text_of(answer) == "hi a <a"
    assert answer.headers["x-dragoman-plugins"].startswith(f"{fault}-open=shadow-error")


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_refuses_where_the_instance_fails_closed(ask, stack, fault):
    before = len(stack.seen["demo"])
    answer = await asyncio.wait_for(ask(f"{fault}-closed", "canary"), 2)

    kinds = {"raise": "plugin_error", "hang": "plugin_timeout", "foreign": "plugin_error"}
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == kinds.get(fault, "plugin_nonsense")
    assert "canary" not in answer.text
    assert len(stack.seen["demo"]) == before


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ANSWER_FAULTS)
async def test_the_same_holds_for_answers(ask, fault, stream):
    through = await asyncio.wait_for(ask(f"answer-{fault}-open", stream=stream), 2)
    refused = await asyncio.wait_for(ask(f"answer-{fault}-closed", stream=stream), 2)

    kind = {"raise": "plugin_error", "hang": "plugin_timeout"}.get(fault, "plugin_nonsense")
    if stream:
        assert deltas_of(through) == ["hi"]
        assert deltas_of(refused) == []  # the stream was held back, and ends in an error
        assert refused.status_code == 200
        assert kind in refused.text
    else:
        assert text_of(through) == "hi"
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == kind


async def test_faults_are_counted(ask, stack):
    await ask("raise-open")

    async def is_counted():
        return (
            'dragoman_plugin_errors_total{hook="on_request",instance="raise-open",'
            'kind="plugin_error",route="raise-open"}'
        ) in await stack.metrics()

    await eventually(is_counted)


async def test_read_only_neighbours_run_side_by_side(ask):
    answer = await ask("watched")

    assert text_of(answer) == "hi"
    assert 100 <= float(answer.headers["x-dragoman-overhead-ms"]) < 180


async def test_a_blocking_plugin_holds_up_nobody_else(ask):
    slow = asyncio.create_task(ask("blocking", model="slow"))
    await asyncio.sleep(0.02)
    started_s = time.monotonic()
    assert text_of(await ask("nothing")) == "hi"
    took_s = time.monotonic() - started_s

    assert (await slow).json()["error"]["code"] == "plugin_timeout"
    assert took_s < 0.09
