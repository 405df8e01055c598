from __future__ import annotations

import socket

import pytest

from tests.support.blocking import never_blocks

__all__ = ["never_blocks"]


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
