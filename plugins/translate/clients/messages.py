"""Anthropic's Messages API as a client's."""

from __future__ import annotations

from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.messages_answer import message_answer
from plugins.translate.clients.messages_request import canonical_call
from plugins.translate.clients.messages_stream import MessageEncoder
from plugins.translate.formats import Client, StreamEncoder


class MessagesClient:
    """Calls of `anthropic.messages`."""

    dialect = "anthropic.messages"
    operation: Operation = "chat"

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return the canonical call."""
        return canonical_call(document, loss)

    def answer(self, answer: Json, call: Json) -> Json:
        """Return Anthropic's message."""
        return message_answer(answer, str(call.get("model") or ""))

    def encoder(self, call: Json) -> StreamEncoder:
        """Return a writer of Anthropic's events."""
        return MessageEncoder(str(call.get("model") or ""))


class CountTokensClient(MessagesClient):
    """Calls of `anthropic.count_tokens`: messages whose answer is how long they are."""

    dialect = "anthropic.count_tokens"
    operation: Operation = "count_tokens"

    def answer(self, answer: Json, call: Json) -> Json:  # noqa: ARG002
        """Return the count."""
        return {"input_tokens": answer.get("input_tokens", 0)}


_: tuple[Client, ...] = (MessagesClient(), CountTokensClient())
