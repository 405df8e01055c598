"""Rules about what is around the filter: the host, its cluster, buffers, flags, versions."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.doctor.attached import address_of
from pipeline.doctor.case import Case
from pipeline.doctor.dump import EnvoyRoute
from pipeline.doctor.finding import Finding
from pipeline.doctor.values import Object, number, part, parts, seconds, text
from pipeline.envoy.fingerprint import FINGERPRINT_KEY
from pipeline.host.names import METADATA_NAMESPACE

RUNTIME_FLAG = "envoy.reloadable_features.ext_proc_graceful_grpc_close"
OLDEST = (1, 36, 4)
NEWEST = (1, 40)
_ENVOYS_BUFFER = 2**20
_LONGEST_CHECK_S = 5.0
_HEALTH_CHECK = """\
health_checks:
- timeout: 1s
  interval: 0.5s
  no_traffic_interval: 0.5s
  unhealthy_threshold: 1
  healthy_threshold: 1
  grpc_health_check: {}
"""


def cluster_missing(case: Case) -> Iterator[Finding]:
    """Envoy has no cluster for the host."""
    if case.host is None:
        yield Finding(
            "cluster_missing",
            "error",
            f"Envoy has no cluster {case.cluster!r}: the filter has nobody to ask",
            f"cluster {case.cluster}",
            "add the cluster; `dragoman envoy --snippet` prints it",
        )


def host_unreachable(case: Case) -> Iterator[Finding]:
    """The host does not answer, or says that it does not serve."""
    for address, fault in case.faults.items():
        if fault:
            yield Finding(
                "host_unreachable",
                "error",
                f"{address} {fault}",
                f"cluster {case.cluster}",
                "start the host (`dragoman serve`) where Envoy looks for it, or correct the "
                "endpoint; a Unix socket must exist on Envoy's own machine, and Envoy's user must "
                "be in its group (mode 0660)",
                f"server: {{address: {_quoted(address)}}}\n",
            )


def host_unhealthy(case: Case) -> Iterator[Finding]:
    """Envoy itself holds an endpoint of the host for unhealthy."""
    for one in case.dump.statuses.get(case.cluster, []):
        health = part(one, "health_status")
        reasons = [key for key, value in health.items() if key.startswith("failed_") and value]
        eds = text(health, "eds_health_status")
        if reasons or eds in {"UNHEALTHY", "DRAINING", "TIMEOUT"}:
            yield Finding(
                "host_unhealthy",
                "error",
                f"Envoy sends nothing to {address_of(part(one, 'address'))}: "
                f"{', '.join(reasons) or eds}",
                f"cluster {case.cluster}",
                "look at /health/ready of the host: it may be starting, draining or gone",
            )


def health_check(case: Case) -> Iterator[Finding]:
    """Envoy does not notice when a host drains."""
    if case.host is None:
        return
    checks = parts(case.host, "health_checks")
    found = next((check for check in checks if "grpc_health_check" in check), None)
    if found is None:
        what = "the host's cluster has no gRPC health check"
    elif (pause_s := seconds(found, "no_traffic_interval")) is None or pause_s > _LONGEST_CHECK_S:
        given = f"is {pause_s:g} s" if pause_s is not None else "is not set, which means 60 s"
        what = f"no_traffic_interval of the host's health check {given}"
    elif (every_s := seconds(found, "interval") or 0.0) > _LONGEST_CHECK_S:
        what = f"the interval of the host's health check is {every_s:g} s"
    else:
        return
    yield Finding(
        "health_check",
        "warning",
        f"{what}: a host that restarts loses requests",
        f"cluster {case.cluster}",
        "ask grpc.health.v1 twice a second, with and without traffic",
        _HEALTH_CHECK,
    )


def runtime_flag(case: Case) -> Iterator[Finding]:
    """Envoy cancels streams instead of ending them."""
    if case.dump.runtime is None or case.dump.runtime.get(RUNTIME_FLAG) == "true":
        return
    yield Finding(
        "runtime_flag",
        "warning",
        f"{RUNTIME_FLAG} is not set: every request ends in a cancelled gRPC stream, each of which "
        "leaks memory in the host",
        "layered_runtime",
        "set the flag in a layer of Envoy's runtime",
        "layered_runtime:\n"
        "  layers:\n"
        "  - name: dragoman\n"
        f"    static_layer: {{{RUNTIME_FLAG}: true}}\n",
    )


def buffer_limit(case: Case) -> Iterator[Finding]:
    """Envoy buffers less than the host takes."""
    expected = case.expected
    request_bytes = expected.request_bytes if expected is not None else _ENVOYS_BUFFER + 1
    response_bytes = expected.response_bytes if expected is not None else _ENVOYS_BUFFER + 1
    seen: set[tuple[str, int, str]] = set()
    for ours, one in case.on_routes():
        if one.disabled or (expected is not None and one.plan is None):
            continue
        listener_bytes = ours.manager.buffer_bytes or _ENVOYS_BUFFER
        own = _request_limit(one.route) or listener_bytes
        for kind, given, wanted, status, where in (
            ("request", own, request_bytes, 413, one.where),
            ("response", listener_bytes, response_bytes, 500, ours.manager.where),
        ):
            if one.mode[f"{kind}_body_mode"] != "BUFFERED" or given >= wanted:
                continue
            if (where, given, kind) in seen:
                continue
            seen.add((where, given, kind))
            key = (
                "request_body_buffer_limit"
                if kind == "request"
                else "per_connection_buffer_limit_bytes"
            )
            limit = f", and limits.{kind}_body is {wanted}" if expected is not None else ""
            yield Finding(
                "buffer_limit",
                "warning",
                f"Envoy buffers {kind} bodies up to {given} bytes{limit}: larger ones are "
                f"answered with {status}",
                where,
                f"raise {key} of the {'route' if kind == 'request' else 'listener'}",
                f"{key}: {wanted}\n",
            )


def attempt_missing(case: Case) -> Iterator[Finding]:
    """Attempts at the backends of a route are not prepared."""
    prepared = {name for name, _ in case.attempts}
    for _, one in case.on_routes():
        if one.plan is None or not one.plan.attempts or one.route is None or one.disabled:
            continue
        cluster = text(part(one.route.config, "route"), "cluster")
        if cluster and cluster not in prepared:
            yield Finding(
                "attempt_missing",
                "error",
                f"the route {one.plan.route!r} has attempts of its own and its cluster "
                f"{cluster!r} no upstream-level filter: calls go out untranslated and, where it "
                "has several backends, with the client's credential, path and model",
                one.where,
                "copy the route's cluster from `dragoman envoy`, with its http_filters, "
                "priorities and endpoint metadata",
            )


def config_drift(case: Case) -> Iterator[Finding]:
    """Envoy runs what another config asked for."""
    if case.expected is None or case.host is None:
        return
    # The cluster of an Envoy that `run` started never changes; its route table says which config.
    stamped = [part(case.host, "metadata"), *(one.manager.metadata for one in case.attached)]
    found = next(filter(None, map(_fingerprint, stamped)), "")
    if found == case.expected.fingerprint:
        return
    where = f"cluster {case.cluster}, metadata"
    fix = "give Envoy the output of `dragoman envoy`, or of `dragoman envoy --snippet`, once more"
    yaml = (
        "metadata:\n"
        "  filter_metadata:\n"
        f"    {METADATA_NAMESPACE}: {{{FINGERPRINT_KEY}: {_quoted(case.expected.fingerprint)}}}\n"
    )
    if found:
        what = (
            f"Envoy's configuration was made from another config (fingerprint {found}, this file "
            f"has {case.expected.fingerprint}): modes, timeouts or routes may not fit"
        )
        yield Finding("config_drift", "warning", what, where, fix, yaml)
    else:
        what = "the cluster has no fingerprint of a config: whether it fits this one is unknown"
        yield Finding("config_drift", "info", what, where, fix, yaml)


def envoy_version(case: Case) -> Iterator[Finding]:
    """Envoy is older or newer than what is tested."""
    version = case.dump.version
    if version is None or (version >= OLDEST and version[:2] <= NEWEST):
        return
    words = ".".join(map(str, version))
    yield Finding(
        "envoy_version",
        "warning",
        f"Envoy is {words}; Dragoman is tested with {'.'.join(map(str, OLDEST))} to "
        f"{'.'.join(map(str, NEWEST))}",
        "Envoy",
        "use the latest patch of one of the last two minor versions within that range",
    )


def _request_limit(route: EnvoyRoute | None) -> int | None:
    config = route.config if route is not None else {}
    return number(config, "request_body_buffer_limit") or number(
        config, "per_request_buffer_limit_bytes"
    )


def _fingerprint(metadata: Object) -> str:
    return text(part(metadata, "filter_metadata", METADATA_NAMESPACE), FINGERPRINT_KEY)


def _quoted(word: str) -> str:
    return f'"{word}"'
