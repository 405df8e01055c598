"""The floor: a bare grpc.aio server that answers the same messages and decides nothing.

Run as a process of its own, `python -m bench.floor SOCKET [BUSY_US]`; it prints a line when ready.
What it does is the least that any Python ext_proc server must: read each message, parse a JSON
request body, write it back, answer.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import grpc
import grpc.aio
import orjson
import uvloop

from pipeline.wire import ext_proc_pb2 as wire

_MAX_MESSAGE_BYTES = 64 * 2**20
Stream = grpc.aio.ServicerContext[wire.ProcessingRequest, wire.ProcessingResponse]


def answer(message: wire.ProcessingRequest) -> wire.ProcessingResponse:
    """Return the answer of the message's own kind that changes nothing."""
    match message.WhichOneof("request"):
        case "request_headers":
            return wire.ProcessingResponse(request_headers=wire.HeadersResponse())
        case "request_body":
            return wire.ProcessingResponse(request_body=_rewritten(message.request_body.body))
        case "response_headers":
            return wire.ProcessingResponse(response_headers=wire.HeadersResponse())
        case "response_body":
            return wire.ProcessingResponse(response_body=wire.BodyResponse())
        case other:
            raise ValueError(f"the load makes no {other}")


def _rewritten(body: bytes) -> wire.BodyResponse:
    written = orjson.dumps(orjson.loads(body))
    length = wire.HeaderValueOption(
        header=wire.HeaderValue(key="content-length", raw_value=b"%d" % len(written)),
        append_action=wire.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    return wire.BodyResponse(
        response=wire.CommonResponse(
            header_mutation=wire.HeaderMutation(set_headers=[length]),
            body_mutation=wire.BodyMutation(body=written),
        )
    )


async def serve(socket: str, busy_us: float) -> None:
    """Serve on a Unix socket until ended.

    Args:
        socket: its path.
        busy_us: what to spin before each answer: what any work at all costs a Python server.
    """

    async def process(_: Any, context: Stream) -> None:
        # Reading and writing is a little cheaper than yielding.
        while isinstance(message := await context.read(), wire.ProcessingRequest):
            made = answer(message)
            until_s = time.thread_time() + busy_us / 1e6
            while busy_us and time.thread_time() < until_s:
                pass
            await context.write(made)

    # gRPC's own limit is 4 MiB.
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)])
    method = grpc.stream_stream_rpc_method_handler(
        process,
        request_deserializer=wire.ProcessingRequest.FromString,
        response_serializer=wire.ProcessingResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler(
        "envoy.service.ext_proc.v3.ExternalProcessor", {"Process": method}
    )
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
