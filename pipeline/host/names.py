"""Names that the host and Envoy's configuration must agree on."""

from __future__ import annotations

ROUTE_METADATA = "x-dragoman-route"
"""gRPC metadata: the route, or comma-separated candidates that only the model tells apart."""

DIGEST_METADATA = "x-dragoman-digest"
"""gRPC metadata: the digest of these routes, where Envoy's configuration follows the host's."""

LEVEL_METADATA = "x-dragoman-level"
"""gRPC metadata: `router` or `upstream`."""

ROUTE_HEADER = "x-dragoman-route"
"""Request header by which the host tells Envoy which candidate it chose."""

CONTROL_PREFIX = "x-dragoman-"
"""Request headers of this prefix are ours: what clients send under it is stripped."""

METADATA_NAMESPACE = "dragoman"
"""Dynamic metadata namespace of the host's answers, and endpoint metadata naming the backend."""

BACKEND_KEY = "backend"
"""The one key of an endpoint's metadata."""

ORIGIN_PATH_KEY = "path"
"""Dynamic metadata key: `:path` as the router level let it go on, in Latin-1."""

ORIGIN_ENCODING_KEY = "content_encoding"
"""Dynamic metadata key: its body's `content-encoding`, in Latin-1; empty for a plain one."""

ORIGIN_LENGTH_KEY = "content_length"
"""Dynamic metadata key: its `content-length`, empty where it states none."""

ORIGIN_API_KEY = "api_headers"
"""Dynamic metadata key: its headers of the client's API, as JSON; empty where it has none."""

KEYED_KEY = "keyed"
"""Dynamic metadata key: an attempt before this one left its backend's credential in the headers."""

DROPPED_KEY = "dropped"
"""Dynamic metadata key: fields of the call that the last attempt's provider could not carry."""

ROUTE_ATTRIBUTE = "xds.route_name"
"""Attribute: the name of Envoy's route, for an Envoy that somebody else configured."""

HOST_METADATA = "xds.upstream_host_metadata"
"""Attribute of an attempt: the metadata of the endpoint that Envoy picked, as protobuf text."""

DETAILS_ATTRIBUTE = "response.code_details"
"""Attribute of a response: `VIA_UPSTREAM` where a backend gave it."""

VIA_UPSTREAM = "via_upstream"


def metadata_attribute(key: str) -> str:
    """Return the attribute in which Envoy sends one of our keys of dynamic metadata."""
    return f"metadata.filter_metadata['{METADATA_NAMESPACE}']['{key}']"


DETAILS_PREFIX = "dragoman."
"""What Envoy's `response.code_details` begin with for an answer of the host's."""

# Dynamic metadata key to the response header that Envoy makes of it.
REPORT_HEADERS = {
    "plugins": "x-dragoman-plugins",
    "overhead_ms": "x-dragoman-overhead-ms",
    "server_timing": "server-timing",
    DROPPED_KEY: "x-dragoman-dropped",
}
