"""The class that a plugin is: its configuration, what it declares, and its hooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pipeline.api.admin import AdminAnswer, AdminRequest
    from pipeline.api.call import Call

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

    signals: tuple[str, ...] = ()
    """The signals that it will ask for. An instance may set its own, by its config.

    What a route's plugins name here is checked against what there is when the config is loaded,
    and is computed together, in one pass, as soon as a call has been read; a signal that is not
    named can be asked for all the same, and is then computed alone.
    """

    def __init__(self, config: ConfigT, *, name: str) -> None:
        self.config = config
        self.name = name

    def wanted_signals(self, call: Call) -> Iterable[tuple[str, Sequence[str]]]:
        """Return the texts of a call whose signals the plugin will ask for, and which signals.

        They are computed while the plugins before this one run, so the texts must be the very
        ones that it will ask about: another text is another question. It runs on the event loop
        for every call, before the first `on_request`.

        Args:
            call: the call as its client wrote it.

        Returns:
            Texts with the names of their signals; unless overridden, what the user said last
            with all of `signals`.
        """
        text = last_user_text(call) if self.signals else ""
        return ((text, self.signals),) if text else ()

    async def administer(self, request: AdminRequest) -> AdminAnswer | None:
        """Answer an operator, at `/plugins/{instance}/…` of the admin server.

        It is asked for whoever has `server.admin_token`, and has ten seconds.

        Args:
            request: what is asked.

        Returns:
            The answer; None, as unless overridden, for a path or method that it does not have.
        """
        del request
        return None


def last_user_text(call: Call) -> str:
    """Return what the user said last: the text of the last run of user messages, joined by lines.

    Empty where no user says anything, as in a call without messages.
    """
    behind = dropwhile(lambda segment: segment.role != "user", reversed(call.segments))
    turn = takewhile(lambda segment: segment.role == "user", behind)
    texts = [segment.text for segment in turn if segment.kind == "text" and segment.text]
    return "\n".join(reversed(texts))
