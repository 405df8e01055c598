"""Routes: the config's, in its order, and last the answer to what none of them matches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities import (
    v3 as previous_priorities,
)
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from pipeline.config.schema import Config, MatchConfig, RouteConfig
from pipeline.dialects.openai_errors import error_document
from pipeline.dialects.strict_json import dumps
from pipeline.envoy.clusters import cluster_name
from pipeline.envoy.dispatch import Entry, entries, picked_by_host
from pipeline.envoy.filters import pack, route_override
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
)
"""The plan of a request that no route matches: the host only shapes the 404."""

_Append = core.HeaderValueOptionHeaderAppendAction


def route_configuration(config: Config, plans: Mapping[str, RoutePlan]) -> route.RouteConfiguration:
    """Return all routes; the first that matches is taken, as in the config."""
    picked = [_picked(chosen, config, plans) for chosen in picked_by_host(config.routes)]
    matched = [_matched(entry, config, plans) for entry in entries(config.routes)]
    return route.RouteConfiguration(
        name="dragoman",
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


def _picked(chosen: RouteConfig, config: Config, plans: Mapping[str, RoutePlan]) -> route.Route:
    # The header alone: a plugin may have changed the path since the match.
    match = route.RouteMatch(prefix="/", headers=[_exact(ROUTE_HEADER, chosen.name)])
    return _route(chosen.name, match, chosen, config, plans[chosen.name])


def _matched(entry: Entry, config: Config, plans: Mapping[str, RoutePlan]) -> route.Route:
    return _route(entry.name, _match(entry.match), entry.target, config, entry.plan(plans))


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
    action = route.RouteAction(
        cluster=cluster_name(target),
        auto_host_rewrite=True,
        timeout=timeout,
        # Models think in silence, so the pause between bytes has no tighter limit than the whole;
        # a full-duplex stream to a silent host has no other limit at all.
        idle_timeout=timeout,
    )
    if len(target.backends) > 1:
        action.retry_policy = route.RetryPolicy(
            retry_on="5xx,reset,connect-failure,refused-stream,retriable-status-codes",
            retriable_status_codes=[429],
            num_retries=len(target.backends) - 1,
            retry_priority=route.RetryPolicyRetryPriority(
                name="envoy.retry_priorities.previous_priorities",
                typed_config=pack(previous_priorities.PreviousPrioritiesConfig(update_frequency=1)),
            ),
            retry_host_predicate=[
                route.RetryPolicyRetryHostPredicate(
                    name="envoy.retry_host_predicates.previous_hosts",
                    typed_config=pack(previous_hosts.PreviousHostsPredicate()),
                )
            ],
        )
    return action


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
