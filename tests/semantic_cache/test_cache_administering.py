"""What operators ask of the cache, over its pages and over the command line."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from pipeline.api import AdminError, AdminRequest
from pipeline.api.signals import Signals
from pipeline.testing.documents import DIALECTS, dialect_of
from pipeline.testing.hosts import Hosts
from pipeline.testing.messages import answer_message, call_message
from plugins.semantic_cache.commands import commands

KEY = {"authorization": "Bearer one"}


class Bridge:
    """A running host for commands: asks the plugin without the way over HTTP."""

    def __init__(self, hosts, host):
        self._run = hosts._runner.run
        self._host = host

    def ask(self, method, path, document=None, *, query=None):
        body = b"" if document is None else json.dumps(document).encode()
        runtime = self._host.host.runtime
        request = AdminRequest(
            method,
            path,
            query or {},
            body,
            {name: dialect_of(name) for name in DIALECTS},
            Signals(runtime.signals, runtime.reader),
        )
        answer = self._run(self._host.plugin().administer(request))
        if answer is None:
            raise AdminError("nothing there")
        if answer.status >= 300:
            raise AdminError(str(answer.document))
        return json.loads(json.dumps(dict(answer.document)))


@pytest.fixture
def hosts():
    with Hosts() as made:
        yield made


@pytest.fixture
def host(hosts):
    return hosts("semantic_cache", {"semantic": {"enabled": False}})


@pytest.fixture
def asks(hosts, host):
    return Bridge(hosts, host)


@pytest.fixture
def dragoman(asks):
    def run(*arguments, exit_code=0):
        result = CliRunner().invoke(commands(asks), list(map(str, arguments)))
        assert result.exit_code == exit_code, result.output
        return result.output

    return run


def fill(host, *texts, **headers):
    for text in texts:
        message = call_message(text, headers={**KEY, **headers}, model="gpt-5-mini")
        host.send(message, answer_message(f"About {text}"))


def test_entries_are_listed_and_shown(host, asks):
    fill(host, "one", "two")
    entries = asks.ask("GET", "entries")["entries"]
    assert len(entries) == 2
    assert "one" not in json.dumps(entries)
    shown = asks.ask("GET", f"entries/{entries[0]['id']}")["entries"][0]
    assert shown["question"] in ("one", "two")
    assert f"About {shown['question']}" in json.dumps(shown["answer"])
    assert asks.ask("GET", "entries/0000000000000000") == {"entries": []}


@pytest.mark.parametrize(
    "query",
    [{"tag": "faq"}, {"model": "gpt-5-mini"}, {"route": "test"}],
)
def test_entries_are_deleted_by_what_they_have(host, asks, query):
    fill(host, "one", **{"x-cache-tags": "faq, other"})
    assert asks.ask("DELETE", "entries", query={"tag": "none"}) == {"deleted": 0}
    assert asks.ask("DELETE", "entries", query=query) == {"deleted": 1}
    assert asks.ask("GET", "entries")["entries"] == []


def test_a_tenants_entries_are_deleted(host, asks):
    fill(host, "one")
    fill(host, "one", authorization="Bearer two")
    tenants = {entry["tenant"] for entry in asks.ask("GET", "entries")["entries"]}
    assert len(tenants) == 2
    gone = tenants.pop()
    assert asks.ask("DELETE", "entries", query={"tenant": gone}) == {"deleted": 1}
    assert {entry["tenant"] for entry in asks.ask("GET", "entries")["entries"]} == tenants


def test_deleting_without_saying_what_is_refused(host, asks):
    fill(host, "one")
    with pytest.raises(AdminError, match="say which entries"):
        asks.ask("DELETE", "entries")
    assert len(asks.ask("GET", "entries")["entries"]) == 1


def test_a_flush_forgets_everything(host, asks):
    fill(host, "one", "two")
    asks.ask("POST", "flush")
    assert asks.ask("GET", "entries")["entries"] == []
    assert host.send(call_message("one", headers=KEY, model="gpt-5-mini")).upstream is not None


def test_a_bad_entry_leaves_at_once(host, asks):
    fill(host, "one")
    (entry,) = asks.ask("GET", "entries")["entries"]
    assert asks.ask("POST", f"entries/{entry['id']}/feedback", {"verdict": "good"})["known"] == 1
    assert len(asks.ask("GET", "entries")["entries"]) == 1
    asks.ask("POST", f"entries/{entry['id']}/feedback", {"verdict": "bad"})
    assert asks.ask("GET", "entries")["entries"] == []
    with pytest.raises(AdminError, match="good or bad"):
        asks.ask("POST", f"entries/{entry['id']}/feedback", {"verdict": "fine"})


@pytest.mark.parametrize(
    ("path", "document", "why"),
    [
        ("lookup", {}, "name of its route"),
        ("lookup", {"route": "test", "call": {}}, "not valid"),
        ("lookup", {"route": "test", "call": {}, "dialect": "none"}, "no such dialect"),
        ("lookup", {"route": "test", "call": {}, "dialect": 1}, "no such dialect"),
        ("warm", {}, "list of items"),
        ("import", {}, "list of records"),
        ("score", {}, "list of pairs"),
        ("score", {"pairs": [{"asked": "a"}]}, "two texts"),
    ],
)
def test_what_is_no_request_is_refused_by_name(asks, path, document, why):
    with pytest.raises(AdminError, match=why):
        asks.ask("POST", path, document)


def test_there_is_nothing_at_other_paths(asks):
    for method, path in (("GET", ""), ("GET", "nothing"), ("PUT", "entries"), ("GET", "flush")):
        with pytest.raises(AdminError, match="nothing there"):
            asks.ask(method, path)


def test_a_lookup_says_why(host, asks, dragoman):
    fill(host, "one")
    (entry,) = asks.ask("GET", "entries")["entries"]
    same = dragoman(
        "lookup", "one", "--route", "test", "--model", "gpt-5-mini", "--tenant", entry["tenant"]
    )
    assert json.loads(same)["result"] == "hit"
    assert json.loads(same)["entry"] == entry["id"]
    other = dragoman(
        "lookup", "one", "--route", "test", "--model", "gpt-5-mini", "--tenant", "somebody"
    )
    assert json.loads(other) == {"result": "miss", "reason": "disabled"}
    nobody = dragoman("lookup", "one", "--route", "test", "--model", "gpt-5-mini")
    assert json.loads(nobody) == {"result": "bypass", "reason": "no_tenant"}


def test_a_cache_is_warmed_from_a_file(host, dragoman, tmp_path):
    tenant = "key-" + "0" * 16
    lines = [
        {
            "route": "test",
            "tenant": tenant,
            "call": {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
            "answer": "Hello to you.",
        },
        {"route": "test", "call": {"model": "m", "messages": []}, "answer": "x"},
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    output = dragoman("warm", file)
    assert f"{file}:2" in output.replace("\n", "")
    assert '"stored": 1' in output
    found = dragoman("lookup", "Hello", "--route", "test", "--model", "m", "--tenant", tenant)
    assert json.loads(found)["result"] == "hit"


def test_entries_move_by_a_file(hosts, host, asks, dragoman, tmp_path):
    fill(host, "one", "two")
    file = tmp_path / "entries.jsonl"
    assert '"exported": 2' in dragoman("export", file)
    asks.ask("POST", "flush")
    assert '"imported": 2' in dragoman("import", file)
    again = host.send(call_message("one", headers=KEY, model="gpt-5-mini"))
    assert again.upstream is None
    assert again.said == "About one"


@pytest.mark.parametrize("line", ["no json", "[]", "{}", '{"id": "x"}'])
def test_a_file_that_is_none_says_where(dragoman, tmp_path, line):
    file = tmp_path / "entries.jsonl"
    file.write_text(line, encoding="utf-8")
    if line.startswith("{"):
        assert '"imported": 0' in dragoman("import", file)
    else:
        assert "entries.jsonl:1" in dragoman("import", file, exit_code=2).replace("\n", "")


def test_feedback_and_deleting_over_the_command_line(host, asks, dragoman):
    fill(host, "one", "two")
    first, second = asks.ask("GET", "entries")["entries"]
    assert first["id"] in dragoman("list")
    dragoman("feedback", first["id"], "bad")
    dragoman("delete", second["id"])
    assert asks.ask("GET", "entries")["entries"] == []
    assert "say which entries" in dragoman("delete", exit_code=2)
    assert "no such entry" in dragoman("show", first["id"], exit_code=2)
    assert '"memory_bytes"' in dragoman("stats")


def test_there_is_nothing_to_calibrate_without_labels(dragoman):
    assert "no labels" in dragoman("calibrate", exit_code=2)


def test_requests_at_once_are_no_danger(hosts, host, asks):
    async def many():
        plugin = host.plugin()
        requests = [AdminRequest("GET", "stats"), AdminRequest("POST", "flush")] * 20
        return await asyncio.gather(*(plugin.administer(request) for request in requests))

    fill(host, "one")
    assert {answer.status for answer in hosts._runner.run(many())} == {200}
