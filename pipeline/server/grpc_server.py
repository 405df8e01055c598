"""The gRPC servers: one that listens, and the one that Envoy talks to, with ext_proc."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pipeline.config.schema import Config
from pipeline.config.tls import ServerTlsConfig
from pipeline.server.tls import Certificates
from pipeline.wire.service import ExternalProcessor

# What a message holds beside a body of the largest size that Envoy buffers.
_MESSAGE_SLACK_BYTES = 1024 * 1024
_SOCKET_MODE = 0o660


class Listener:
    """Serves some methods and `grpc.health.v1` on one address.

    Args:
        handlers: of the methods.
        address: `unix:/path` or `host:port`; port 0 takes a free one.
        tls: if it is to be secured.
        max_message_bytes: that it takes.
    """

    def __init__(
        self,
        handlers: grpc.GenericRpcHandler,
        address: str,
        tls: ServerTlsConfig | None,
        max_message_bytes: int,
    ) -> None:
        self._address = address
        self._tls = tls
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # One port, one process: a few connections would not spread anyway.
                ("grpc.so_reuseport", 0),
            ]
        )
        self._server.add_generic_rpc_handlers((handlers,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self) -> str:
        """Listen and return the address, with the port that was given for port 0.

        Raises:
            OSError: the address is taken, or cannot be used.
            BadCertificate: the files of its certificate cannot be used.
        """
        credentials = Certificates(self._tls).credentials() if self._tls is not None else None
        path = self._address.removeprefix("unix:")
        is_unix = path != self._address
        address = f"unix:{_fresh_socket(Path(path))}" if is_unix else self._address
        try:
            if credentials is not None:
                port = self._server.add_secure_port(address, credentials)
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._address}") from error
        await self._server.start()
        if is_unix:
            os.chmod(path, _SOCKET_MODE)  # noqa: PTH101 - one system call, nothing to wait for
            return self._address
        return f"{address.rpartition(':')[0]}:{port}"

    async def set_health(self, name: str, *, serving: bool | None) -> None:
        """Tell health checks of one name whether it serves; None where there is no such name."""
        status = health_pb2.HealthCheckResponse
        told = {True: status.SERVING, False: status.NOT_SERVING, None: status.SERVICE_UNKNOWN}
        await self._health.set(name, told[serving])

    async def stop(self, grace_s: float) -> None:
        """Refuse new streams, give those in flight the grace, then cancel them."""
        await self._server.stop(grace_s)


class GrpcServer(Listener):
    """Serves ext_proc streams.

    Args:
        config: its `server.tls`, and the sizes that messages must fit.
        processor: serves the streams.
        address: where; the config's `server.address` if absent.
    """

    def __init__(
        self, config: Config, processor: ExternalProcessor, address: str | None = None
    ) -> None:
        super().__init__(
            processor.handlers(),
            address or config.server.address,
            config.server.tls,
            # gRPC's default of 4 MiB turns a larger body into a timeout for the client.
            max(config.envoy.body_limit, config.limits.request_body) + _MESSAGE_SLACK_BYTES,
        )
        self._names = {""}

    async def set_serving(self, *, serving: bool, plugins: Iterable[str] | None = None) -> None:
        """Tell health checks whether to send streams here.

        Args:
            serving: of the server as a whole, which Envoy asks about.
            plugins: instances that are `plugin.<name>` to those who look inside, from now on;
                as before if absent.
        """
        if plugins is not None:
            names = {"", *(f"plugin.{name}" for name in plugins)}
            for name in self._names - names:
                await self.set_health(name, serving=None)
            self._names = names
        for name in self._names:
            await self.set_health(name, serving=serving)


def _fresh_socket(path: Path) -> Path:
    absolute = path.absolute()
    absolute.parent.mkdir(parents=True, exist_ok=True)
    if absolute.is_socket():
        if _is_answered(absolute):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        # Of a process that was killed; gRPC itself would refuse the path.
        absolute.unlink()
    return absolute


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # its queue is full: somebody is there
            return True
        except OSError:
            return False
    return True
