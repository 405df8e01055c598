"""The client beside a server that is not ours: MLServer, the real process."""

import ast
import asyncio
import socket
import time
from contextlib import AsyncExitStack

import numpy as np
import pytest
from google.protobuf import descriptor_pb2

from pipeline.config.inference import InferenceConfig
from pipeline.inference.contract import InferenceError
from pipeline.inference.remote.configured import foreign_source
from tests.inference.remote.test_remote_proto import fields_of, ours
from tests.support.mlserver import COMMAND, ENVIRONMENT, WHY_NOT, logits_of, mlserver
from tests.support.stack import eventually

pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason=WHY_NOT)

# Kinds of parameter that it has no need of.
LATER = {"double_param", "uint64_param"}
TEXTS = ["hello there", "12345 678", "!!! ??? ...", "ä ö ü 中文", "", "a1!"] * 30


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def config_of(address, **model):
    signals = {
        "tone": {
            "output": "logits",
            "kind": "labels",
            "labels": ["calm", "dry", "loud"],
            "activation": "softmax",
        },
        "dry": {"output": "logits", "column": 1, "activation": "softmax"},
        "first": {"output": "first"},
        "meaning": {"output": "vector", "kind": "embedding"},
    }
    remote = {"address": [f"grpc://{address}"], "input": "content", "signals": signals, **model}
    return InferenceConfig.model_validate({"remote": {"tone": remote}})


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def by(s=20.0):
    return time.monotonic() + s


async def test_signals_of_another_servers_model_are_what_its_outputs_say(tmp_path):
    port, *free = free_ports(3)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(mlserver(tmp_path, port, free))
        source = foreign_source(config_of(address), "tone")
        stack.push_async_callback(source.close)
        await source.start()
        assert source.up == {f"grpc://{address}": True}
        heads = ["tone", "dry", "first"]
        readings = await asyncio.gather(*(source.read(text, heads, by()) for text in TEXTS))
        for text, reading in zip(TEXTS, readings, strict=True):
            expected = softmax(logits_of(text))
            assert reading.labels["tone"] == pytest.approx(expected, abs=1e-5), text
            assert reading.scores["dry"] == pytest.approx(expected[1], abs=1e-5), text
            assert 0 < reading.scores["first"] < 1
        vector = (await source.read("abc 123", ["meaning"], by())).embedding
        assert vector @ vector == pytest.approx(1, abs=1e-5)

        # A text that it fails at is no fault of the others in its call, nor of the server.
        texts = ["good", "poison", "fine"]
        reads = await asyncio.gather(
            *(source.read(text, ["tone"], by()) for text in texts), return_exceptions=True
        )
        assert [getattr(one, "code", "") for one in reads] == ["", "model_failed", ""]
        assert "poison" not in str(reads[1])
        assert source.up == {f"grpc://{address}": True}


@pytest.mark.parametrize(
    "model",
    [{"model": "tones"}, {"version": "v4"}, {"input": "content", "model": "other"}],
)
async def test_a_model_that_it_does_not_have_is_no_node(tmp_path, model):
    port, *free = free_ports(3)
    async with mlserver(tmp_path, port, free) as address:
        source = foreign_source(config_of(address, **model), "tone")
        await source.start()
        try:
            assert source.up == {f"grpc://{address}": False}
            with pytest.raises(InferenceError) as caught:
                await source.read("abc", ["tone"], by())
            assert caught.value.code == "unavailable"
        finally:
            await source.close()


async def test_it_is_lost_and_found_like_any_node(tmp_path):
    port, *free = free_ports(3)
    source = foreign_source(config_of(f"127.0.0.1:{port}"), "tone")
    await source.start()
    try:
        for _ in range(2):
            async with mlserver(tmp_path, port, free):
                await eventually(lambda: is_up(source), within_s=20)
                await source.read("abc", ["tone"], by())
            await eventually(lambda: is_down(source), within_s=20)
    finally:
        await source.close()


def test_every_field_is_the_one_that_it_knows():
    (found,) = ENVIRONMENT.glob("lib/python*/site-packages/mlserver/grpc/dataplane_pb2.py")
    calls = (
        node
        for node in ast.walk(ast.parse(found.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile"
    )
    document = ast.literal_eval(next(calls).args[0])
    known = fields_of(descriptor_pb2.FileDescriptorProto.FromString(document).message_type)
    mine = {key: value for key, value in ours().items() if key[1] not in LATER}
    assert mine == {key: known.get(key) for key in mine}


async def is_up(source):
    return all(source.up.values())


async def is_down(source):
    return not any(source.up.values())
