"""`grpc.health.v1` of a process: as a whole, and for each plugin by its instance's name."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.host.compile import compile_config
from pipeline.server.process import HostProcess
from tests.support.chain import document_with, plugin

STATUS = health_pb2.HealthCheckResponse
NAMES = ["", "plugin.guard", "plugin.cache"]


async def test_each_plugin_is_healthy_by_its_name_until_the_process_drains(tmp_path):
    document = document_with(guard=plugin(), cache=plugin())
    document["server"] = {
        "address": f"unix:{tmp_path}/host.sock",
        "admin": "127.0.0.1:0",
        "drain": "100ms",
    }
    source = Source("d.yaml", document)
    process = HostProcess(compile_config(check_config(source), source))
    await process.start()
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(name):
            request = health_pb2.HealthCheckRequest(service=name)
            return (await stub.Check(request, timeout=5)).status

        assert [await status(name) for name in NAMES] == [STATUS.SERVING] * 3
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await status("plugin.other")
        stopping = asyncio.create_task(process.stop(unhealthy_s=0.5))
        await asyncio.sleep(0.02)
        assert [await status(name) for name in NAMES] == [STATUS.NOT_SERVING] * 3
        await stopping
