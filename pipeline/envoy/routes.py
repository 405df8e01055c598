"""Routes: the config's, in its order, and last the answer to what none of them matches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from pipeline.config.schema import Config, MatchConfig, RouteConfig
from pipeline.dialects.openai_errors import error_document
from pipeline.dialects.strict_json import dumps
from pipeline.envoy.clusters import cluster_name
from pipeline.envoy.dispatch import entries, picked_by_host
from pipeline.envoy.failover import client_silence_s, retry_policy
from pipeline.envoy.filters import attempt_override, route_override
from pipeline.host.names import (
    CONTROL_PREFIX,
    METADATA_NAMESPACE,
    REPORT_HEADERS,
    ROUTE_HEADER,
)
from pipeline.host.plan import RoutePlan

NO_ROUTE = RoutePlan(
    route="",
    request_body=False,
    response_headers=False,
    response_body=False,
    fails_open=True,
    budget_s=0.0,
    attempts=False,
    attempt_body=False,
    attempt_answer=False,
)
"""The plan of a request that no route matches: the host only shapes the 404."""

TABLE = "dragoman"
"""Name of the route table."""

_Append = core.HeaderValueOptionHeaderAppendAction


def route_configuration(config: Config, plans: Mapping[str, RoutePlan]) -> route.RouteConfiguration:
    """Return all routes; the first that matches is taken, as in the config."""
    picked = [
        made
        for chosen in picked_by_host(config.routes)
        for made in _routes(_picked(chosen), chosen.name, chosen, config, plans[chosen.name])
    ]
    matched = [
        made
        for entry in entries(config.routes)
        for made in _routes(
            _match(entry.match), entry.name, entry.target, config, entry.plan(plans)
        )
    ]
    return route.RouteConfiguration(
        name=TABLE,
        virtual_hosts=[
            route.VirtualHost(name="all", domains=["*"], routes=[*picked, *matched, _unmatched()])
        ],
        # The second is the client's address, which is not the provider's business.
        request_headers_to_remove=[ROUTE_HEADER, "x-envoy-external-address"],
        # A backend cannot speak in our name: Envoy removes first and adds after.
        response_headers_to_remove=[
            name for name in REPORT_HEADERS.values() if name.startswith(CONTROL_PREFIX)
        ],
        response_headers_to_add=[_report(key, name) for key, name in REPORT_HEADERS.items()],
    )


def _report(key: str, header: str) -> core.HeaderValueOption:
    ours = header.startswith(CONTROL_PREFIX)
    return core.HeaderValueOption(
        header=core.HeaderValue(
            key=header, value=f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:{key})%"
        ),
        append_action=_Append.OVERWRITE_IF_EXISTS_OR_ADD
        if ours
        else _Append.APPEND_IF_EXISTS_OR_ADD,
        keep_empty_value=False,
    )


def _picked(chosen: RouteConfig) -> route.RouteMatch:
    # The header alone: a plugin may have changed the path since the match.
    return route.RouteMatch(prefix="/", headers=[_exact(ROUTE_HEADER, chosen.name)])


def _routes(
    match: route.RouteMatch,
    name: str,
    target: RouteConfig | None,
    config: Config,
    plan: RoutePlan,
) -> Iterator[route.Route]:
    """Yield Envoy's route for a match, before it that of WebSockets where they may pass."""
    if target is not None and target.other == "pass" and target.backends:
        yield _upgraded(match, name, target, config, plan)
    yield _route(name, match, target, config, plan)


def _upgraded(
    match: route.RouteMatch, name: str, target: RouteConfig, config: Config, plan: RoutePlan
) -> route.Route:
    # Headers alone, for path and credential: such a body never ends, and would be waited for.
    unread = replace(plan, request_body=False, response_body=False)
    upgrade = route.HeaderMatcher(
        name="upgrade", string_match=matcher.StringMatcher(exact="websocket", ignore_case=True)
    )
    # A GET, which is no LLM call: nothing else may come by unread.
    headers = [*match.headers, _exact(":method", "GET"), upgrade]
    match = route.RouteMatch(path=match.path, prefix=match.prefix, headers=headers)
    made = _route(name, match, target, config, unread)
    made.typed_per_filter_config |= attempt_override()
    action = _action(target)
    action.upgrade_configs = [route.RouteActionUpgradeConfig(upgrade_type="websocket")]
    # A conversation lasts as long as it does; a pause still has its limit.
    action.timeout = timedelta()
    made.route = action
    return made


def _unmatched() -> route.Route:
    made = route.Route(
        name="",
        match=route.RouteMatch(prefix="/"),
        typed_per_filter_config=route_override(NO_ROUTE),
    )
    _answer(made, "route_not_found", "no route matches this request")
    return made


def _route(
    name: str, match: route.RouteMatch, target: RouteConfig | None, config: Config, plan: RoutePlan
) -> route.Route:
    made = route.Route(
        name=name,
        match=match,
        typed_per_filter_config=route_override(plan),
        request_body_buffer_limit=config.envoy.body_limit,
    )
    if target is None:
        _answer(made, "route_not_found", "no route matches this request")
    elif not target.backends:
        _answer(made, "no_backend", f"route {target.name!r} has no backend")
    else:
        made.route = _action(target)
    return made


def _action(target: RouteConfig) -> route.RouteAction:
    timeout = timedelta(seconds=target.timeout)
    return route.RouteAction(
        cluster=cluster_name(target),
        auto_host_rewrite=True,
        timeout=timeout,
        # The client's side; a full-duplex stream to a silent host has no other limit at all.
        idle_timeout=timedelta(seconds=client_silence_s(target)),
        retry_policy=retry_policy(target),
    )


def _answer(made: route.Route, code: str, message: str) -> None:
    error = dumps(error_document(status=404, code=code, message=message))
    made.direct_response = route.DirectResponseAction(
        status=404, body=core.DataSource(inline_string=error.decode())
    )
    made.response_headers_to_add = [
        core.HeaderValueOption(
            header=core.HeaderValue(key="content-type", value="application/json"),
            append_action=_Append.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    ]


def _match(match: MatchConfig) -> route.RouteMatch:
    headers = [_exact(name, value) for name, value in match.headers.items()]
    if match.host is not None:
        headers.append(_host(match.host))
    if match.path is not None:
        return route.RouteMatch(path=match.path, headers=headers)
    return route.RouteMatch(prefix=match.path_prefix or "/", headers=headers)


def _exact(name: str, value: str) -> route.HeaderMatcher:
    return route.HeaderMatcher(name=name, string_match=matcher.StringMatcher(exact=value))


def _host(host: str) -> route.HeaderMatcher:
    # Virtual hosts would put the longest host first; a header keeps the config's order.
    suffix = host.removeprefix("*")
    pattern = re.escape(host) if suffix == host else r"[^:]+" + re.escape(suffix)
    return route.HeaderMatcher(
        name=":authority",
        string_match=matcher.StringMatcher(
            safe_regex=matcher.RegexMatcher(regex=rf"(?i){pattern}(:\d+)?")
        ),
    )
