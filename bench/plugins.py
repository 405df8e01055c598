"""The trivial plugins of the benchmark: what they cost is what the host costs."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from pydantic import Field

from pipeline.api import Decision, Event, Exchange, Plugin, PluginConfig, Rewrite


class Look(Plugin[PluginConfig]):
    """Reads the model that is asked for."""

    def on_request(self, exchange: Exchange) -> Decision | None:
        if exchange.call is not None and not exchange.call.model:
            raise ValueError("the load asks for a model")
        return None


class CensusConfig(PluginConfig):
    """Where the census goes."""

    file: Path = Field(description="Written on SIGUSR1.")


class Census(Plugin[CensusConfig]):
    """Reads the model as `Look` does, and counts asyncio's tasks when SIGUSR1 asks for it."""

    Config = CensusConfig

    def startup(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._count)

    def on_request(self, exchange: Exchange) -> Decision | None:
        if exchange.call is not None and not exchange.call.model:
            raise ValueError("the load asks for a model")
        return None

    def _count(self) -> None:
        made = self.config.file.with_suffix(".new")
        made.write_text(json.dumps({"tasks": len(asyncio.all_tasks())}))
        made.replace(self.config.file)


class Mark(Plugin[PluginConfig]):
    """Adds a field to the call, so that its body is written anew as the floor writes it."""

    def on_request(self, exchange: Exchange) -> Decision | None:
        if exchange.call is None:
            return None
        return Rewrite(call=exchange.call.replace(set_params={"user": "bench"}), reason="mark")


class Read(Plugin[PluginConfig]):
    """Reads the text of a complete answer."""

    def on_response(self, exchange: Exchange) -> Decision | None:
        answer = exchange.response.answer if exchange.response is not None else None
        if answer is None or not answer.text:
            raise ValueError("the answer of the benchmark has a text")
        return None


class Watch(Plugin[PluginConfig]):
    """Reads the text of every event."""

    def on_response_event(self, event: Event) -> Decision | None:
        if event.closes and event.text:
            raise ValueError("the stream of the benchmark closes without a text")
        return None
