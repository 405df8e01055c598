"""Token counting as a client's API: a chat call, answered with a number."""

from __future__ import annotations

from pipeline.api import InvalidCall
from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.chat_stream import ChatEncoder
from plugins.translate.formats import Client, StreamEncoder


class InputTokensClient:
    """Calls of `openai.input_tokens`: responses whose answer is how long their input is.

    Args:
        responses: reads the calls that are counted.
    """

    dialect = "openai.input_tokens"
    operation: Operation = "count_tokens"

    def __init__(self, responses: Client) -> None:
        self._responses = responses

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return the canonical call that is to be counted."""
        return self._responses.canonical(document, loss)

    def answer(self, answer: Json, call: Json) -> Json:  # noqa: ARG002
        """Return the count."""
        return {"object": "response.input_tokens", "input_tokens": answer["input_tokens"]}

    def encoder(self, call: Json) -> StreamEncoder:
        """Return a writer for the errors of a stream: a count has no other."""
        return self._responses.encoder(call)


class TokenizeClient:
    """Calls of `vllm.tokenize`; the tokens themselves come where the provider gives them."""

    dialect = "vllm.tokenize"
    operation: Operation = "count_tokens"

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return the chat, or the prompt as one, for providers that count nothing else.

        Raises:
            InvalidCall: `missing_field`: there is neither.
        """
        if document.get("messages") is not None:
            return ChatClient().canonical(document, loss)
        prompt = document.get("prompt")
        if not isinstance(prompt, str):
            message = "a count needs 'messages' or a text in 'prompt'"
            raise InvalidCall(message, code="missing_field", param="prompt")
        return {**document, "messages": [{"role": "user", "content": prompt}]}

    def answer(self, answer: Json, call: Json) -> Json:  # noqa: ARG002
        """Return the count, and the tokens where they are known."""
        known: Json = {
            k: answer[k] for k in ("max_model_len", "tokens", "token_strs") if k in answer
        }
        return {"count": answer["input_tokens"], "max_model_len": 0, "tokens": [], **known}

    def encoder(self, call: Json) -> StreamEncoder:  # noqa: ARG002
        """Return a writer for the errors of a stream: a count has no other."""
        return ChatEncoder(shows_usage=False)


_: tuple[Client, ...] = (InputTokensClient(ChatClient()), TokenizeClient())
