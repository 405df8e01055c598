"""The trivial plugins of the benchmark: what they cost is what the host costs."""

from __future__ import annotations

from pipeline.api import Decision, Event, Exchange, Plugin, PluginConfig, Rewrite


class Look(Plugin[PluginConfig]):
    """Reads the model that is asked for."""

    def on_request(self, exchange: Exchange) -> Decision | None:
        if exchange.call is not None and not exchange.call.model:
            raise ValueError("the load asks for a model")
        return None


class Mark(Plugin[PluginConfig]):
    """Adds a field to the call, so that its body is written anew as the floor writes it."""

    def on_request(self, exchange: Exchange) -> Decision | None:
        if exchange.call is None:
            return None
        return Rewrite(call=exchange.call.replace(set_params={"user": "bench"}), reason="mark")


class Watch(Plugin[PluginConfig]):
    """Reads the text of every event."""

    def on_response_event(self, event: Event) -> Decision | None:
        if event.closes and event.text:
            raise ValueError("the stream of the benchmark closes without a text")
        return None
