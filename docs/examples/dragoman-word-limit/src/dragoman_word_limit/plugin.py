"""The plugin `word_limit`."""

from __future__ import annotations

import logging

from pydantic import Field

from dragoman_word_limit.words import WordCounter
from pipeline.api import Decision, Event, Exchange, Outcome, Plugin, PluginConfig, Refuse

_log = logging.getLogger(__name__)


class WordLimitConfig(PluginConfig):
    """The options of `word_limit`."""

    prompt_words: int = Field(
        1000, ge=1, description="Most words that the messages of a call may have together."
    )
    answer_words: int = Field(1000, ge=1, description="Most words that an answer may have.")


class WordLimit(Plugin[WordLimitConfig]):
    """Refuses calls and answers with too many words, and ends a streamed answer at its limit."""

    Config = WordLimitConfig
    traits = frozenset({"guard"})
    on_error = "closed"
    read_only = True  # it refuses and never rewrites

    def on_request(self, exchange: Exchange) -> Decision | None:
        """Refuse a call with too many words."""
        texts = [s.text or "" for s in exchange.call.segments] if exchange.call else []
        if sum(len(text.split()) for text in texts) <= self.config.prompt_words:
            return None
        message = f"the messages have more than {self.config.prompt_words} words"
        return Refuse(400, "prompt_too_long", message)

    def on_response(self, exchange: Exchange) -> Decision | None:
        """Refuse an answer with too many words that comes whole."""
        answer = exchange.response.answer if exchange.response else None
        return self._decide(exchange, answer.text) if answer else None

    def on_response_event(self, exchange: Exchange, event: Event) -> Decision | None:
        """End a streamed answer with an error event when it has too many words."""
        return self._decide(exchange, event.text)

    def on_complete(self, exchange: Exchange, outcome: Outcome) -> None:
        """Log how long the answer was: numbers only, never its text."""
        _log.info("%s: %d words (%s)", exchange.id, self._counter(exchange).count, outcome.ending)

    def _decide(self, exchange: Exchange, piece: str) -> Decision | None:
        if self._counter(exchange).feed(piece) <= self.config.answer_words:
            return None
        message = f"the answer has more than {self.config.answer_words} words"
        return Refuse(502, "answer_too_long", message)

    def _counter(self, exchange: Exchange) -> WordCounter:
        # One plugin object serves all exchanges: what belongs to one is kept with it.
        counter: WordCounter = exchange.state(self).setdefault("counter", WordCounter())
        return counter
