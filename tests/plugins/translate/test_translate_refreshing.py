"""Tokens that are refreshed in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from plugins.translate.credentials.contract import CredentialUnavailable
from plugins.translate.credentials.refreshing import RefreshingToken


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Source:
    """A token server: answers `t1`, `t2`, … or raises what is scripted."""

    def __init__(self, clock: Clock, *, life_s: float = 3600.0) -> None:
        self.clock = clock
        self.life_s = life_s
        self.calls: list[float] = []
        self.errors: list[Exception] = []
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> tuple[str, float]:
        self.calls.append(self.clock())
        number = len(self.calls)
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return f"t{number}", self.clock() + self.life_s


def refreshing(source: Source, clock: Clock, rand: float = 0.0) -> RefreshingToken[str]:
    return RefreshingToken(
        source.fetch, clock, source="the test", sleep=clock.sleep, rand=lambda: rand
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - conditions on what is not ours to signal
            await asyncio.sleep(0)


async def test_started_token_is_current_at_once() -> None:
    clock = Clock()
    source = Source(clock)
    token = RefreshingToken(source.fetch, clock)
    await token.start()
    assert token.current() == "t1"
    assert await token.get(1) == "t1"
    assert len(source.calls) == 1
    await token.close()


@pytest.mark.parametrize(("rand", "at"), [(0.0, 3300.0), (1.0, 3270.0)])
async def test_token_is_replaced_ahead_of_its_expiry_with_jitter(rand: float, at: float) -> None:
    clock = Clock()
    source = Source(clock)
    token = refreshing(source, clock, rand)
    await token.start()
    await until(lambda: len(source.calls) == 2)
    assert source.calls[1] == pytest.approx(1000 + at)
    await token.close()


async def test_short_token_is_replaced_after_four_fifths_of_its_life() -> None:
    clock = Clock()
    source = Source(clock, life_s=100)
    token = refreshing(source, clock)
    await token.start()
    await until(lambda: len(source.calls) == 2)
    assert source.calls[1] == pytest.approx(1080)
    await token.close()


async def test_concurrent_waits_share_one_fetch() -> None:
    clock = Clock()
    source = Source(clock)
    source.gate = asyncio.Event()
    token = refreshing(source, clock)
    waiting = [asyncio.create_task(token.get(20)) for _ in range(50)]
    await until(lambda: len(source.calls) == 1)
    source.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"t1"}
    assert len(source.calls) == 1
    await token.close()


async def test_waiter_that_gives_up_leaves_the_fetch_to_the_others() -> None:
    clock = Clock()
    source = Source(clock)
    source.gate = asyncio.Event()
    token = refreshing(source, clock)
    patient = asyncio.create_task(token.get(20))
    hasty = asyncio.create_task(token.get(20))
    await until(lambda: len(source.calls) == 1)
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    source.gate.set()
    assert await patient == "t1"
    await token.close()


async def test_wait_is_bounded() -> None:
    clock = Clock()
    source = Source(clock)
    source.gate = asyncio.Event()
    token = refreshing(source, clock)
    with pytest.raises(CredentialUnavailable, match="the test"):
        await token.get(0.01)
    await token.close()


async def test_failed_fetch_is_retried_while_a_request_waits() -> None:
    clock = Clock()
    source = Source(clock)
    source.errors = [OSError("secret"), OSError("secret")]
    token = refreshing(source, clock)
    await token.start()
    assert token.current() is None
    assert await token.get(20) == "t3"
    await token.close()


async def test_failures_back_off_with_jitter_and_never_more_than_a_minute() -> None:
    clock = Clock()
    source = Source(clock)
    source.errors = [OSError() for _ in range(9)]
    token = refreshing(source, clock, rand=1.0)
    await token.start()
    await until(lambda: token.current() is not None)
    gaps = [b - a for a, b in zip(source.calls, source.calls[1:], strict=False)]
    assert gaps[:9] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    await token.close()


async def test_request_does_not_wait_for_a_try_that_comes_too_late() -> None:
    clock = Clock()
    source = Source(clock)
    source.errors = [OSError("the key is hunter2") for _ in range(5)]
    token = refreshing(source, clock, rand=1.0)
    for _ in range(5):
        await asyncio.shield(token._fly())
    before = len(source.calls)
    with pytest.raises(CredentialUnavailable, match="OSError") as raised:
        await token.get(5)
    assert "hunter2" not in str(raised.value)
    assert len(source.calls) == before
    await token.close()


async def test_old_token_serves_while_its_refresh_fails() -> None:
    clock = Clock()
    source = Source(clock)
    token = refreshing(source, clock)
    await token.start()
    source.errors = [OSError() for _ in range(3)]
    seen = set()
    async with asyncio.timeout(20):
        while len(source.calls) < 5:
            seen.add(token.current())
            await asyncio.sleep(0)
    assert seen == {"t1"}
    await token.close()


async def test_expired_token_is_never_given() -> None:
    clock = Clock()
    source = Source(clock)
    token = refreshing(source, clock)
    assert await token.get(1) == "t1"
    clock.now += 3595
    assert token.current() is None
    assert await token.get(1) == "t2"
    await token.close()


async def test_source_that_gives_expired_tokens_is_not_asked_in_a_busy_loop() -> None:
    clock = Clock()
    source = Source(clock, life_s=-5)
    token = refreshing(source, clock)
    with pytest.raises(CredentialUnavailable, match="expired already"):
        await token.get(0.5)
    assert len(source.calls) == 1
    await token.close()
