"""A token that is refreshed ahead of its expiry, in the background, by one fetch at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from plugins.translate.credentials.contract import CredentialUnavailable

T = TypeVar("T")

_MAX_SLEEP_S = 30.0  # wall clocks jump, and machines are suspended: look at the time now and then
_START_TIMEOUT_S = 10.0
_FIRST_BACK_OFF_S = 1.0
_MAX_BACK_OFF_S = 60.0
_AHEAD_SHARE = 0.2
_JITTER_SHARE = 0.1


class RefreshingToken(Generic[T]):
    """Keeps a token fresh; nobody on the request path waits unless there is no valid one.

    Args:
        fetch: gets a new token and the time at which it expires, by `clock`; `inf` for never.
        source: what messages call it, for instance `Azure managed identity`; no secret.
        clock: seconds since the epoch.
        sleep: waits for seconds.
        rand: numbers from 0 to 1, for jitter.
        ahead_s: how long before its expiry a token is replaced, or a fifth of its life where that
            is less.
        leeway_s: how long before its expiry a token no longer counts as valid.
        fetch_timeout_s: longest that one fetch may take.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[tuple[T, float]]],
        clock: Callable[[], float] = time.time,
        *,
        source: str = "the token source",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rand: Callable[[], float] = random.random,
        ahead_s: float = 300.0,
        leeway_s: float = 10.0,
        fetch_timeout_s: float = 30.0,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._source = source
        self._sleep = sleep
        self._rand = rand
        self._ahead_s = ahead_s
        self._leeway_s = leeway_s
        self._fetch_timeout_s = fetch_timeout_s
        self._token: T | None = None
        self._valid_until = 0.0
        self._due = 0.0
        self._failures = 0
        self._reason = "not fetched yet"
        self._flight: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Try to get the first token, and keep it fresh from now on; a failure is retried."""
        if self._keeper is None:
            await asyncio.wait({self._fly()}, timeout=_START_TIMEOUT_S)
            self._keeper = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop refreshing."""
        for task in (self._keeper, self._flight):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._keeper = self._flight = None

    def current(self) -> T | None:
        """Return the token while it is valid, else None."""
        return self._token if self._clock() < self._valid_until else None

    async def get(self, timeout_s: float) -> T:
        """Return a valid token; wait for a fetch, shared by all who wait, where there is none.

        Raises:
            CredentialUnavailable: there is none in time, or the next try comes later than that.
        """
        deadline = self._clock() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while (token := self.current()) is None:
                    if self._flight is None and self._failures and self._due > deadline:
                        break
                    if self._flight is None and self._failures and self._due > self._clock():
                        await self._sleep(self._due - self._clock())
                    await asyncio.shield(self._fly())
                else:
                    return token
        except TimeoutError:
            pass
        raise CredentialUnavailable(f"{self._source}: {self._reason}")

    def _fly(self) -> asyncio.Task[None]:
        """Return the fetch that runs, or begin one."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetch_once())
        return self._flight

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(self._fetch_timeout_s):
                token, expires_at = await self._fetch()
        except Exception as error:  # noqa: BLE001 - whatever a vendor's library raises
            self._failed(error)
        else:
            self._succeeded(token, expires_at)
        finally:
            self._flight = None

    def _succeeded(self, token: T, expires_at: float) -> None:
        now = self._clock()
        life_s = max(0.0, expires_at - now)
        leeway_s = min(self._leeway_s, life_s * _JITTER_SHARE)
        ahead_s = min(self._ahead_s, life_s * _AHEAD_SHARE)
        # Many processes that began together should not all ask in the same second.
        early_s = ahead_s * (1 + _JITTER_SHARE * self._rand())
        self._token, self._valid_until = token, expires_at - leeway_s
        self._due = max(now + _FIRST_BACK_OFF_S, expires_at - early_s)
        if life_s <= 0:
            self._failures += 1
            self._reason = "it gave a token that has expired already"
        else:
            self._failures, self._reason = 0, "expired"

    def _failed(self, error: Exception) -> None:
        longest = min(_MAX_BACK_OFF_S, _FIRST_BACK_OFF_S * 2 ** min(self._failures, 10))
        self._failures += 1
        self._due = self._clock() + longest * (0.5 + self._rand() / 2)
        # A library's message may quote what it was sent: only its type is safe to say.
        known = isinstance(error, CredentialUnavailable)
        self._reason = str(error) if known else f"failed with {type(error).__name__}"
        import structlog  # noqa: PLC0415 - nothing to load where nothing fails

        structlog.get_logger().warning("token not fetched", source=self._source, why=self._reason)

    async def _keep_fresh(self) -> None:
        while True:
            while (left_s := self._due - self._clock()) > 0:
                await self._sleep(min(left_s, _MAX_SLEEP_S))
            await asyncio.shield(self._fly())

    def __repr__(self) -> str:
        return f"RefreshingToken({self._source})"
