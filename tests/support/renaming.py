"""A small provider, written through the public contract alone, for tests.

Its API: POST {base}/ask with {"q": [text, …], "who": model, "live": bool}; answers {"a": text,
"tokens": n}, or for live ones lines `text\\n` and last `.\\n`; errors {"oops": text}.
"""

from __future__ import annotations

import asyncio
import json

from pydantic import Field, SecretStr

from pipeline.api import (
    Attempt,
    Begun,
    HeaderEdits,
    InvalidCall,
    Plugin,
    PluginConfig,
    Translated,
)


class Renamed:
    """Turns what the API answers into chat completions."""

    def __init__(self, call, *, breaks: str) -> None:
        self.call = call
        self.breaks = breaks
        self.status = 0
        self.rest = b""
        self.is_over = False

    def begin(self, status, headers):
        self.status = status
        if self.breaks == "begin":
            raise RuntimeError("secret words")
        if status < 400 and headers.get("content-type") == "text/lines":
            edits = HeaderEdits(set={"content-type": "text/event-stream"})
            return Begun(headers=edits, body="stream")
        edits = HeaderEdits(set={"content-type": "application/json"})
        # Too many questions is what the API calls 418.
        return Begun(429 if status == 418 else None, edits, "whole")

    def whole(self, body):
        if self.breaks == "whole":
            raise RuntimeError("secret words")
        if self.status >= 400:
            text = json.loads(body or b'{"oops": "empty"}')["oops"]
            document = self.call.dialect.error(status=self.status, code="oops", message=text)
            return Translated(json.dumps(document).encode())
        try:
            answer = json.loads(body)
            text = answer["a"]
        except ValueError:
            document = self.call.dialect.error(status=502, code="bad_upstream_answer", message="?")
            return Translated(json.dumps(document).encode(), 502)
        document = self.call.dialect.compose(text, model=self.call.model, id="1", created_s=1)
        return Translated(json.dumps(document).encode())

    def feed(self, data):
        if self.breaks == "feed" and b"two" in self.rest + data:
            raise RuntimeError("secret words")
        *lines, self.rest = (self.rest + data).split(b"\n")
        out = b""
        for line in lines:
            if line == b".":
                self.is_over = True
                out += b"data: [DONE]\n\n"
            else:
                delta = {"index": 0, "delta": {"content": line.decode()}}
                out += b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n"
        return out

    def end(self):
        return b"" if self.is_over else self.fault(status=502, code="cut", message="cut short")

    def fault(self, *, status, code, message):
        events = self.call.dialect.error_events(status=status, code=code, message=message)
        return b"".join(event.raw for event in events)


class Options(PluginConfig):
    """What the backends of this API take."""

    greeting: str = Field("hello", description="Said before each question.")
    token: SecretStr = Field(SecretStr(""), description="Its token.")
    token_s: float = Field(0.0, description="How long a token takes (seconds).")
    fails: str = Field("", description="Where its code fails.")


class Connection:
    """One backend of the API."""

    def __init__(self, backend) -> None:
        self.backend = backend
        self.is_open = False

    async def start(self):
        self.is_open = True

    async def close(self):
        self.is_open = False

    def passes(self, dialect):
        return False

    passes_credentials = False

    def keeps_answers(self, dialect):
        return False

    def prepare(self, request, call):
        if self.backend.options.fails == "prepare":
            raise RuntimeError("secret words")
        if call is None or call.dialect.name != "openai.chat":
            raise InvalidCall("no such thing here", code="unsupported_by_backend")
        return self.attempt(call)

    async def attempt(self, call):
        options = self.backend.options
        await asyncio.sleep(options.token_s)
        document = {
            "q": [options.greeting, *(s.text for s in call.segments)],
            "who": self.backend.models.get(call.model, call.model),
            "live": call.stream,
        }
        if self.backend.patch:
            document = self.backend.patch(document)
        edits = HeaderEdits(
            set={
                ":path": self.backend.url.path.rstrip("/") + "/ask",
                "x-token": options.token.get_secret_value() or self.backend.api_key,
                "content-type": "application/json",
            }
        )
        known = {"model", "messages", "stream"}
        dropped = tuple(name for name in call.document if name not in known)
        return Attempt(
            edits.then(self.backend.headers),
            json.dumps(document).encode(),
            dropped,
            Renamed(call, breaks=options.fails),
        )


class Renaming:
    """The provider."""

    Options = Options

    def default_url(self, options):
        return ""

    def connect(self, backend):
        if backend.options.fails == "connect":
            raise ValueError("these options make no sense together")
        return Connection(backend)


class Brings(Plugin[PluginConfig]):
    """Registers the provider."""

    def register_providers(self, register):
        register("renaming", Renaming())
