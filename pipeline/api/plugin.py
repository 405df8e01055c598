"""The class that a plugin is: its configuration, what it declares, and its hooks."""

from __future__ import annotations

from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Trait = Literal["guard", "cache", "masker", "restorer", "selector"]


class PluginConfig(BaseModel):
    """The base of every plugin's `Config`: frozen, and an unknown option is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Plugin(Generic[ConfigT]):
    """A plugin: subclass it, set `Config`, write the hooks you need (see `hookspecs`).

    Every hook may be `def` or `async def`; a `def` hook runs on the event loop and must return
    within a millisecond, unless `blocking` moves it to a thread.

    Args:
        config: the validated `with:` block.
        name: the instance's name in the config.
    """

    Config: ClassVar[type[PluginConfig]] = PluginConfig
    """Model of the `with:` block; every field has a description."""

    traits: ClassVar[frozenset[Trait]] = frozenset()
    """What the plugin is, for the chain linter."""

    read_only: ClassVar[bool] = False
    """True: it never returns `Rewrite`; neighbours that say so too run side by side with it."""

    blocking: ClassVar[bool] = False
    """True: its `def` hooks run in the host's bounded thread pool."""

    on_error: ClassVar[Literal["open", "closed"]] = "open"
    """What a failure means unless the config says otherwise; guards say `closed`."""

    timeout_s: ClassVar[float] = 1.0
    """The budget of one hook unless the config says otherwise, in seconds."""

    requires: ClassVar[tuple[str, ...]] = ()
    """Import names of modules that an extra installs; checked before the plugin is made."""

    extra: ClassVar[str] = ""
    """What to `pip install` when one of `requires` is missing, for instance `dragoman[pii]`."""

    def __init__(self, config: ConfigT, *, name: str) -> None:
        self.config = config
        self.name = name
