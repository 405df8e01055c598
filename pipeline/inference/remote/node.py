"""One node: its channel, what it serves, and whether it is to be asked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc

from pipeline.config.tls import BackendTlsConfig
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.breaker import Breaker
from pipeline.inference.remote.credentials import read_credentials
from pipeline.inference.remote.faults import LOST, UNFIT, Meaning, NodeFault, fault_of
from pipeline.inference.remote.metadata import BadMetadata, Described, read_metadata
from pipeline.inference.remote.model import RemoteModel
from pipeline.inference.remote.traffic import Traffic

SERVICE = "inference.GRPCInferenceService"
MAX_REPLY_BYTES = 16 * 2**20

_PROBE_S = 2.0
# A node that did not answer within less is not to blame.
_PATIENCE_S = 0.05
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    # We try again ourselves, and elsewhere.
    ("grpc.enable_retries", 0),
    # A new channel is a new connection: the old one may be a black hole.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A name may stand for several machines.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
)
_LOGGER = logging.getLogger(__name__)


class Node:
    """An address of a model.

    `calls` is for whoever makes them: how many are under way.

    Args:
        address: `grpc://host:port`, `grpcs://host:port` or `unix:/path`.
        model: what is asked of it.
        tls: for `grpcs://`.
        breaker: judges it.
        admit: says whether a model is the right one, given what the node tells of it.
        changed: called when it becomes usable, or ceases to be.
    """

    def __init__(
        self,
        address: str,
        model: RemoteModel,
        tls: BackendTlsConfig | None,
        breaker: Breaker,
        admit: Callable[[Described], bool],
        changed: Callable[[], None],
    ) -> None:
        self.address = address
        path = address.removeprefix("unix:")
        is_unix = path != address
        self._target = f"unix:{Path(path).absolute()}" if is_unix else address.partition("://")[2]
        self._is_secure = address.startswith("grpcs://")
        self.calls = 0
        self.is_known = False
        self.text_shape: tuple[int, ...] = ()
        self._traffic = Traffic()
        self._model = model
        self._tls = tls
        self._breaker = breaker
        self._admit = admit
        self._changed = changed
        self._channel: grpc.aio.Channel | None = None
        self._infer: Any = None
        self._in_flight: set[grpc.aio.Call] = set()
        self._opened = asyncio.Event()
        self._complaint = ""

    @property
    def is_up(self) -> bool:
        """Whether it is to be asked; `is_known` says whether that has been found out yet."""
        return self._breaker.state == "closed"

    @property
    def traffic(self) -> Traffic:
        """What became of its calls, and its breaker's state now."""
        self._traffic.state = self._breaker.state
        return self._traffic

    async def keep(self) -> None:
        """Find out whether it serves the model, now and whenever it was lost; never returns."""
        while True:
            self._opened.clear()
            await asyncio.sleep(self._breaker.due_in_s)
            if self._breaker.probe():
                await self._probe()
            if self.is_up and self._channel is not None:
                watching = asyncio.create_task(self._watch(self._channel))
                try:
                    await self._opened.wait()
                finally:
                    watching.cancel()
                # Calls that wait for nothing can be tried elsewhere now.
                await self.close()

    async def infer(self, request: pb.ModelInferRequest, timeout_s: float) -> pb.ModelInferResponse:
        """Make one call.

        Raises:
            NodeFault: it failed; the breaker has heard of it.
        """
        if self._infer is None:
            raise NodeFault("closed", LOST)
        began_s = time.monotonic()
        status = "CANCELLED"
        call = self._infer(request, timeout=timeout_s)
        self._in_flight.add(call)
        try:
            response: pb.ModelInferResponse = await call
            status = "OK"
        except grpc.aio.AioRpcError as error:
            status = error.code().name
            fault = fault_of(error, is_patient=timeout_s >= _PATIENCE_S)
            self.judge(fault.meaning, str(fault))
            raise fault from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise NodeFault("closed", LOST) from None
        finally:
            self._in_flight.discard(call)
            self._traffic.ended(status, time.monotonic() - began_s)
        return response

    def judge(self, meaning: Meaning, reason: str) -> None:
        """Let the breaker hear of a call that failed."""
        was_up = self.is_up
        if meaning.verdict == "failure":
            self._breaker.failed()
        elif meaning.verdict == "unfit":
            self._breaker.trip()
        if was_up and not self.is_up:
            self._lost(reason)

    def complain(self, problem: str) -> None:
        """Log what is wrong with its replies, once as long as it is the same."""
        if problem != self._complaint:
            self._complaint = problem
            _LOGGER.warning("inference node %s: %s", self.address, problem)

    async def close(self) -> None:
        """Cancel what is in flight, and close the connection."""
        channel, self._channel, self._infer = self._channel, None, None
        for call in list(self._in_flight):
            call.cancel()
        if channel is not None:
            await channel.close()

    async def _probe(self) -> None:
        await self.close()
        problem = ""
        try:
            async with asyncio.timeout(_PROBE_S):
                self._channel = await self._connect()
                await self._ask(self._channel)
                self._infer = _method(self._channel, "ModelInfer", pb.ModelInferResponse)
        except TimeoutError:
            problem = "no answer"
        except grpc.aio.AioRpcError as error:
            problem = f"{error.code().name}: {error.details()}"
        except (BadMetadata, NodeFault) as error:
            problem = str(error)
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}"
        was_known, self.is_known = self.is_known, True
        self._breaker.probed(answers=not problem)
        if not problem:
            _LOGGER.warning("inference node %s serves %s", self.address, self._model.name)
            self._changed()
        elif not was_known:
            self._lost(problem)

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Leave the node when its connection is lost for good, whether anybody calls or not.

        No call gets through then before gRPC has waited and tried again: we are quicker.
        """
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
        self.judge(UNFIT, "the connection is lost")

    async def _ask(self, channel: grpc.aio.Channel) -> None:
        model = self._model
        # Of ours, whichever version it has: it is told below, and refused by name.
        ready: pb.ModelReadyResponse = await _method(channel, "ModelReady", pb.ModelReadyResponse)(
            pb.ModelReadyRequest(name=model.name, version=model.version)
        )
        if not ready.ready:
            raise NodeFault("it is not ready", UNFIT)
        metadata = pb.ModelMetadataResponse()
        try:
            metadata = await _method(channel, "ModelMetadata", pb.ModelMetadataResponse)(
                pb.ModelMetadataRequest(name=model.name, version=model.version)
            )
        except grpc.aio.AioRpcError:
            # Other servers may go without.
            if model.outputs is None:
                raise
        if model.outputs is None and not self._admit(read_metadata(metadata)):
            raise NodeFault("it has another model, or another version of it", UNFIT)
        self.text_shape = next(
            (tuple(one.shape) for one in metadata.inputs if one.name == model.input), ()
        )

    async def _connect(self) -> grpc.aio.Channel:
        if not self._is_secure:
            return grpc.aio.insecure_channel(self._target, _OPTIONS)
        credentials = await asyncio.to_thread(read_credentials, self._tls)
        name = self._tls.sni if self._tls is not None else None
        names = (("grpc.ssl_target_name_override", name),) if name is not None else ()
        return grpc.aio.secure_channel(self._target, credentials, (*_OPTIONS, *names))

    def _lost(self, reason: str) -> None:
        _LOGGER.warning("inference node %s is not used: %s", self.address, reason)
        self._opened.set()
        self._changed()


def _method(channel: grpc.aio.Channel, name: str, reply: type[Any]) -> Any:
    return channel.unary_unary(
        f"/{SERVICE}/{name}",
        request_serializer=cast("Any", lambda message: message.SerializeToString()),
        response_deserializer=reply.FromString,
    )
