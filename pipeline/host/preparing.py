"""Preparing an attempt: a backend's connection is asked, and whatever it does ends in a verdict."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from pipeline.api.call import Call
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Request
from pipeline.api.provider import Attempt
from pipeline.errors import InvalidCall
from pipeline.host import replies
from pipeline.host.backends import Link
from pipeline.host.runtime import Observer
from pipeline.host.verdicts import Finish

_LOGGER = logging.getLogger(__name__)
ATTEMPT_BUDGET_S = 10.0
"""The longest that an attempt may wait for its credential."""
# One header of a sensible length, whatever a client sends.
_MOST_NAMES = 32
_LONGEST_NAME = 64
_MORE = "and "


# Envoy's own time for a message is longer, whatever the plugins have taken of it.
_SOON_S = 0.01
Patience = Callable[[float], Awaitable[None]]
"""Asks Envoy to wait for the next answer for so many seconds."""


class _NotShown(Exception):
    """Raised when an answer wants translation which Envoy will not show."""


async def prepared(
    link: Link,
    request: Request,
    call: Call | None,
    dialect: Dialect | None,
    observer: Observer,
    budget_s: float = ATTEMPT_BUDGET_S,
    *,
    may_translate: bool = True,
    patience: Patience | None = None,
) -> Attempt | Finish:
    """Ask a backend's connection for an attempt.

    Args:
        link: the backend.
        request: the client's request.
        call: the call in it, where the connection needs it.
        dialect: the client's API format, for errors.
        observer: sees faults, and what the backend is not sent.
        budget_s: the longest that it may take.
        may_translate: whether Envoy will show the answer.
        patience: called where it takes time that Envoy does not give without being asked.

    Returns:
        The attempt, or an error for the client where there can be none.
    """
    name = link.backend.name
    try:
        made = link.connection.prepare(request, call)
        if not isinstance(made, Attempt):
            made = await in_time(made, budget_s, patience)
        if made.translation is not None and not may_translate:
            # It said `keeps_answers`, or a plugin gave the call another API's path.
            raise _NotShown  # noqa: TRY301 - a provider's fault like any other
    except InvalidCall as error:
        return replies.refusal(
            dialect,
            status=error.status,
            code=error.code,
            message=error.message,
            param=error.param,
        )
    except TimeoutError:
        observer.violation("credential_timeout")
        message = f"backend {name!r} was not ready within {budget_s:g} s"
        return replies.refusal(dialect, status=503, code="credential_timeout", message=message)
    except Exception:
        # Its text may hold what the client said: the log has the place alone.
        _LOGGER.exception("the provider of backend %r failed", name)
        observer.violation("provider_error")
        message = f"the provider of backend {name!r} failed"
        return replies.refusal(dialect, status=503, code="provider_error", message=message)
    if made.dropped:
        observer.dropped(name, made.dropped)
        _LOGGER.debug("backend %r is not sent %s", name, ", ".join(made.dropped))
    return made


async def in_time(
    made: Awaitable[Attempt], budget_s: float, patience: Patience | None = None
) -> Attempt:
    """Wait for an attempt.

    Raises:
        TimeoutError: it takes longer than `budget_s`.
    """
    waiting = asyncio.ensure_future(made)
    try:
        async with asyncio.timeout(budget_s):
            if patience is not None:
                await asyncio.wait([waiting], timeout=_SOON_S)
                if not waiting.done():
                    await patience(budget_s)
            return await waiting
    finally:
        waiting.cancel()


def dropped_words(names: Sequence[str]) -> str:
    """Return names of fields as one header value, sorted and bounded."""
    if not names:
        return ""
    words = sorted({_plain(name) for name in names})
    more = len(words) - _MOST_NAMES
    return ", ".join(words[:_MOST_NAMES]) + (f", {_MORE}{more} more" if more > 0 else "")


def dropped_names(words: str) -> tuple[str, ...]:
    """Return the names that one header value has."""
    names = words.split(", ") if words else ()
    return tuple(name for name in names if not name.startswith(_MORE))


def _plain(name: str) -> str:
    # What is left out may have a name that the client made up.
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-[]*") else "?" for c in name)
    return kept[:_LONGEST_NAME]
