"""Rules about the filter: is it there, is it on, does it send and wait as the chain needs."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.doctor.attached import Attached, OnRoute, is_ext_proc, target
from pipeline.doctor.case import Case
from pipeline.doctor.dump import EnvoyRoute, Manager
from pipeline.doctor.finding import Finding
from pipeline.doctor.values import part, parts, seconds, text, texts, truth
from pipeline.host.names import METADATA_NAMESPACE
from pipeline.host.plan import RoutePlan

_ENVOYS_TIMEOUT_S = 0.2
_WHOLE = {"BUFFERED", "FULL_DUPLEX_STREAMED"}
_ANSWERS = {"BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"}


def filter_missing(case: Case) -> Iterator[Finding]:
    """No connection manager has our filter."""
    if case.attached:
        return
    others = {
        target(one) or "no cluster of Envoy's"
        for manager in case.dump.managers
        for one in manager.filters
        if is_ext_proc(one)
    }
    seen = f"ext_proc filters point at {', '.join(sorted(others))}" if others else "none is there"
    yield Finding(
        "filter_missing",
        "error",
        f"no ext_proc filter points at the cluster {case.cluster!r}: no plugin sees any call "
        f"({seen})",
        ", ".join(manager.where for manager in case.dump.managers) or "no listener",
        "put the filter before envoy.filters.http.router; `dragoman envoy --snippet` prints it "
        "whole. Where the host's cluster has another name, give it with --cluster",
        "http_filters:\n"
        "- name: dragoman\n"
        "  typed_config:\n"
        '    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3'
        ".ExternalProcessor\n"
        f"    grpc_service: {{envoy_grpc: {{cluster_name: {case.cluster}}}}}\n",
    )


def filter_disabled(case: Case) -> Iterator[Finding]:
    """Our filter is off on a route that should have it."""
    for ours, one in case.on_routes():
        # What is no route of the config need not pass the host.
        if not one.disabled or (one.plan is None and case.expected is not None):
            continue
        yield Finding(
            "filter_disabled",
            "error" if one.plan is not None else "info",
            "the filter is switched off here: calls pass without any plugin",
            one.where,
            "remove `disabled`, or where the filter is off by default add overrides that switch "
            "it on",
            "typed_per_filter_config:\n"
            f"  {ours.name}:\n"
            '    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3'
            ".ExtProcPerRoute\n"
            "    overrides: {}\n",
        )


def message_timeout(case: Case) -> Iterator[Finding]:
    """Envoy gives up before the chain has used its budget."""
    waits = [(ours.where, ours.config, _longest(ours)) for ours in case.attached]
    if case.expected is not None:
        budget_s = max((plan.budget_s for plan in case.expected.plans.values()), default=0.0)
        for name, one in case.attempts:
            where = f"filter {text(one, 'name')}, cluster {name}"
            plan = case.expected.plans.get(name.removeprefix("route_"))
            waits.append((where, part(one, "typed_config"), plan.budget_s if plan else budget_s))
    for where, config, needed_s in waits:
        given_s = seconds(config, "message_timeout")
        slack_s = case.expected.slack_s if case.expected is not None else 0.0
        wanted = f"{needed_s + slack_s:.3f}s" if needed_s is not None else "1s"
        if given_s is None:
            what = "message_timeout is not set: Envoy's 200 ms end an exchange with 504"
            is_short = needed_s is None or needed_s > _ENVOYS_TIMEOUT_S
        else:
            is_short = needed_s is not None and given_s < needed_s
            what = f"message_timeout is {given_s:g} s: Envoy ends an exchange with 504"
        if given_s is None or is_short:
            more = f", and the chain may take {needed_s:g} s" if needed_s is not None else ""
            yield Finding(
                "message_timeout",
                "error" if is_short and needed_s is not None else "warning",
                what + more,
                where,
                "set it to the longest budget of the routes' chains and a little more",
                f"message_timeout: {wanted}\n",
            )


def body_mode(case: Case) -> Iterator[Finding]:
    """Envoy does not send what a route's plugins need to see."""
    for _, one in case.on_routes():
        if one.plan is None or one.disabled or _is_for_upgrades(one.route):
            continue
        wrong = list(_wrong_modes(one.mode, one.plan))
        if wrong:
            yield Finding(
                "body_mode",
                "error",
                f"the route {one.plan.route!r} needs other parts than Envoy sends: "
                + "; ".join(f"{key} is {one.mode[key]}, {why}" for key, _, why in wrong),
                one.where,
                "set the processing mode that the route's plan needs, whole: what is left out of "
                "an override falls back to Envoy's default, not to the filter's",
                "processing_mode:\n" + "".join(f"  {k}: {v}\n" for k, v in _needed(one).items()),
            )


def fail_policy(case: Case) -> Iterator[Finding]:
    """Envoy lets calls through where a plugin must not be skipped."""
    fix = "set it to false, so that a call that the host cannot judge is refused with 503"
    for _, on in case.on_routes():
        if on.plan is not None and on.fails_open and not on.plan.fails_open:
            yield Finding(
                "fail_policy",
                "error",
                f"failure_mode_allow is true and the route {on.plan.route!r} must fail closed: "
                "without the host, calls pass unguarded or unsigned",
                on.where,
                fix,
                "overrides:\n  failure_mode_allow: false\n",
            )
    for name, one in case.attempts:
        if truth(one, "typed_config", "failure_mode_allow"):
            yield Finding(
                "fail_policy",
                "error",
                "failure_mode_allow is true for attempts: without the host they go out with the "
                "client's credential and path",
                f"filter {text(one, 'name')}, cluster {name}",
                fix,
                "failure_mode_allow: false\n",
            )


def metadata_options(case: Case) -> Iterator[Finding]:
    """Envoy drops the dynamic metadata of the host."""
    for ours in case.attached:
        allowed = part(ours.config, "metadata_options", "receiving_namespaces")
        if METADATA_NAMESPACE not in texts(allowed, "untyped"):
            yield Finding(
                "metadata_options",
                "warning",
                f"the namespace {METADATA_NAMESPACE!r} is not received: report headers stay away "
                "on routes without response plugins, and attempts do not know the client's path",
                ours.where,
                "receive the namespace",
                f"metadata_options:\n  receiving_namespaces: {{untyped: [{METADATA_NAMESPACE}]}}\n",
            )


def mode_override(case: Case) -> Iterator[Finding]:
    """Envoy does not let the host choose the body mode of an answer."""
    for ours in case.attached:
        streams = any(
            one.plan is not None and one.plan.response_body and not one.disabled
            and one.mode["response_body_mode"] == "BUFFERED"
            for one in ours.routes
        )  # fmt: skip
        if not streams and case.expected is not None:
            continue
        allowed = parts(ours.config, "allowed_override_modes")
        if not truth(ours.config, "allow_mode_override"):
            what = "allow_mode_override is not set"
        elif allowed and not any(text(m, "response_body_mode") == "STREAMED" for m in allowed):
            what = "allowed_override_modes has no mode with a STREAMED response body"
        else:
            continue
        yield Finding(
            "mode_override",
            "error" if streams else "warning",
            f"{what}: streamed answers reach clients in one piece, when they have ended",
            ours.where,
            "let the host ask for STREAMED answers when it sees a stream",
            "allow_mode_override: true\n",
        )


def two_filters(case: Case) -> Iterator[Finding]:
    """Another ext_proc filter stands in the chain of ours."""
    for ours in case.attached:
        others = [
            text(one, "name")
            for one in ours.manager.filters
            if is_ext_proc(one) and one is not ours.filter
            and not truth(one, "typed_config", "observability_mode")
        ]  # fmt: skip
        if others:
            yield Finding(
                "two_filters",
                "warning",
                f"{', '.join(others)} and {ours.name} are both ext_proc filters: with two that "
                "touch bodies, some versions of Envoy cut bodies short",
                ours.manager.where,
                "keep one ext_proc filter per chain: let the host's chain do the work of both, or "
                "let the other see headers alone",
            )


def upgrades(case: Case) -> Iterator[Finding]:
    """Our filter is on where connections are upgraded."""
    for ours, one in case.on_routes():
        if one.route is None or one.disabled or one.mode["request_body_mode"] == "NONE":
            continue
        kinds = _upgrades(ours.manager, one.route)
        if kinds:
            yield Finding(
                "upgrades",
                "warning",
                f"upgrades ({', '.join(kinds)}) are allowed here: such a request hangs while "
                "Envoy waits for a body that never ends",
                one.where,
                "switch the filter off on the route of the upgrade, or upgrades off on this one",
                "upgrade_configs:\n"
                + "".join(f"- {{upgrade_type: {kind}, enabled: false}}\n" for kind in kinds),
            )


def _longest(ours: Attached) -> float | None:
    return max((one.plan.budget_s for one in ours.routes if one.plan is not None), default=None)


def _wrong_modes(mode: dict[str, str], plan: RoutePlan) -> Iterator[tuple[str, str, str]]:
    if mode["request_header_mode"] != "SEND":
        yield "request_header_mode", "SEND", "so the host sees nothing at all"
    if plan.request_body and mode["request_body_mode"] not in _WHOLE:
        yield "request_body_mode", "BUFFERED", "so calls are not read whole"
    if plan.response_headers and mode["response_header_mode"] != "SEND":
        yield "response_header_mode", "SEND", "so no plugin sees an answer"
    if plan.response_body and mode["response_body_mode"] not in _ANSWERS:
        yield "response_body_mode", "BUFFERED", "so answers are not read"
    if plan.response_body and mode["response_trailer_mode"] != "SEND":
        yield "response_trailer_mode", "SEND", "so a stream with trailers never seems to end"


def _needed(one: OnRoute) -> dict[str, str]:
    assert one.plan is not None  # noqa: S101 - the caller looked
    return one.mode | {key: value for key, value, _ in _wrong_modes(one.mode, one.plan)}


def _is_for_upgrades(route: EnvoyRoute | None) -> bool:
    """Say whether a route takes upgrades alone, whose bodies no plugin reads."""
    matched = parts(part(route.config, "match"), "headers") if route is not None else []
    return any(text(header, "name") == "upgrade" for header in matched)


def _upgrades(manager: Manager, route: EnvoyRoute | None) -> list[str]:
    """Return the upgrades that a route allows and that pass the manager's own filters."""
    allowed = {
        text(one, "upgrade_type"): one.get("enabled") is not False
        for one in parts(manager.config, "upgrade_configs")
        if not one.get("filters")
    }
    for one in parts(route.config if route is not None else {}, "upgrade_configs"):
        allowed[text(one, "upgrade_type")] = one.get("enabled") is not False
    action = part(route.config if route is not None else {}, "route")
    for one in parts(action, "upgrade_configs"):
        allowed[text(one, "upgrade_type")] = one.get("enabled") is not False
    # A direct response never upgrades.
    is_forwarded = route is not None and bool(action)
    return [kind for kind, enabled in allowed.items() if enabled] if is_forwarded else []
