"""Client APIs: their calls into canonical form, canonical answers into theirs."""

from __future__ import annotations

from collections.abc import Mapping

from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.completions import CompletionsClient
from plugins.translate.clients.count_tokens import InputTokensClient, TokenizeClient
from plugins.translate.clients.embeddings import EmbeddingsClient
from plugins.translate.clients.messages import CountTokensClient, MessagesClient
from plugins.translate.clients.rerank import RerankClient
from plugins.translate.clients.responses import ResponsesClient
from plugins.translate.formats import Client

_ALL: tuple[Client, ...] = (
    ChatClient(),
    MessagesClient(),
    CountTokensClient(),
    CompletionsClient(),
    EmbeddingsClient(),
    RerankClient(),
    ResponsesClient(),
    InputTokensClient(ResponsesClient()),
    TokenizeClient(),
)
CLIENTS: Mapping[str, Client] = {client.dialect: client for client in _ALL}
"""Client adapters by the name of their dialect."""
