"""A plugin's command asks its instance in the host that runs."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager

import pytest
from aiohttp import web

from pipeline.api import AdminAnswer
from pipeline.server.admin import Admin
from pipeline.server.administering import PluginPages
from pipeline.server.bearer import Bearer

TOKEN = "a-token-of-this-test-alone"
PLUGIN = """
import json
import typer
from pipeline.api import AdminError, Plugin


class Store(Plugin):
    def register_commands(self, register, host):
        app = typer.Typer(help="The store.")

        @app.command()
        def rate(entry: str, word: str) -> None:
            document = host.ask("POST", f"entries/{entry}/feedback", {"word": word})
            print(json.dumps(document))

        @app.command()
        def find(text: str) -> None:
            try:
                print(json.dumps(host.ask("GET", "entries", query={"text": text})))
            except AdminError as error:
                print(f"none: {error.status}")

        register(self.name, app)
"""
CONFIG = """\
plugins_dir: local
server: {{admin: "{admin}"{token}}}
plugins: {{store: {{uses: store}}, other: {{uses: store}}}}
routes: [{{name: chat, plugins: [store]}}]
"""


@pytest.fixture
def store(dragoman, folder):
    (folder / "local" / "store.py").write_text(PLUGIN)

    def invoke(admin, *arguments, token=f", admin_token: {TOKEN}", exit_code=0):
        (folder / "dragoman.yaml").write_text(CONFIG.format(admin=admin, token=token))
        return dragoman(*arguments, exit_code=exit_code)

    return invoke


async def echo(instance, request):
    document = {
        "instance": instance,
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "body": request.body.decode(),
    }
    if "nothing" in document["query"].values():
        return AdminAnswer(404, {"error": "no such entry"})
    return AdminAnswer(200, document)


@contextmanager
def served(start):
    """Serve in a thread of its own what `start` starts; it returns an address and how to stop."""
    addresses: list[str] = []
    up, over = threading.Event(), threading.Event()

    async def run():
        address, stop = await start()
        addresses.append(address)
        up.set()
        await asyncio.to_thread(over.wait)
        await stop()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert up.wait(5)
        yield addresses[0]
    finally:
        over.set()
        thread.join()


@pytest.fixture
def host():
    async def start():
        pages = PluginPages(Bearer(TOKEN), echo)
        admin = Admin("127.0.0.1:0", lambda: b"", lambda: (True, {}), plugins=pages)
        return await admin.start(), admin.stop

    with served(start) as address:
        yield address


def test_a_command_reaches_its_instance(store, host):
    assert store(host, "other", "rate", "a/b c", "good").stdout == (
        '{"instance": "other", "method": "POST", "path": "entries/a/b c/feedback", "query": {}, '
        '"body": "{\\"word\\": \\"good\\"}"}\n'
    )


def test_a_query_is_sent_as_it_is(store, host):
    text = "1+1=2 & 50%? ü"

    assert f'"text": "{text}"' in store(host, "store", "find", text).stdout.replace("\\u00fc", "ü")


def test_a_command_may_catch_what_the_host_answers(store, host):
    assert store(host, "store", "find", "nothing").stdout == "none: 404\n"


def test_without_a_token_in_the_config_a_command_says_so(store):
    result = store("127.0.0.1:9", "store", "rate", "a", "good", token="", exit_code=1)

    assert "server.admin_token is not set" in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_token_is_told_without_it(store, host):
    token = ", admin_token: another-token-than-that"

    result = store(host, "store", "rate", "a", "good", token=token, exit_code=1)

    assert "a bearer token is needed" in result.stderr
    assert "another-token" not in result.output


def test_where_no_host_runs_a_command_says_so(store):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = store(address, "store", "rate", "a", "good", exit_code=1)

    assert "cannot read the host's admin server" in result.stderr


def test_what_is_no_host_is_told(store):
    async def start():
        app = web.Application()
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        return f"{host}:{port}", runner.cleanup

    with served(start) as address:
        result = store(address, "store", "rate", "a", "good", exit_code=1)

    assert "answers 404 with no JSON" in result.stderr
