"""Generations: a stream stays with the one it began with; what is replaced ends once, when idle."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from pipeline.host.generations import Generation, Generations
from tests.support.chain import document_with, plugin, runtime_with, until


def routes(*names, backends=()):
    return {
        "backends": {name: {"provider": "openai"} for name in backends},
        "routes": [{"name": name, "backends": list(backends)} for name in names],
    }


def begin(generations, names="chat", backend=""):
    """Do what the gRPC service does as a stream begins."""
    found = generations.for_routes(names, backend)
    found.streams += 1
    return found


class Noted:
    """Runtimes whose one plugin notes its life."""

    def __init__(self):
        self.log = []

    def runtime(self, number, *names):
        async def startup(this):
            self.log.append(("up", number))

        async def shutdown(this):
            self.log.append(("down", number))

        return runtime_with(
            {"routes": [{"name": n, "plugins": ["p"]} for n in names or ("chat",)]},
            p=plugin(startup=startup, shutdown=shutdown),
        )


STEPS = st.lists(
    st.one_of(
        st.just(("begin", 0)), st.tuples(st.just("end"), st.integers(0, 20)), st.just(("switch", 0))
    ),
    max_size=40,
)


@given(STEPS)
def test_every_replaced_generation_ends_once_and_never_under_a_stream(steps):
    asyncio.run(_walk(steps))


async def _walk(steps):
    noted = Noted()
    first = noted.runtime(1)
    await first.startup()
    generations = Generations(Generation(1, first))
    streams = []
    number = 1
    for step, index in steps:
        if step == "begin":
            streams.append(begin(generations))
            assert streams[-1].number == number
        elif step == "end" and streams:
            generations.leave(streams.pop(index % len(streams)))
        elif step == "switch":
            number += 1
            runtime = noted.runtime(number)
            await runtime.startup()
            generations.switch(Generation(number, runtime))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        down = [n for what, n in noted.log if what == "down"]
        busy = {stream.number for stream in streams} | {number}
        assert sorted(down) == sorted(set(range(1, number + 1)) - busy)
    for stream in streams:
        generations.leave(stream)
    await generations.close()
    assert sorted(n for what, n in noted.log if what == "down") == list(range(1, number + 1))


async def test_a_stream_that_names_what_the_current_one_lacks_is_served_by_the_one_before():
    before = Generation(1, runtime_with(routes("chat", "old", backends=("a", "b"))))
    after = Generation(2, runtime_with(routes("chat", "new", backends=("b", "c"))))
    generations = Generations(before)
    generations.switch(after)

    def number(names, backend=""):
        return generations.for_routes(names, backend).number

    assert number("chat") == 2
    assert number("old") == 1
    assert number("chat,old") == 1
    assert number("chat,new") == 2
    assert number("never") == 2
    assert number("chat", "a") == 1
    assert number("chat", "b") == 2
    assert number("chat", "nobody") == 2
    await generations.close()


async def test_one_that_is_kept_ends_after_its_time_and_one_that_is_not_needed_at_once():
    noted = Noted()
    first, second, third = noted.runtime(1, "a", "b"), noted.runtime(2, "a"), noted.runtime(3, "a")
    for runtime in (first, second, third):
        await runtime.startup()
    generations = Generations(Generation(1, first), kept_s=0.03)
    generations.switch(Generation(2, second))
    await asyncio.sleep(0)
    assert ("down", 1) not in noted.log
    await until(lambda: ("down", 1) in noted.log)
    assert generations.for_routes("b").number == 2

    generations.switch(Generation(3, third))
    await until(lambda: ("down", 2) in noted.log)
    assert generations.kept is None
    await generations.close()
    assert noted.log.count(("down", 3)) == 1


async def test_where_envoy_is_said_to_follow_one_is_kept_until_it_has():
    noted = Noted()
    made = [noted.runtime(1, "a"), *(noted.runtime(n, "b") for n in (2, 3))]
    for runtime in made:
        await runtime.startup()
    generations = Generations(Generation(1, made[0]), kept_s=0.0)
    generations.switch(Generation(2, made[1]), is_told=True)
    generations.switch(Generation(3, made[2]), is_told=True)
    await until(lambda: ("down", 2) in noted.log)
    assert generations.for_routes("a").number == 1
    assert generations.for_routes("b").number == 3

    generations.envoy_followed()
    await until(lambda: ("down", 1) in noted.log)
    assert generations.for_routes("a").number == 3
    await generations.close()


async def test_one_that_envoy_refused_and_got_back_from_is_not_kept():
    made = [runtime_with(routes(name)) for name in "aba"]
    generations = Generations(Generation(1, made[0]))
    generations.switch(Generation(2, made[1]), is_told=True)
    generations.switch(Generation(3, made[2]), is_told=True)
    assert generations.kept is None
    await generations.close()


async def test_the_next_switch_releases_the_one_that_was_kept():
    noted = Noted()
    made = [noted.runtime(1, "a", "b"), noted.runtime(2, "a"), noted.runtime(3, "a", "b")]
    for runtime in made:
        await runtime.startup()
    generations = Generations(Generation(1, made[0]))
    stream = begin(generations, "a")
    generations.switch(Generation(2, made[1]))
    late = begin(generations, "b")
    assert late.number == 1
    generations.switch(Generation(3, made[2]))
    await until(lambda: ("down", 2) in noted.log)
    generations.leave(stream)
    await asyncio.sleep(0)
    assert ("down", 1) not in noted.log
    generations.leave(late)
    await until(lambda: ("down", 1) in noted.log)
    await generations.close()


def compiled(document, running=None):
    source = Source("dragoman.yaml", document)
    return compile_config(check_config(source), source, running)


async def test_equal_instances_are_one_object_that_starts_once_and_ends_with_the_last():
    log = []

    async def startup(this):
        log.append(f"up {this.name}")

    async def shutdown(this):
        log.append(f"down {this.name}")

    made = plugin(startup=startup, shutdown=shutdown)
    first = compiled(document_with(same=made, gone=made))
    await first.startup()
    policy = {"timeout": "5s", "on_error": "closed", "mode": "shadow"}
    second = compiled(document_with(same=(made, policy), new=made), first)
    await second.startup()

    assert second.instances["same"].plugin is first.instances["same"].plugin
    assert second.instances["same"].timeout_s == 5
    assert second.instances["same"].fails_closed
    assert second.instances["same"].share_percent == 0
    assert log == ["up same", "up gone", "up new"]
    await first.shutdown()
    assert log[3:] == ["down gone"]
    await second.shutdown()
    assert sorted(log[4:]) == ["down new", "down same"]


async def test_an_instance_with_other_options_or_of_another_class_is_made_anew():
    from pipeline.api import PluginConfig

    class Options(PluginConfig):
        word: str = "a"

    one, other = plugin(Config=Options), plugin(Config=Options)
    first = compiled(document_with(x=(one, {"with": {"word": "a"}}), y=one, z=one))
    second = compiled(
        document_with(x=(one, {"with": {"word": "b"}}), y=other, z=(one, {"with": {"word": "a"}})),
        first,
    )
    same = [n for n in "xyz" if first.instances[n].plugin is second.instances[n].plugin]
    assert same == ["z"]


async def test_a_generation_that_could_not_start_leaves_what_runs_untouched():
    log = []

    async def fails(this):
        raise RuntimeError("no model")

    def noting(name):
        async def shutdown(this):
            log.append(name)

        return shutdown

    kept = plugin(shutdown=noting("kept"))
    first = compiled(document_with(kept=kept))
    await first.startup()
    second = compiled(
        document_with(kept=kept, new=plugin(shutdown=noting("new")), bad=plugin(startup=fails)),
        first,
    )
    with pytest.raises(ConfigError, match="no model"):
        await second.startup()
    assert log == ["new"]
    await first.shutdown()
    assert log == ["new", "kept"]


async def test_after_many_switches_nothing_is_left_of_those_before():
    document = {**document_with(p=plugin()), **routes("chat")}
    document["routes"][0]["plugins"] = ["p"]
    generations = Generations(Generation(1, compiled(document)))
    await generations.current.runtime.startup()
    refs = []
    for number in range(2, 202):
        refs.append(weakref.ref(generations.current))
        runtime = compiled(document, generations.current.runtime)
        await runtime.startup()
        stream = begin(generations)
        generations.switch(Generation(number, runtime))
        generations.leave(stream)
    await until(lambda: not generations._ending)
    del stream, runtime
    gc.collect()

    assert [ref for ref in refs if ref() is not None] == []
    assert len(generations.replaced) == 0
    assert len(asyncio.all_tasks()) == 1
    await generations.close()
