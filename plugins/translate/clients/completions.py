"""OpenAI's legacy completions as a client's API: the canonical form of its operation itself."""

from __future__ import annotations

from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.chat_stream import ChatEncoder
from plugins.translate.formats import Client, StreamEncoder


class CompletionsClient:
    """Calls of `openai.completions`."""

    dialect = "openai.completions"
    operation: Operation = "completion"

    def canonical(self, document: Json, loss: Loss) -> Json:  # noqa: ARG002
        """Return the canonical call: `stop` becomes a list."""
        stop = document.get("stop")
        return {**document, "stop": [stop]} if isinstance(stop, str) else document

    def answer(self, answer: Json, call: Json) -> Json:  # noqa: ARG002
        """Return the canonical answer."""
        return answer

    def encoder(self, call: Json) -> StreamEncoder:
        """Return a writer of chunks; usage only for who asked for it."""
        options = call.get("stream_options")
        asked = isinstance(options, dict) and options.get("include_usage") is True
        return ChatEncoder(shows_usage=asked)


_: Client = CompletionsClient()
