from __future__ import annotations

import socket

import grpc
import pytest

from tests.support.blocking import never_blocks

__all__ = ["never_blocks"]

# With the last channel or server gRPC would end its thread, and wait for that, in whatever code
# the garbage collector finds it.
grpc.aio.init_grpc_aio()


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
