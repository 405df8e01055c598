"""Generations: the config that runs, and those before it until their last stream has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pipeline.host.digest import route_digest
from pipeline.host.runtime import Runtime
from pipeline.host.session import Choice

# How long a generation waits for an Envoy whose configuration lags behind. Ours follows within a
# second, somebody's roll-out within a minute; for ever would keep alive what was taken out.
_KEPT_S = 60.0


class Generation:
    """One config that runs, or ran.

    Args:
        number: 1, 2, …
        runtime: the compiled config.
        content_hash: of the config.
        loaded_at_s: when, in seconds since the epoch.
    """

    def __init__(
        self, number: int, runtime: Runtime, content_hash: str = "", loaded_at_s: float = 0.0
    ) -> None:
        self.number = number
        self.runtime = runtime
        self.content_hash = content_hash
        self.loaded_at_s = loaded_at_s
        self.streams = 0
        self._any_route = Choice(runtime.candidates)
        self._choices: dict[tuple[str | None, str], Choice] = {}
        self._digests: dict[str, str] = {}

    def digest(self, names: str) -> str:
        """Return the digest of routes, given with commas between them."""
        digest = self._digests.get(names)
        if digest is None:
            digest = route_digest(self.runtime.config, self.runtime.plans, names)
            if all(name in self.runtime.routes for name in names.split(",")):
                self._digests[names] = digest
        return digest

    def knows(self, routes: Sequence[str], backend: str) -> bool:
        """Say whether it has all of the routes, and the backend, if one is named, in them."""
        known = [self.runtime.routes.get(name) for name in routes]
        return all(
            route is not None and (not backend or backend in route.config.backend_names)
            for route in known
        )

    def choice(self, named: str | None, attribute: str) -> Choice:
        """Return the routes in question.

        Args:
            named: the gRPC metadata, present when Envoy's configuration is ours: names in order.
            attribute: the name of Envoy's route, for an Envoy that somebody else configured.
        """
        choice = self._choices.get((named, attribute))
        if choice is None:
            routes = self.runtime.routes
            names = attribute if named is None else named
            found = [routes[name] for name in names.split(",") if name in routes]
            if not found and named is None:
                return self._any_route
            last = found[-1] if found else None
            # Where every candidate wants a certain model, our Envoy's route is its own 404.
            is_nowhere = named is not None and last is not None and last.matcher.model is not None
            choice = Choice([(r.matcher, r) for r in found], last, is_nowhere=is_nowhere)
            if found:
                self._choices[named, attribute] = choice
        return choice


class Generations:
    """Which generation serves a stream, and when one that was replaced is shut down.

    The one before the current one is kept for a while if Envoy's part of its routes differs: Envoy
    goes on with them until its own configuration has followed. A stream that says which of both it
    means gets that one, so that no body mode, address or credential of one meets the other. Where
    it will be told that Envoy has followed, the while begins then: an Envoy that refuses what it
    is given goes on with the one that it has, whatever is loaded meanwhile.

    Args:
        first: what runs from the beginning.
        ended: called when plugins of one that was replaced have been shut down.
        kept_s: how long one is kept for an Envoy that lags behind.
    """

    def __init__(
        self,
        first: Generation,
        ended: Callable[[], object] = lambda: None,
        kept_s: float = _KEPT_S,
    ) -> None:
        self.current = first
        self.kept: Generation | None = None
        self._ended = ended
        self._kept_s = kept_s
        self._timer: asyncio.TimerHandle | None = None
        self._replaced: list[Generation] = []
        self._ending: set[asyncio.Task[bool]] = set()

    @property
    def replaced(self) -> Sequence[Generation]:
        """Those before the current one that still serve streams, or may, oldest first."""
        return self._replaced

    def for_routes(self, names: str, backend: str = "", digest: str = "") -> Generation:
        """Return the generation for a stream that Envoy says belongs to certain routes.

        Args:
            names: of the routes, with commas between them.
            backend: of the attempt, if it is one.
            digest: of these routes as Envoy knows them, if it says so.
        """
        routes = names.split(",")
        kept = self.kept
        if digest and kept is not None:
            lags = digest != self.current.digest(names)
            return kept if lags and digest == kept.digest(names) else self.current
        lags = not self.current.knows(routes, backend)
        return kept if kept is not None and lags and kept.knows(routes, backend) else self.current

    def leave(self, generation: Generation) -> None:
        """See the end of a stream, which its beginning has added to the generation's `streams`."""
        generation.streams -= 1
        if generation is not self.current:
            self._end_if_idle(generation)

    def switch(self, to: Generation, *, is_told: bool = False) -> None:
        """Serve streams that begin from now on with another generation, which has been started.

        Args:
            to: the generation.
            is_told: whether `envoy_followed` is going to be called once Envoy has followed it.
        """
        before, self.current = self.current, to
        self._replaced.append(before)
        # Without a timer Envoy has not followed yet.
        of_envoy = self.kept if self.kept is not None and self._timer is None else before
        lacks = any(of_envoy.digest(name) != to.digest(name) for name in of_envoy.runtime.routes)
        self._keep(of_envoy if lacks else None)
        if not is_told:
            self.envoy_followed()
        self._end_if_idle(before)

    def envoy_followed(self) -> None:
        """Keep the one before the current one no longer than for what is under way in Envoy."""
        if self.kept is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._kept_s, self._keep, None)

    async def close(self) -> None:
        """Shut every generation down: no stream is served any more."""
        self._keep(None)
        if self._ending:
            await asyncio.wait(self._ending)
        for generation in (*self._replaced, self.current):
            await generation.runtime.shutdown()

    def _keep(self, generation: Generation | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        released, self.kept = self.kept, generation
        if released is not None:
            self._end_if_idle(released)

    def _end_if_idle(self, generation: Generation) -> None:
        if generation.streams or generation is self.kept or generation not in self._replaced:
            return
        self._replaced.remove(generation)
        task = asyncio.ensure_future(generation.runtime.shutdown())
        self._ending.add(task)
        task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[bool]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and task.result():
            self._ended()
