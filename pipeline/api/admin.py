"""What an operator asks of a plugin instance over the admin server, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pipeline.api.dialect import Dialect
    from pipeline.api.signals import Signals

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A request to `/plugins/{instance}/{path}` of the admin server, by whoever has its token.

    Args:
        method: upper-case method.
        path: what follows the instance's name, decoded and without a slash before it:
            `entries/abc`.
        query: what follows `?`, decoded; of a name that is repeated, the last.
        body: at most 1 MiB; empty where there is none.
        dialects: the client API formats by name, to read calls and answers in the body with.
        signals: of texts in the body; None where nothing computes any.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    dialects: Mapping[str, Dialect] = field(default_factory=dict, repr=False)
    signals: Signals | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AdminAnswer:
    """An answer to an operator.

    Args:
        status: HTTP status, 200 to 599.
        document: a JSON object.
        is_local: it tells of this process alone. With `server.workers` every worker is asked then
            and their documents become one: lists are joined, numbers added, objects merged, and
            of anything else the first stands. Workers that gave no answer in time are named in
            `unanswered`. Of an answer that is not local, one worker's stands for all.
    """

    status: int
    document: Document = field(repr=False)
    is_local: bool = False


class RunningHost(Protocol):
    """The host that runs with the config at hand, for a plugin's command."""

    def ask(
        self,
        method: str,
        path: str,
        document: Document | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask the instance that registered the command, in the host that runs.

        Args:
            method: upper-case method.
            path: of the request, see `AdminRequest`.
            document: the body's JSON, if there is one.
            query: what follows `?`.

        Returns:
            The answer's document.

        Raises:
            AdminError: there is no token, no host answers, or it answers with an error.
        """
