"""No code of the host may block the event loop: `blockbuster` makes an error of any call that does.

A folder of tests has it for all of them with `from tests.support.blocking import never_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

# Those whose calls between messages count; what a test's own plugin does is found as well.
_OURS = ["pipeline"]
# Not the host's: what runs before it serves, beside it, or in its place. What they do for code of
# the host that runs on the loop is found all the same.
_BESIDE = [
    "pipeline.api.quantities",  # as the config that they are read of
    "pipeline.cli",  # commands, each with a loop of its own
    "pipeline.config",  # tests load configs on their loop, the host in a thread
    "pipeline.demo",
    "pipeline.doctor",
    "pipeline.envoy",  # writes Envoy's files before any exchange
    "pipeline.server.supervised",  # no exchange is served on the supervisor's loop
    "pipeline.server.supervisor",
    "pipeline.testing",
]
# Function of the standard library that blocks, file, functions of ours that may, and why.
_ALLOWED = [
    # Before the process serves: the socket's file, its mode, whether anybody answers there.
    ("os.stat", "server/grpc_server.py", {"start", "_fresh_socket"}),
    ("os.mkdir", "server/grpc_server.py", {"_fresh_socket"}),
    ("os.unlink", "server/grpc_server.py", {"_fresh_socket"}),
    # What `file:` names, for the hash of the config that the process begins with.
    ("io.BufferedReader.read", "server/process.py", {"__init__"}),
    # Certificates are read at a handshake, where gRPC waits for them in a thread of its own.
    ("io.BufferedReader.read", "server/tls.py", {"_read", "credentials"}),
]


@pytest.fixture(autouse=True)
def never_blocks() -> Iterator[BlockBuster]:
    """Let a test fail where code of the host blocks the loop."""
    with detecting() as detector:
        yield detector


@contextmanager
def detecting() -> Iterator[BlockBuster]:
    """Make an error of every call that blocks the loop, for the time of the block."""
    with blockbuster_ctx(_OURS, excluded_modules=_BESIDE) as detector:
        for name, file, functions in _ALLOWED:
            detector.functions[name].can_block_in(file, functions)
        # The host compiles in a thread, tests on their loop.
        for function in detector.functions.values():
            function.can_block_in("host/compile.py", {"compile_config"})
        yield detector
