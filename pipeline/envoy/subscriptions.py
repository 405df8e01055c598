"""Subscriptions: what a running Envoy says of the resources that it was given."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from pipeline.envoy.resources import CLUSTERS, FILTER, ROUTES

_POLL_S = 0.02
_STATS = {
    CLUSTERS: "cluster_manager.cds",
    ROUTES: "http.dragoman.rds.dragoman",
    FILTER: "extension_config_discovery.http_filter.dragoman",
}
_WARMING = "cluster_manager.warming_clusters"
_WANTED = "|".join(
    [*(rf"{re.escape(s)}\.(version_text|update_rejected)" for s in _STATS.values()), _WARMING]
)
_REASON = re.compile(r"config update rejected: (.*?)(?=\n\[\d{4}-|\Z)", re.DOTALL)
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Subscription:
    """How Envoy stands to one kind of resource.

    Args:
        version: what it runs.
        rejected: how many updates it has refused.
    """

    version: str
    rejected: int


class Subscriptions:
    """Watches Envoy take what it is given.

    Args:
        admin_url: of Envoy.
        log_file: Envoy's log, which alone says why it refuses something.
        patience_s: how long Envoy may take.
    """

    def __init__(self, admin_url: str, log_file: Path, patience_s: float) -> None:
        self._admin_url = admin_url
        self._log_file = log_file
        self._patience_s = patience_s

    async def look(self) -> tuple[Mapping[str, Subscription], bool]:
        """Return how Envoy stands to each kind, and whether every cluster has its addresses.

        Raises:
            OSError: Envoy does not answer.
        """
        async with (
            aiohttp.ClientSession(self._admin_url, timeout=aiohttp.ClientTimeout(5)) as session,
            session.get("/stats", params={"filter": f"^({_WANTED})$"}) as answer,
        ):
            text = await answer.text()
        found = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        kinds = {
            kind: Subscription(
                found.get(f"{name}.version_text", "").strip('"'),
                int(found.get(f"{name}.update_rejected", 0)),
            )
            for kind, name in _STATS.items()
        }
        return kinds, found.get(_WARMING) == "0"

    def log_size(self) -> int:
        """Return where Envoy's log ends now."""
        return self._log_file.stat().st_size

    async def taken(self, kind: str, version: str, *, rejected: int, log_from: int) -> str:
        """Wait until Envoy has taken or refused a version; return why it has not, or nothing.

        Args:
            kind: of resource.
            version: what was given.
            rejected: how many of that kind it had refused before.
            log_from: where its log ended before.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    kinds, is_warm = await self.look()
                    now = kinds[kind]
                    # Routes to a cluster without addresses yet would be answered with 503.
                    if now.version == version and (is_warm or kind != CLUSTERS):
                        return ""
                    if now.rejected > rejected:
                        return await self._reason(log_from)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return f"Envoy has not taken its new {kind} within {self._patience_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"Envoy's admin endpoint cannot be read: {type(error).__name__}"

    async def _reason(self, log_from: int) -> str:
        # The admin endpoint counts before the log is written.
        for _ in range(10):
            with self._log_file.open("rb") as log:
                log.seek(log_from)
                text = log.read().decode(errors="replace")
            if match := _REASON.search(text):
                return " ".join(match[1].split())[:_LONGEST_REASON]
            await asyncio.sleep(_POLL_S)
        return "Envoy refused it without a word in its log"
