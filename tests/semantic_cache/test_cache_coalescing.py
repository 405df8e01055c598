"""Equal calls in flight wait for one of them."""

import asyncio

from pipeline.api import Answer
from pipeline.testing.documents import dialect_of
from plugins.semantic_cache.coalescing import Flights

DIALECT = dialect_of("openai.chat")
ANSWER = Answer(DIALECT, {"choices": []})


async def test_one_leads_and_all_others_get_what_it_brings():
    flights = Flights()
    flight, leads = flights.join(b"key")
    assert leads
    others = [flights.join(b"key") for _ in range(99)]
    assert not any(leads for _, leads in others)
    waiting = [asyncio.create_task(other.wait(5)) for other, _ in others]
    await asyncio.sleep(0)
    flights.land(b"key", flight, ("id", ANSWER))
    assert set(await asyncio.gather(*waiting)) == {("id", ANSWER)}
    assert len(flights) == 0


async def test_a_wait_is_bounded():
    flights = Flights()
    flight, _ = flights.join(b"key")
    assert await flight.wait(0.01) is None
    assert flight.waiting == 0


async def test_who_is_cancelled_while_waiting_disturbs_nobody():
    flights = Flights()
    flight, _ = flights.join(b"key")
    one, other = (asyncio.create_task(flight.wait(5)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    assert flight.waiting == 1
    flights.land(b"key", flight, ("id", ANSWER))
    assert await other == ("id", ANSWER)


async def test_the_next_call_after_a_landing_begins_another_flight():
    flights = Flights()
    first, _ = flights.join(b"key")
    flights.land(b"key", first, None)
    second, leads = flights.join(b"key")
    assert leads
    # A late word about the first does not end the second.
    flights.land(b"key", first, None)
    assert flights.find(b"key") is second
