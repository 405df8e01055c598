"""What became of an exchange, for `on_complete`, `explain`, the log and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ending = Literal["completed", "replied", "refused", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """One hook of one plugin instance, as it went.

    Args:
        instance: the plugin instance's name.
        hook: the hook's name.
        decision: `continue`, `rewrite`, `reply`, `refuse`, or `error`.
        reason: the decision's reason, or the kind of error.
        started_s: monotonic time at which the hook was called.
        duration_s: how long it took; for events of a stream, all of them together.
        applied: False in shadow mode, or when an error was let through (`on_error: open`).
    """

    instance: str
    hook: str
    decision: Literal["continue", "rewrite", "reply", "refuse", "error"]
    reason: str
    started_s: float
    duration_s: float
    applied: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exchange ended.

    Args:
        ending: `completed` when a provider's answer went through whole.
        status: the HTTP status that the client got; 0 where the route shows none to the host.
        code: the stable code of a refusal, else empty.
        steps: every hook that ran, in order; events of a stream are summed per instance.
        started_s: monotonic time of the first header.
        duration_s: from the first header to the end.
        overhead_s: the part of it spent in the host and its plugins.
        dropped: names of the call's fields that the backend was not sent, because its provider
            cannot carry them. Of a route with several backends they are known where it shows its
            answers to the host.
        unread_tokens: of the texts whose signals were asked for, what no model read: they are
            longer than models read.
    """

    ending: Ending
    status: int
    code: str
    steps: tuple[Step, ...]
    started_s: float
    duration_s: float
    overhead_s: float
    dropped: tuple[str, ...] = ()
    unread_tokens: int = 0
