"""An ext_proc server that is not ours: it does what a test says, rightly or wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.service import SERVICE

Process = Callable[[AsyncIterator[pb.ProcessingRequest], grpc.aio.ServicerContext], Awaitable[None]]


@asynccontextmanager
async def foreign_processor(process: Process) -> AsyncIterator[int]:
    """Serve a handler of ext_proc streams; gives the port."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 * 2**20)])
    method = grpc.stream_stream_rpc_method_handler(
        process,
        request_deserializer=pb.ProcessingRequest.FromString,
        response_serializer=pb.ProcessingResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Process": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def going_on(request: pb.ProcessingRequest) -> pb.ProcessingResponse:
    """Return the answer of a message's own kind that changes nothing."""
    kind = request.WhichOneof("request")
    answer = pb.ProcessingResponse()
    getattr(answer, kind).SetInParent()
    if kind.endswith(("headers", "body")):
        getattr(answer, kind).response.SetInParent()
    return answer


def header_of(request: pb.ProcessingRequest, name: str) -> str:
    """Return a header of the request that a first message carries."""
    pairs = request.request_headers.headers.headers
    return next((h.raw_value.decode() for h in pairs if h.key == name), "")


def set_header(mutation: pb.HeaderMutation, name: str, value: bytes) -> None:
    """Add a header to a mutation; another of its name is replaced."""
    header = pb.HeaderValue(key=name, raw_value=value)
    mutation.set_headers.add(
        header=header, append_action=pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )


def cluster_at(name: str, port: int) -> dict[str, object]:
    """Return a cluster of Envoy's that leads to such a server."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
