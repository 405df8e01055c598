from __future__ import annotations

import pytest
from typer.testing import CliRunner

PLUGINS = {
    "loud": """
import typer
from pipeline.api import HeaderEdits, Plugin, PluginConfig, Rewrite


class Loud(Plugin[PluginConfig]):
    def on_request(self, exchange):
        call = exchange.call
        segments = list(call.segments)
        first = segments[0]
        segments[0] = type(first)(first.role, first.text.upper(), first.kind, first.at)
        edits = HeaderEdits(set={"x-loud": "yes", "x-api-token": "t0p"})
        return Rewrite(call=call.replace(segments=segments), headers=edits, reason="shouted")

    def on_response(self, exchange):
        answer = exchange.response.answer
        segment = answer.segments[0]
        new = type(segment)(segment.role, segment.text.upper(), segment.kind, segment.at)
        return Rewrite(answer=answer.replace(segments=[new]))

    def register_commands(self, register):
        app = typer.Typer(help="Say things loudly.")

        @app.command()
        def say(word: str) -> None:
            print(word.upper())

        @app.command()
        def hush() -> None:
            print("hush")

        register("loud", app)
""",
    "watch": """
from pipeline.api import Continue, Plugin, PluginConfig, Refuse, Rewrite


class Watch(Plugin[PluginConfig]):
    traits = frozenset({"guard"})
    read_only = True
    on_error = "closed"
    timeout_s = 0.25

    async def on_request(self, exchange):
        text = exchange.call.segments[-1].text
        if "break" in text:
            raise RuntimeError(text)
        if "bomb" in text:
            return Refuse(403, "no_bombs", "Not here.", reason="bomb")
        return Continue("clean")
""",
    "trim": """
from pipeline.api import Plugin, PluginConfig, Rewrite


class Trim(Plugin[PluginConfig]):
    def on_response_event(self, event):
        return Rewrite(events=()) if event.text == "um " else None
""",
}
CONFIG = """\
plugins_dir: local
plugins:
  guard: {uses: watch}
  second: {uses: watch, mode: shadow, when: 'tenant != "nobody"'}
  loud: {uses: loud}
  trim: {uses: trim, timeout: 50ms}
backends:
  openai: {provider: openai, api_key: sk-secret-1}
  spare: {provider: openai, url: "http://spare.internal/v1", api_key: sk-secret-2}
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    plugins: [guard, second, loud]
    backends: [openai]
  - name: stream
    match: {path: /stream/v1/chat/completions}
    plugins: [trim]
    backends: [openai, spare]
  - name: plain
    match: {path_prefix: /v1/}
    check: false
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "local").mkdir()
    for name, code in PLUGINS.items():
        (tmp_path / "local" / f"{name}.py").write_text(code)
    (tmp_path / "dragoman.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRAGOMAN_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path


@pytest.fixture
def dragoman(folder):
    from pipeline.cli.main import app

    def invoke(*arguments, exit_code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == exit_code, (result.output, result.exception)
        return result

    return invoke
