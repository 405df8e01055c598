"""Plugins that show which config served an exchange, each with needs of its own."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from pipeline.api import HeaderEdits, Plugin, PluginConfig, Rewrite


class Word(PluginConfig):
    """What it says."""

    word: str = Field(description="The word.")


class OnHeaders(Plugin[Word]):
    """Says it in a request header: no body is needed."""

    Config = Word
    on_error = "closed"

    def on_request_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-word": self.config.word}))


class OnAnswer(Plugin[Word]):
    """Says it in the answer, whole or streamed: that body is needed."""

    Config = Word
    on_error = "closed"

    def on_response(self, exchange):
        answer = exchange.response.answer
        return Rewrite(answer=answer.replace(segments=self._said(answer.segments)))

    def on_response_event(self, exchange, event):
        if not event.text:
            return None
        return Rewrite(events=[event.replace(segments=self._said(event.segments))])

    def _said(self, segments):
        return [replace(one, text=f"{one.text} {self.config.word}") for one in segments]
