"""Between protobuf and the stream's own messages: the only place that builds either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from pipeline.api.headers import HeaderEdits
from pipeline.host.names import DETAILS_PREFIX, METADATA_NAMESPACE
from pipeline.host.verdicts import Finish
from pipeline.stream.messages import (
    Body,
    BodyReply,
    ChunkReply,
    Headers,
    HeadersReply,
    ImmediateReply,
    Message,
    Mode,
    Reply,
    Trailers,
    TrailersReply,
)
from pipeline.wire import ext_proc_pb2 as pb

FILTER_NAMESPACE = "envoy.filters.http.ext_proc"
"""Under this key Envoy sends a filter's attributes, whatever the filter's own name is."""

_MODES = {
    Mode.NONE: pb.ProcessingMode.NONE,
    Mode.STREAMED: pb.ProcessingMode.STREAMED,
    Mode.BUFFERED: pb.ProcessingMode.BUFFERED,
    Mode.BUFFERED_PARTIAL: pb.ProcessingMode.BUFFERED_PARTIAL,
    Mode.FULL_DUPLEX_STREAMED: pb.ProcessingMode.FULL_DUPLEX_STREAMED,
}
_BY_VALUE = {mode.value: mode for mode in Mode}
_OVERWRITE = pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def read_message(request: pb.ProcessingRequest) -> Message | None:
    """Return the message that a request carries; None for one that this version does not know."""
    kind = request.WhichOneof("request")
    match kind:
        case "request_headers":
            return _headers("request", request.request_headers)
        case "request_body":
            body = request.request_body
            return Body("request", body.body, body.end_of_stream)
        case "response_headers":
            return _headers("response", request.response_headers)
        case "response_body":
            body = request.response_body
            return Body("response", body.body, body.end_of_stream)
        case "request_trailers":
            return Trailers("request")
        case "response_trailers":
            return Trailers("response")
        case _:
            return None


def read_modes(request: pb.ProcessingRequest) -> tuple[Mode, Mode]:
    """Return the configured body modes of request and response; the first message has them."""
    config = request.protocol_config
    return _mode(config.request_body_mode), _mode(config.response_body_mode)


def read_attributes(request: pb.ProcessingRequest) -> dict[str, str]:
    """Return the attributes that are strings."""
    if FILTER_NAMESPACE not in request.attributes:
        return {}
    fields = request.attributes[FILTER_NAMESPACE].fields
    return {name: value.string_value for name, value in fields.items() if value.string_value}


def write_reply(reply: Reply) -> pb.ProcessingResponse:
    """Return the response that carries a reply."""
    response = pb.ProcessingResponse()
    match reply:
        case HeadersReply():
            _write_headers(response, reply)
        case BodyReply():
            _write_body(response, reply)
        case ChunkReply(side=side, data=data, ends=ends):
            answer = response.request_body if side == "request" else response.response_body
            chunk = answer.response.body_mutation.streamed_response
            chunk.body = data
            chunk.end_of_stream = ends
        case TrailersReply(side=side):
            trailers = (
                response.request_trailers if side == "request" else response.response_trailers
            )
            trailers.SetInParent()
        case ImmediateReply(finish=finish):
            _write_immediate(response, finish)
        case _:
            assert_never(reply)
    return response


def write_patience(seconds: float) -> pb.ProcessingResponse:
    """Return what asks Envoy to wait for the next answer for so long from now on."""
    response = pb.ProcessingResponse()
    response.override_message_timeout.FromMilliseconds(round(seconds * 1000))
    return response


def _headers(side: str, message: pb.HttpHeaders) -> Headers:
    # Every Envoy that we support fills `raw_value`.
    pairs = tuple([(h.key, h.raw_value) for h in message.headers.headers])
    return Headers("request" if side == "request" else "response", pairs, message.end_of_stream)


def _mode(value: int) -> Mode:
    # GRPC and whatever comes later: no body that this version can read.
    return _BY_VALUE.get(value, Mode.NONE)


def _write_headers(response: pb.ProcessingResponse, reply: HeadersReply) -> None:
    is_request = reply.side == "request"
    answer = response.request_headers if is_request else response.response_headers
    common = answer.response
    common.SetInParent()
    if reply.edits:
        _write_edits(common.header_mutation, reply.edits)
    if reply.clear_route:
        common.clear_route_cache = True
    if reply.override is not None:
        # Body modes have no DEFAULT: one that is left out would become NONE.
        request_mode, response_mode = reply.override
        response.mode_override.request_body_mode = _MODES[request_mode]
        response.mode_override.response_body_mode = _MODES[response_mode]
        if reply.hides_answer:
            response.mode_override.response_header_mode = pb.ProcessingMode.SKIP
            response.mode_override.response_trailer_mode = pb.ProcessingMode.SKIP
    if reply.body is not None:
        # Also where nothing follows the headers: the one way to give such a response a body.
        common.status = pb.CommonResponse.CONTINUE_AND_REPLACE
        common.body_mutation.body = reply.body
    if reply.report is not None:
        _write_report(response, reply.report)


def _write_body(response: pb.ProcessingResponse, reply: BodyReply) -> None:
    answer = response.request_body if reply.side == "request" else response.response_body
    common = answer.response
    common.SetInParent()
    if reply.data is not None:
        if reply.data:
            common.body_mutation.body = reply.data
        else:
            common.body_mutation.clear_body = True
        if reply.states_length:
            _set(common.header_mutation, "content-length", b"%d" % len(reply.data))
    if reply.edits:
        _write_edits(common.header_mutation, reply.edits)
    if reply.clear_route:
        common.clear_route_cache = True
    if reply.report is not None:
        _write_report(response, reply.report)


def _write_immediate(response: pb.ProcessingResponse, finish: Finish) -> None:
    immediate = response.immediate_response
    immediate.status.code = finish.status
    immediate.body = finish.body
    immediate.details = DETAILS_PREFIX + finish.code
    _write_edits(immediate.headers, HeaderEdits(set=finish.headers))


def _write_edits(mutation: pb.HeaderMutation, edits: HeaderEdits) -> None:
    for name, value in edits.set.items():
        _set(mutation, name, value.encode("utf-8", "surrogateescape"))
    if edits.remove:
        mutation.remove_headers.extend(sorted(edits.remove))


def _set(mutation: pb.HeaderMutation, name: str, value: bytes) -> None:
    # Never `value` of the message: Envoy would take it and send an empty header.
    header = pb.HeaderValue(key=name, raw_value=value)
    mutation.set_headers.add(header=header, append_action=_OVERWRITE)


def _write_report(response: pb.ProcessingResponse, report: Mapping[str, str]) -> None:
    fields = response.dynamic_metadata.fields[METADATA_NAMESPACE].struct_value.fields
    for key, value in report.items():
        fields[key].string_value = value
