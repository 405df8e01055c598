"""The plugin `prompt_decorator`."""

from __future__ import annotations

from pipeline.api import Decision, Exchange, Plugin, Refuse, Rewrite
from plugins.prompt_decorator.config import PromptDecoratorConfig
from plugins.prompt_decorator.decorate import decorated
from plugins.prompt_decorator.variables import MissingVariable, fill


class PromptDecorator(Plugin[PromptDecoratorConfig]):
    """Replaces, prepends and appends messages by role, with facts about the exchange in them.

    `replace` is idempotent unless it has a `find`: it says what a role says, however often. The
    host runs a chain once per exchange, not per attempt, so `prepend` and `append` add their
    messages once; behind another gateway that adds them too, they would stand there twice.
    Tool calls, tool results, reasoning and attachments are never touched.
    """

    Config = PromptDecoratorConfig
    # A system prompt that the route forces must not be missing because of a fault.
    on_error = "closed"

    def on_request(self, exchange: Exchange) -> Decision | None:
        """Decorate the call."""
        call = exchange.call
        if call is None:
            return None

        missing = "" if self.config.on_missing == "empty" else None

        def filled(text: str) -> str:
            return fill(text, lambda name: _fact(exchange, name), missing)

        try:
            segments = decorated(call.segments, self.config, filled)
        except MissingVariable as error:
            return Refuse(400, "missing_variable", f"this route requires a value for {error.name}")
        try:
            changed = call.replace(segments=segments)
        except ValueError:
            message = "this route adds messages that the call cannot carry"
            return Refuse(400, "unsupported_decoration", message)
        return None if changed is call else Rewrite(call=changed, reason="decorated")


def _fact(exchange: Exchange, name: str) -> str | None:
    match name.partition(":"):
        case "header", _, header:
            headers = exchange.request.headers
            if header.lower() not in headers:
                return None
            # A header may hold any bytes; JSON takes no half of a surrogate pair.
            raw = headers.get(header.lower()).encode("utf-8", "surrogateescape")
            return raw.decode("utf-8", "replace")
        case "tenant", _, _:
            return exchange.tenant
        case "model", _, _:
            return exchange.call.model or None if exchange.call is not None else None
        case _:
            return exchange.route
