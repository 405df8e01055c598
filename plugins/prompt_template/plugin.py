"""The plugin `prompt_template`."""

from __future__ import annotations

from pipeline.api import Decision, Exchange, Plugin, Refuse, Rewrite
from plugins.prompt_template.config import PromptTemplateConfig
from plugins.prompt_template.expand import UnusableCall, expand


class PromptTemplate(Plugin[PromptTemplateConfig]):
    """Puts named templates in the place of references to them.

    A user message that is nothing but `{template://name}` becomes the template's messages, with
    the values of its variables from the call's top-level field `properties`, which goes. Values
    are data: nothing in them is ever taken for a placeholder or a reference. Where a call refers
    to several templates they share `properties`; for `model` and `params` the config's last wins.
    """

    Config = PromptTemplateConfig
    traits = frozenset({"guard"})
    on_error = "closed"

    def on_request(self, exchange: Exchange) -> Decision | None:
        """Expand the call's templates, or refuse the call and say why."""
        if exchange.call is None:
            return None
        try:
            expanded = expand(exchange.call, self.config)
        except UnusableCall as error:
            return Refuse(400, error.code, str(error))
        return None if expanded is None else Rewrite(call=expanded, reason="template")
