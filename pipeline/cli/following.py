"""Following: the Envoy of `dragoman run` takes what a new config changes for it."""

from __future__ import annotations

import asyncio

from rich.console import Console
from rich.markup import escape

from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.envoy.bootstrap import resources
from pipeline.envoy.published import Published
from pipeline.envoy.resources import Resources
from pipeline.envoy.restart import effective
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config


class Following:
    """Brings Envoy up to each new config, and says so in a line.

    Args:
        started: the config that Envoy was started with.
        published: what Envoy runs.
        console: for people.
    """

    def __init__(self, started: Config, published: Published, console: Console) -> None:
        self._started = started
        self._published = published
        self._console = console

    async def follow(self, config: Config, source: Source) -> str:
        """Let Envoy take a config that the host has switched to; return why it does not, if so."""
        kept, stale = effective(self._started, config)
        try:
            # Not on the loop, which serves exchanges.
            made = await asyncio.to_thread(_resources, kept, source)
        except ConfigError as error:
            self._say("red", f"Envoy keeps its configuration: {error}")
            return str(error)
        outcome = await self._published.publish(made)
        if outcome.state == "refused":
            self._say(
                "red",
                f"Envoy refused the new configuration, and keeps the old one: {outcome.reason}",
            )
        else:
            is_live = outcome.state == "live"
            what = "Envoy has taken its part" if is_live else "nothing changes for Envoy"
            self._say("green", f"The new config is live; {what}")
        if stale:
            self._say("yellow", f"Start `dragoman run` again for: {', '.join(stale)}")
        return outcome.reason

    def _say(self, colour: str, text: str) -> None:
        self._console.print(f"[{colour}]{escape(text)}[/]", soft_wrap=True)


def _resources(config: Config, source: Source) -> Resources:
    runtime = compile_config(config, source)
    try:
        return resources(runtime.config, runtime.plans)
    finally:
        runtime.pool.shutdown(wait=False)
