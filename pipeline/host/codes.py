"""The stable error codes that Dragoman itself answers with; a plugin's refusals have their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """What an error code stands for.

    Args:
        status: the HTTP status that comes with it.
        meaning: what happened, and what to do about it.
    """

    status: int
    meaning: str


CODES: Mapping[str, Code] = {
    # --- the client's request
    "empty_body": Code(400, "The request has no body, and its path takes LLM calls."),
    "invalid_json": Code(400, "The body is not JSON, or not a JSON object."),
    "invalid_utf8": Code(400, "The body is not UTF-8."),
    "duplicate_key": Code(400, "A JSON object in the body has the same key twice."),
    "too_deep": Code(400, "The body's JSON is nested too deeply."),
    "missing_field": Code(400, "A field that the API requires is missing; `param` names it."),
    "invalid_type": Code(400, "A field has the wrong JSON type; `param` names it."),
    "invalid_value": Code(400, "A field has a value that the API does not know; `param` names it."),
    "invalid_encoding": Code(400, "The body is not encoded as its `content-encoding` says."),
    "unsupported_encoding": Code(
        415,
        "The body's `content-encoding` is none of gzip, deflate and, "
        "with `dragoman[encodings]`, br and zstd.",
    ),
    "body_too_large": Code(413, "The body is larger than `limits.request_body`."),
    "route_not_found": Code(404, "No route of the config matches the request."),
    "not_an_llm_call": Code(
        404, "The request is no LLM call, and its route refuses others (`other: refuse`)."
    ),
    "model_not_found": Code(404, "The config names no such model (`GET /v1/models/{id}`)."),
    "patch_failed": Code(400, "The backend's `patch` cannot be applied to this call."),
    "unsupported_by_backend": Code(
        400, "The backend's provider cannot serve such a call at all; `param` names the field."
    ),
    "lossy_translation": Code(
        400, "The backend is `strict`, and its provider cannot carry the fields that are named."
    ),
    # --- the provider's answer
    "credential_unavailable": Code(
        503, "The backend's source of credentials has none now; the message says why."
    ),
    "credential_timeout": Code(503, "The backend's credential did not come in time."),
    "provider_error": Code(
        503, "A provider's own code failed; 502 where it was over the answer. The log has where."
    ),
    "unreadable_answer": Code(
        502, "The answer cannot be decoded, or is none of its API and must be read."
    ),
    "bad_upstream_answer": Code(502, "What the provider sent is no answer of its API."),
    "upstream_stream_cut": Code(502, "The provider's stream ended before its answer did."),
    "upstream_error": Code(502, "The provider failed and gave no code of its own."),
    "answer_too_large": Code(502, "The answer is larger than `limits.response_body`."),
    "event_too_large": Code(502, "An event of the stream is larger than `limits.event`."),
    "trailers_unsupported": Code(
        502, "An answer with trailers came in a body mode that cannot hold it: change Envoy's."
    ),
    # --- plugins that fail closed
    "plugin_timeout": Code(503, "A plugin that must decide took longer than its `timeout`."),
    "plugin_error": Code(503, "A plugin that must decide raised an error."),
    "plugin_nonsense": Code(503, "A plugin that must decide returned what is no decision."),
    # --- Dragoman and Envoy
    "overloaded": Code(
        503,
        "The process has as many exchanges (`limits.exchanges`) or holds as many bytes "
        "(`limits.process_bytes`) as it may; `retry-after` says when to try again.",
    ),
    "no_backend": Code(404, "The route has no backend, and no plugin answered."),
    "upstream_timeout": Code(504, "No backend answered within the route's `timeout`."),
    "upstream_unavailable": Code(503, "No backend could be reached, or the host is gone."),
    "bad_request": Code(400, "Envoy could not read the request: it is not valid HTTP."),
    "upgrade_required": Code(426, "The client speaks HTTP/1.0; the gateway HTTP/1.1 and later."),
    "headers_too_large": Code(431, "The request's headers are larger than Envoy takes."),
    "gateway_error": Code(500, "Envoy could not serve the request; its log says why."),
    "unknown_backend": Code(
        503, "The host that Envoy chose for an attempt names no backend of the route."
    ),
    "protocol_violation": Code(500, "Envoy sent messages in an order that ext_proc forbids."),
}
