"""The dialects that a process knows, by name and by request path."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable
from urllib.parse import unquote

from pipeline.api.dialect import Dialect
from pipeline.dialects.anthropic_messages import AnthropicMessages
from pipeline.dialects.cohere_rerank import CohereRerank
from pipeline.dialects.openai_chat import OpenAIChat
from pipeline.dialects.openai_completions import OpenAICompletions
from pipeline.dialects.openai_embeddings import OpenAIEmbeddings
from pipeline.dialects.openai_responses import OpenAIResponses
from pipeline.dialects.token_counts import AnthropicCountTokens, OpenAIInputTokens, VllmTokenize


class Dialects:
    """A set of dialects.

    Raises:
        ValueError: two have a name or a path in common.
    """

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._by_name: dict[str, Dialect] = {}
        self._by_path: dict[str, Dialect] = {}
        self._segment_counts: tuple[int, ...] = ()
        for dialect in dialects:
            self.add(dialect)

    def add(self, dialect: Dialect) -> None:
        """Add a dialect.

        Raises:
            ValueError: its name or one of its paths is taken.
        """
        if dialect.name in self._by_name:
            raise ValueError(f"there is a dialect {dialect.name!r} already")
        for path in dialect.paths:
            if path in self._by_path:
                taken = self._by_path[path].name
                raise ValueError(f"{dialect.name!r} cannot have the path {path}: {taken!r} has it")
        self._by_name[dialect.name] = dialect
        self._by_path.update(dict.fromkeys(dialect.paths, dialect))
        counts = {path.count("/") for path in self._by_path}
        self._segment_counts = tuple(sorted(counts, reverse=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which the dialects were added."""
        return tuple(self._by_name)

    def items(self) -> ItemsView[str, Dialect]:
        """Return the dialects with their names."""
        return self._by_name.items()

    def by_name(self, name: str) -> Dialect | None:
        """Return the dialect of that name."""
        return self._by_name.get(name)

    def for_path(self, path: str) -> Dialect | None:
        """Return the dialect that a request path speaks, if any.

        A known path counts behind any prefix too, since gateways tell providers apart by one:
        `/openai/v1/chat/completions`. The longest known path wins. Other spellings that servers
        take for the same path (percent-encoded, with a slash at the end) count as well: a call
        must not pass for none.

        Args:
            path: the path without its query.
        """
        found = self._by_path.get(path)
        if found is not None:
            return found
        plain = unquote(path).rstrip("/")
        for count in self._segment_counts:
            _, *tail = plain.rsplit("/", count)
            found = self._by_path.get("/" + "/".join(tail))
            if found is not None:
                return found
        return None


def builtin() -> Dialects:
    """Return the dialects that Dragoman brings along."""
    return Dialects(
        [
            OpenAIChat(),
            OpenAICompletions(),
            OpenAIEmbeddings(),
            OpenAIResponses(),
            AnthropicMessages(),
            CohereRerank(),
            AnthropicCountTokens(),
            OpenAIInputTokens(),
            VllmTokenize(),
        ]
    )
