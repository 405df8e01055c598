"""The client over real servers and sockets: what callers get, whatever becomes of nodes."""

import asyncio
import time
from contextlib import AsyncExitStack

import grpc
import pytest

from pipeline.inference.contract import Head, InferenceError
from pipeline.inference.remote import client
from pipeline.inference.remote.metadata import Described
from pipeline.inference.remote.model import RemoteModel
from pipeline.inference.remote.outputs import Output
from tests.support.letters import ALL, HEADS, NOT_A_NUMBER, Letters, same
from tests.support.nodes import node, node_process, source_of
from tests.support.proxy import proxy_to
from tests.support.stack import eventually

SOON_S = 20.0
KNOWN = Described(Letters.identity, HEADS)


def by(s=SOON_S):
    return time.monotonic() + s


def text_of(number):
    return f"{number} {'aeiou'[number % 5] * (number % 7 + 1)} bcd"


async def code_of(work):
    with pytest.raises(InferenceError) as caught:
        await work
    return caught.value.code


async def test_a_node_reads_as_the_model_itself_does():
    model = Letters()
    async with node(model) as server, source_of(server.address) as source:
        assert source.identity == model.identity
        assert {name: head.kind for name, head in source.heads.items()} == {
            name: head.kind for name, head in HEADS.items()
        }
        text = "a text of some windows, " * 9
        assert same(await source.read(text, ALL, by()), model.expected(text))
        reading = await source.read("abc", ["vowels"], by())
        assert reading.scores.keys() == {"vowels"}
        assert reading.embedding is None


async def test_what_waits_goes_together_and_each_caller_gets_its_own():
    model = Letters()
    async with node(model) as server, source_of(server.address) as source:
        texts = [text_of(number) for number in range(300)]
        heads = [ALL if number % 3 else {"vowels", "half"} for number in range(300)]
        readings = await asyncio.gather(
            *(source.read(t, h, by()) for t, h in zip(texts, heads, strict=True))
        )
        for text, its, reading in zip(texts, heads, readings, strict=True):
            assert same(reading, model.expected(text, its), its)
        body = await metrics(server.admin_address)
        assert value(body, 'dragoman_model_calls_total{model="letters",status="OK"}') <= 10
        assert value(body, 'dragoman_model_texts_total{model="letters"}') == 300


async def test_a_caller_that_goes_leaves_everybody_else_their_own_reply():
    model = Letters()
    async with node(model) as server, source_of(server.address) as source:
        with model.held():
            reads = [
                asyncio.create_task(source.read(text_of(number), ALL, by()))
                for number in range(200)
            ]
            await asyncio.to_thread(model.began.acquire, timeout=10)
            for number in range(0, 200, 3):
                reads[number].cancel()
        results = await asyncio.gather(*reads, return_exceptions=True)
        for number, reading in enumerate(results):
            if number % 3:
                assert same(reading, model.expected(text_of(number)))
            else:
                assert isinstance(reading, asyncio.CancelledError)


async def test_a_call_that_nobody_waits_for_is_cancelled_at_the_node():
    model = Letters()
    async with node(model) as server, source_of(server.address) as source:
        with model.held():
            reads = [asyncio.create_task(source.read(t, ALL, by())) for t in ("one", "two")]
            await asyncio.to_thread(model.began.acquire, timeout=10)
            for read in reads:
                read.cancel()
            await asyncio.wait(reads)
            name = 'dragoman_model_calls_total{model="letters",status="CANCELLED"}'
            await eventually(lambda: counted(server.admin_address, name, 1), within_s=10)
        assert not source._calls
        assert not source._running


async def test_a_deadline_ends_the_wait_and_the_reading():
    model = Letters()
    async with node(model) as server, source_of(server.address) as source:
        with model.held():
            began_s = time.monotonic()
            assert await code_of(source.read("abc", ALL, by(0.2))) == "deadline"
            assert time.monotonic() - began_s < 5
        assert await code_of(source.read("abc", ALL, by(-1))) == "deadline"


async def test_a_text_that_fails_does_not_fail_those_that_went_with_it():
    model = Letters()
    async with node(model) as server, source_of(server.address) as source:
        texts = ["good", f"bad{NOT_A_NUMBER}", "fine", "x" * 1_000_001]
        reads = await asyncio.gather(
            *(source.read(text, ALL, by()) for text in texts), return_exceptions=True
        )
        assert same(reads[0], model.expected("good"))
        assert reads[1].code == "model_failed"
        assert same(reads[2], model.expected("fine"))
        assert reads[3].code == "text_too_large"


async def test_a_full_queue_refuses_at_once():
    model = Letters()
    async with node(model) as server, source_of(server.address, queue=2) as source:
        with model.held():
            reads = [
                asyncio.create_task(source.read(text_of(number), ALL, by())) for number in range(3)
            ]
            await asyncio.sleep(0)
            refused = [read for read in reads if read.done()]
            assert [await code_of(read) for read in refused] == ["queue_full"]
            assert len(refused) == 1
        await asyncio.gather(*reads[:2])


async def test_a_node_with_too_much_to_do_is_left_for_another():
    busy, free = Letters(), Letters()
    async with (
        node(busy, queue=1) as first,
        node(free) as second,
        source_of(first.address, second.address) as source,
    ):
        await eventually(lambda: are_up(source, 2), within_s=10)
        with busy.held():
            reads = [
                asyncio.create_task(source.read(text_of(number), ALL, by()))
                for number in range(150)
            ]
            # All but those of the one call that the first took on.
            others = 150 - client.MAX_TEXTS
            await eventually(lambda: reached(lambda: sum(r.done() for r in reads), others), 8)
        for number, read in enumerate(reads):
            assert same(await read, free.expected(text_of(number)))


async def test_without_any_node_it_starts_and_refuses_at_once(free_port):
    async with source_of(f"127.0.0.1:{free_port}", known=KNOWN) as source:
        assert source.identity == Letters.identity
        assert source.heads == HEADS
        began_s = time.monotonic()
        assert await code_of(source.read("abc", ALL, by())) == "unavailable"
        assert time.monotonic() - began_s < 1


async def test_a_node_that_comes_later_tells_its_heads_and_is_used(free_port):
    address = f"127.0.0.1:{free_port}"
    async with source_of(address) as source:
        assert (source.identity, dict(source.heads)) == ("", {})
        async with node(address=address):
            await eventually(lambda: is_up(source), within_s=20)
            assert source.identity == Letters.identity
            assert source.heads.keys() == HEADS.keys()
            assert (await source.read("aei", ["vowels"], by())).scores["vowels"] > 0.5


async def test_a_node_that_comes_back_is_used_without_a_restart(free_port):
    address = f"127.0.0.1:{free_port}"
    async with AsyncExitStack() as stack:
        async with node(address=address):
            source = await stack.enter_async_context(source_of(address))
            await source.read("abc", ALL, by())
        await eventually(lambda: is_refused(source), within_s=10)
        async with node(address=address):
            await eventually(lambda: is_up(source), within_s=20)
            await source.read("abc", ALL, by())


async def test_a_node_with_another_model_is_not_used():
    class Numbers(Letters):
        identity = "letters@2"

    async with (
        node(Numbers()) as other,
        node() as right,
        source_of(other.address, right.address, known=KNOWN) as source,
    ):
        await eventually(lambda: is_known(source), within_s=10)
        assert source.up == {f"grpc://{other.address}": False, f"grpc://{right.address}": True}
        assert await code_of_version(other.address) == grpc.StatusCode.NOT_FOUND


async def test_a_node_that_comes_back_with_another_model_is_not_used(free_port):
    class Numbers(Letters):
        identity = "letters@2"

    address = f"127.0.0.1:{free_port}"
    async with AsyncExitStack() as stack:
        async with node(address=address):
            source = await stack.enter_async_context(source_of(address))
        async with node(Numbers(), address=address):
            assert await code_of(source.read("abc", ALL, by())) == "unavailable"
            assert source.identity == Letters.identity


async def test_a_node_killed_amid_load_costs_no_reply_where_there_is_another():
    model = Letters()
    async with (
        node_process() as first,
        node_process() as second,
        source_of(first.address, second.address) as source,
    ):
        await eventually(lambda: are_up(source, 2), within_s=10)
        failed, wrong, done = [], [], 0
        is_over = asyncio.Event()

        async def ask(client):
            nonlocal done
            number = client
            while not is_over.is_set():
                text = text_of(number)
                try:
                    reading = await source.read(text, ALL, by())
                except InferenceError as error:
                    failed.append(error.code)
                else:
                    done += 1
                    if not same(reading, model.expected(text)):
                        wrong.append(text)
                number += 32

        asking = [asyncio.create_task(ask(client)) for client in range(32)]
        await eventually(lambda: reached(lambda: done, 200), within_s=20)
        await first.kill()
        after = done
        await eventually(lambda: reached(lambda: done, after + 200), within_s=20)
        is_over.set()
        await asyncio.gather(*asking)
        assert (failed, wrong) == ([], [])
        assert source.up[f"grpc://{second.address}"]


async def test_the_one_node_killed_amid_load_fails_what_it_had_and_comes_back(free_port):
    address = f"127.0.0.1:{free_port}"
    async with AsyncExitStack() as stack:
        async with node_process(address) as first:
            source = await stack.enter_async_context(source_of(address))
            reads = [
                asyncio.create_task(source.read(text_of(n) * 2000, ALL, by())) for n in range(64)
            ]
            await asyncio.sleep(0.01)
            await first.kill()
            began_s = time.monotonic()
            results = await asyncio.gather(*reads, return_exceptions=True)
            assert time.monotonic() - began_s < 5
            codes = {one.code for one in results if isinstance(one, InferenceError)}
            assert codes <= {"unavailable"}
        async with node_process(address):
            await eventually(lambda: is_up(source), within_s=20)
            await source.read("abc", ALL, by())


async def test_a_black_hole_leaves_time_to_try_elsewhere_and_is_not_asked_again():
    async with (
        node() as first,
        node() as second,
        proxy_to(first.address) as proxy,
        source_of(proxy.address, second.address) as source,
    ):
        await eventually(lambda: are_up(source, 2), within_s=10)
        proxy.swallow()
        hole = f"grpc://{proxy.address}"
        for _ in range(20):
            await asyncio.gather(*(source.read(text_of(n), ALL, by(1.0)) for n in range(8)))
            if not source.up[hole]:
                break
        assert not source.up[hole]
        began_s = time.monotonic()
        await asyncio.gather(*(source.read(text_of(n), ALL, by(1.0)) for n in range(8)))
        assert time.monotonic() - began_s < 0.5
        proxy.heal()
        proxy.reset()
        await eventually(lambda: are_up(source, 2), within_s=20)


async def test_the_one_node_in_a_black_hole_costs_callers_their_deadline_and_no_more():
    async with (
        node() as server,
        proxy_to(server.address) as proxy,
        source_of(proxy.address) as source,
    ):
        proxy.swallow()
        codes = set()
        began_s = time.monotonic()
        for _ in range(4):
            reads = [code_of(source.read(text_of(n), ALL, by(0.3))) for n in range(8)]
            codes |= set(await asyncio.gather(*reads))
        assert codes == {"deadline", "unavailable"}
        assert time.monotonic() - began_s < 5


async def test_a_socket_of_this_machine_is_an_address(tmp_path):
    address = f"unix:{tmp_path}/models.sock"
    async with node(address=address) as server, source_of(server.address) as source:
        assert source.up == {address: True}
        await source.read("abc", ALL, by())


async def test_closing_refuses_what_waits():
    model = Letters()
    async with node(model) as server:
        with model.held():
            async with source_of(server.address) as source:
                read = asyncio.create_task(source.read("abc", ALL, by()))
                await asyncio.to_thread(model.began.acquire, timeout=10)
            assert await code_of(read) == "unavailable"
        assert await code_of(source.read("abc", ALL, by())) == "unavailable"


async def test_outputs_of_a_server_that_is_not_ours_are_mapped():
    model = RemoteModel(
        "letters",
        outputs=(
            Output(Head("risky", "score"), "vowels"),
            Output(Head("second", "score"), "half", 1, "softmax"),
            Output(Head("meaning", "embedding"), "embedding"),
        ),
    )
    letters = Letters()
    async with node(letters) as server, source_of(server.address, model=model) as source:
        assert source.heads.keys() == {"risky", "second", "meaning"}
        reading = await source.read("aebc", ["risky", "second", "meaning"], by())
        expected = letters.expected("aebc")
        assert reading.scores["risky"] == pytest.approx(expected.scores["vowels"], abs=1e-6)
        assert reading.embedding == pytest.approx(expected.embedding, abs=1e-6)
        # One whose texts are refused together is asked about each of them alone.
        texts = ["good", f"bad{NOT_A_NUMBER}", "fine"]
        reads = await asyncio.gather(
            *(source.read(text, ["risky"], by()) for text in texts), return_exceptions=True
        )
        assert [getattr(one, "code", "") for one in reads] == ["", "model_failed", ""]
        assert source.up == {f"grpc://{server.address}": True}


async def test_text_that_no_utf8_can_carry_is_read_all_the_same():
    async with node() as server, source_of(server.address) as source:
        await source.read("lone \ud800 surrogate", ALL, by())


async def test_a_text_larger_than_any_message_is_refused_before_it_is_sent():
    async with node() as server, source_of(server.address) as source:
        text = "x" * (client.MAX_TEXT_BYTES + 1)
        assert await code_of(source.read(text, ALL, by())) == "text_too_large"


async def test_a_head_that_no_node_has_is_told_by_its_name():
    async with node() as server, source_of(server.address) as source:
        with pytest.raises(LookupError, match="missing"):
            await source.read("abc", ["vowels", "missing"], by())


# --- what the tests look at


async def is_up(source):
    return all(source.up.values())


async def are_up(source, count):
    return sum(source.up.values()) == count


async def is_known(source):
    return all(one.is_known for one in source._nodes)


async def is_refused(source):
    try:
        await source.read("abc", ALL, by())
    except InferenceError as error:
        return error.code == "unavailable"
    return False


async def reached(count, least):
    return count() >= least


async def code_of_version(address):
    from pipeline.inference.remote import oip_pb2 as pb
    from pipeline.inference.remote.node import SERVICE

    async with grpc.aio.insecure_channel(address) as channel:
        infer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        outputs = [Output(HEADS["vowels"], "vowels")]
        request = RemoteModel("letters").request([b"a"], outputs, Letters.identity)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await infer(request)
    return caught.value.code()


async def metrics(address):
    import httpx

    async with httpx.AsyncClient() as http:
        return (await http.get(f"http://{address}/metrics")).text


def value(body, name):
    lines = [line for line in body.splitlines() if line.startswith(name + " ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


async def counted(address, name, least):
    return value(await metrics(address), name) >= least
