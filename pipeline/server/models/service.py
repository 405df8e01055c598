"""The Open Inference Protocol v2 over engines: each engine is a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import grpc

from pipeline import __version__
from pipeline.inference.contract import InferenceError
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.client import MAX_TEXT_BYTES
from pipeline.inference.remote.faults import CODE_METADATA
from pipeline.inference.remote.metadata import Described, write_metadata
from pipeline.inference.remote.node import SERVICE
from pipeline.inference.remote.serving import BadRequest, read_request, write_reply
from pipeline.server.models.reading import Readable, Texts

MAX_MESSAGE_BYTES = MAX_TEXT_BYTES + 2**20
MAX_TEXTS = 1024
"""In one request."""

_STATUS = {
    "queue_full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "model_failed": grpc.StatusCode.INTERNAL,
    "text_too_large": grpc.StatusCode.OUT_OF_RANGE,
}
_LOGGER = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]
Method = Callable[[Any, Context], Awaitable[Any]]


class Meter(Protocol):
    """Counts calls."""

    def called(self, model: str, status: str, texts: int, duration_s: float) -> None:
        """See a `ModelInfer` end; without a model where there is none of the name asked for."""

    def held(self, texts: int) -> None:
        """See how many texts are being read now."""


class Refused(Exception):
    """Raised to end a call with a status; the message has nothing of a text."""

    def __init__(self, status: grpc.StatusCode, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class InferenceService:
    """Serves the protocol.

    `is_warm` says whether there are models to ask, `is_ready` whether callers should.

    Args:
        engines: by the model's name.
        meter: counts.
        most_texts: being read at once.
        timeout_s: of a call that has none of its own.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engines: Mapping[str, Readable],
        meter: Meter,
        *,
        most_texts: int,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_warm = False
        self.is_ready = False
        self._engines = engines
        self._meter = meter
        self._timeout_s = timeout_s
        self._clock = clock
        self._texts = Texts(most_texts, meter.held)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server is given."""
        methods: Mapping[str, tuple[Method, type[Any]]] = {
            "ServerLive": (self._server_live, pb.ServerLiveRequest),
            "ServerReady": (self._server_ready, pb.ServerReadyRequest),
            "ServerMetadata": (self._server_metadata, pb.ServerMetadataRequest),
            "ModelReady": (self._model_ready, pb.ModelReadyRequest),
            "ModelMetadata": (self._model_metadata, pb.ModelMetadataRequest),
            "ModelInfer": (self._model_infer, pb.ModelInferRequest),
        }
        served = {name: _handler(*method) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(SERVICE, served)

    async def _server_live(self, _: object, __: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _: object, __: Context) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self.is_ready)

    async def _server_metadata(self, _: object, __: Context) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="dragoman", version=__version__)

    async def _model_ready(
        self, request: pb.ModelReadyRequest, _: Context
    ) -> pb.ModelReadyResponse:
        if self.is_warm:
            self._engine(request.name, request.version)
        return pb.ModelReadyResponse(ready=self.is_ready)

    async def _model_metadata(
        self, request: pb.ModelMetadataRequest, _: Context
    ) -> pb.ModelMetadataResponse:
        source = self._engine(request.name, request.version).source
        return write_metadata(request.name, Described(source.identity, source.heads))

    async def _model_infer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelInferResponse:
        began_s = self._clock()
        status, asked = "CANCELLED", None
        try:
            engine = self._engine(request.model_name, request.model_version)
            heads = engine.source.heads
            asked = read_request(request, heads, MAX_TEXTS)
            left_s = context.time_remaining()
            deadline_s = began_s + (self._timeout_s if left_s is None else left_s)
            readings = await self._texts.read(engine, asked, deadline_s)
            response = pb.ModelInferResponse(
                model_name=request.model_name,
                model_version=engine.source.identity,
                id=request.id,
            )
            write_reply(response, asked, heads, readings)
            status = "OK"
        except Refused as refused:
            status = refused.status.name
            raise
        except BadRequest as error:
            status = grpc.StatusCode.INVALID_ARGUMENT.name
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        except InferenceError as error:
            status = _STATUS[error.code].name
            # To a client that takes no codes it may be so of one text of several.
            code = error.code if asked is not None and asked.takes_codes else ""
            raise Refused(_STATUS[error.code], str(error), code) from None
        except Exception:
            status = grpc.StatusCode.INTERNAL.name
            raise
        finally:
            model = request.model_name if request.model_name in self._engines else ""
            texts = len(asked.texts) if asked is not None else 0
            self._meter.called(model, status, texts, self._clock() - began_s)
        return response

    def _engine(self, name: str, version: str) -> Readable:
        """Return the engine of a model.

        Raises:
            Refused: there is none, or none yet.
        """
        if not self.is_warm:
            raise Refused(grpc.StatusCode.UNAVAILABLE, "the models are not ready")
        engine = self._engines.get(name)
        if engine is None:
            known = ", ".join(self._engines)
            raise Refused(grpc.StatusCode.NOT_FOUND, f"there is no such model; there are: {known}")
        if version and version != engine.source.identity:
            raise Refused(
                grpc.StatusCode.NOT_FOUND, f"the model's version is {engine.source.identity}"
            )
        return engine


def _handler(method: Method, request: type[Any]) -> grpc.RpcMethodHandler[Any, Any]:
    async def answer(message: Any, context: Context) -> Any:
        try:
            return await method(message, context)
        except Refused as refused:
            code = ((CODE_METADATA, refused.code),) if refused.code else ()
            await context.abort(refused.status, str(refused), code)
        except Exception:
            # gRPC would put the exception's text into the status.
            _LOGGER.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed")

    return grpc.unary_unary_rpc_method_handler(
        cast("Any", answer),
        request_deserializer=request.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )
