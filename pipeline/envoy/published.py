"""Published: Envoy's resources as files that it watches, replaced so that no request fails.

The order is what keeps requests whole: clusters are there before a route leads to them, and stay
until the last exchange that an old route began has ended.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp

from pipeline.envoy.process import EnvoyFailed
from pipeline.envoy.resources import CLUSTERS, FILTER, RESOURCES_FILE, ROUTES, Resources, patient
from pipeline.envoy.subscriptions import Subscriptions
from pipeline.observability.logs import get_logger

# A client may take its time to send the body.
_LEAST_LINGER_S = 60.0
_PATIENCE_S = 30.0
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a publication.

    Args:
        state: `refused` means that Envoy runs what it ran before.
        reason: Envoy's, where it refused.
    """

    state: Literal["unchanged", "live", "refused"]
    reason: str = ""


class Published:
    """The resources of one Envoy; what is published before it is attached waits for it.

    Args:
        folder: for the files; absolute.
        resources: what Envoy starts with.
        least_linger_s: how long a cluster stays, at least, after no route leads to it any more.
        patience_s: how long Envoy may take over one file.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        resources: Resources,
        *,
        least_linger_s: float = _LEAST_LINGER_S,
        patience_s: float = _PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resources = resources
        self._folder = folder
        self._least_linger_s = least_linger_s
        self._patience_s = patience_s
        self._clock = clock
        self._attached: asyncio.Future[Subscriptions] = asyncio.get_running_loop().create_future()
        self._writes = 0
        self._files: dict[str, dict[str, Any]] = {}
        self._retired: dict[str, tuple[Mapping[str, Any], float]] = {}
        self._lock = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None
        for kind in (CLUSTERS, ROUTES, FILTER):
            (folder / kind).mkdir(parents=True)
        self._write(CLUSTERS, list(resources.clusters.values()))
        self._write(FILTER, [resources.filter])
        self._write(ROUTES, [resources.routes])

    async def attach(self, admin_url: str, log_file: Path) -> None:
        """Make sure that an Envoy that has started runs the resources, and watch it from now on.

        Raises:
            EnvoyFailed: it refused some of them.
        """
        subscriptions = Subscriptions(admin_url, log_file, self._patience_s)
        for kind, document in self._files.items():
            version = document["version_info"]
            reason = await subscriptions.taken(kind, version, rejected=0, log_from=0)
            if reason:
                raise EnvoyFailed(f"Envoy refused its {kind}: {reason}")
        self._attached.set_result(subscriptions)

    async def publish(self, resources: Resources) -> Outcome:
        """Let Envoy take other resources; where it refuses some, all is put back."""
        async with self._lock:
            if resources == self.resources:
                return Outcome("unchanged")
            before = dict(self._files)
            retired = {
                **{name: (cluster, _NEVER) for name, cluster in self.resources.clusters.items()},
                **self._retired,
            }
            retired = {n: one for n, one in retired.items() if n not in resources.clusters}
            steps: list[tuple[str, list[Mapping[str, Any]]]] = [
                (CLUSTERS, [*resources.clusters.values(), *_clusters_of(retired)]),
                # As long as exchanges of the old routes begin, their chains have their time.
                (FILTER, [patient(resources, self.resources).filter]),
                (ROUTES, [resources.routes]),
                (FILTER, [resources.filter]),
            ]
            for kind, wanted in steps:
                reason = await self._give(kind, wanted, resources.fingerprint)
                if reason:
                    self._put_back(before)
                    get_logger().error("envoy refused", resource=kind, reason=reason)
                    return Outcome("refused", f"{kind}: {reason}")
            linger_s = max(self.resources.linger_s, self._least_linger_s)
            due = self._clock() + linger_s
            self._retired = {n: (one, min(at, due)) for n, (one, at) in retired.items()}
            self.resources = resources
        if self._retired and (self._sweeping is None or self._sweeping.done()):
            self._sweeping = asyncio.create_task(self._sweep())
        return Outcome("live")

    async def close(self) -> None:
        """Publish no more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping

    async def _sweep(self) -> None:
        """Remove each cluster that no exchange can need any more."""
        while self._retired:
            await asyncio.sleep(min(at for _, at in self._retired.values()) - self._clock())
            async with self._lock:
                now = self._clock()
                self._retired = {n: one for n, one in self._retired.items() if one[1] > now}
                wanted = [*self.resources.clusters.values(), *_clusters_of(self._retired)]
                reason = await self._give(CLUSTERS, wanted, self.resources.fingerprint)
            if reason:
                get_logger().error("envoy refused", resource=CLUSTERS, reason=reason)

    async def _give(self, kind: str, wanted: list[Mapping[str, Any]], fingerprint: str) -> str:
        if self._files[kind]["resources"] == wanted:
            return ""
        watched = await asyncio.shield(self._attached)
        try:
            kinds, _ = await watched.look()
        except (aiohttp.ClientError, OSError) as error:
            return f"Envoy's admin endpoint cannot be read: {type(error).__name__}"
        log_from = watched.log_size()
        version = self._write(kind, wanted, fingerprint)
        return await watched.taken(kind, version, rejected=kinds[kind].rejected, log_from=log_from)

    def _write(
        self, kind: str, wanted: Iterable[Mapping[str, Any]], fingerprint: str | None = None
    ) -> str:
        self._writes += 1
        # A number of its own for each write: a config may come back.
        version = f"{self._writes}-{fingerprint or self.resources.fingerprint}"
        self._move(kind, {"version_info": version, "resources": list(wanted)})
        return version

    def _put_back(self, before: Mapping[str, dict[str, Any]]) -> None:
        for kind in (FILTER, ROUTES, CLUSTERS):
            if self._files[kind] != before[kind]:
                self._move(kind, before[kind])

    def _move(self, kind: str, document: dict[str, Any]) -> None:
        # Beside the folder that Envoy watches: it must see one move, and never half a file.
        made = self._folder / f"{kind}.new"
        made.write_text(json.dumps(document), encoding="utf-8")
        made.replace(self._folder / kind / RESOURCES_FILE)
        self._files[kind] = document


def _clusters_of(
    retired: Mapping[str, tuple[Mapping[str, Any], float]],
) -> list[Mapping[str, Any]]:
    return [cluster for cluster, _ in retired.values()]
