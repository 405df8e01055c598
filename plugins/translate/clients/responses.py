"""OpenAI's Responses API as a client's."""

from __future__ import annotations

from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.responses_answer import response_answer
from plugins.translate.clients.responses_request import canonical_call
from plugins.translate.clients.responses_stream import ResponseEncoder
from plugins.translate.formats import Client, StreamEncoder


class ResponsesClient:
    """Calls of `openai.responses`."""

    dialect = "openai.responses"
    operation: Operation = "chat"

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return the canonical call."""
        return canonical_call(document, loss)

    def answer(self, answer: Json, call: Json) -> Json:
        """Return the Response."""
        return response_answer(answer, call)

    def encoder(self, call: Json) -> StreamEncoder:
        """Return a writer of a Response's events."""
        return ResponseEncoder(call)


_: Client = ResponsesClient()
