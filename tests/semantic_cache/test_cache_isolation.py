"""Two tenants, the same questions, any order, any fault: nobody gets what is another's."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.testing.host import Host
from pipeline.testing.messages import answer_message, call_message
from plugins.semantic_cache.records import StoreUnavailable

TENANTS = st.sampled_from(["a", "b", "c"])
QUESTIONS = st.sampled_from(["one", "two", "one two", "ONE"])
OPERATIONS = st.one_of(
    st.tuples(st.just("ask"), TENANTS, QUESTIONS, st.booleans()),
    st.tuples(st.just("leave"), TENANTS, QUESTIONS, st.booleans()),
    st.tuples(st.just("fail"), TENANTS, QUESTIONS, st.booleans()),
    st.tuples(st.just("at once"), TENANTS, QUESTIONS, st.booleans()),
    st.tuples(st.just("store"), st.sampled_from(["lost", "back"])),
    st.tuples(st.just("flush")),
)


class Losing:
    """A store that can be lost."""

    def __init__(self, store):
        self._store = store
        self.is_lost = False

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def ask(*arguments):
            if self.is_lost:
                raise StoreUnavailable("lost")
            return await found(*arguments)

        return ask


@settings(max_examples=60)
@given(st.lists(OPERATIONS, min_size=1, max_size=60))
def test_no_order_and_no_fault_gives_anybody_what_is_anothers(operations):
    asyncio.run(_replayed(operations))


async def _replayed(operations):
    options = {"semantic": {"enabled": False}, "coalesce_wait": "50ms"}
    async with Host.of("semantic_cache", options) as cached:
        cache = cached.plugin()._cache
        store = cache._store = Losing(cache._store)
        for operation in operations:
            match operation:
                case "ask", tenant, question, streams:
                    await _ask(cached, tenant, question, streams)
                case "at once", tenant, question, streams:
                    others = [t for t in "abc" if t != tenant]
                    asked = [(t, question, streams) for t in (tenant, *others, tenant, *others)]
                    await asyncio.gather(*(_ask(cached, *one) for one in asked))
                case "leave", tenant, question, streams:
                    leaving = cached.open()
                    await leaving.request(_call(tenant, question, streams))
                    await leaving.close()
                case "fail", tenant, question, streams:
                    await cached.send(
                        _call(tenant, question, streams), answer_message("no", status=503)
                    )
                case "store", state:
                    store.is_lost = state == "lost"
                case ("flush",):
                    if not store.is_lost:
                        await cache.flush()


def _call(tenant, question, streams):
    headers = {"authorization": f"Bearer {tenant}"}
    return call_message(question, headers=headers, stream=streams)


async def _ask(cached, tenant, question, streams):
    found = await cached.send(_call(tenant, question, streams), f"{tenant} asked {question}")
    assert found.said == f"{tenant} asked {question}"
