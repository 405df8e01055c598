"""The ext_proc filters: one at the router level, one in the cluster of each attempt."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from betterproto2 import Message
from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as ext_proc
from envoy_data_plane.envoy.extensions.filters.http.upstream_codec import v3 as upstream_codec
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.envoy.type import v3 as types
from envoy_data_plane.google.protobuf import Any

from pipeline.config.schema import Config
from pipeline.host.names import (
    DETAILS_ATTRIBUTE,
    DROPPED_KEY,
    HOST_METADATA,
    KEYED_KEY,
    LEVEL_METADATA,
    METADATA_NAMESPACE,
    ROUTE_METADATA,
    metadata_attribute,
)
from pipeline.host.origin import ORIGIN_ATTRIBUTES
from pipeline.host.plan import RoutePlan
from pipeline.host.preparing import ATTEMPT_BUDGET_S

FILTER = "dragoman"
# Another name: a route's overrides reach every filter of their name, in its cluster too, and would
# let attempts out unsigned where the chain fails open.
ATTEMPT_FILTER = "dragoman_attempt"
HOST_CLUSTER = "dragoman_host"

_Body = ext_proc.ProcessingModeBodySendMode
_Headers = ext_proc.ProcessingModeHeaderSendMode
_Mode = ext_proc.ProcessingMode

# What the host may ask for in place of the configured mode: no body, or no answer at all, or an
# answer whole or as a stream. Full duplex is not among them: it lets the first chunk pass.
# Envoy compares whole modes, after it filled DEFAULT from the filter's own mode, not the route's.
_OVERRIDES = [
    _Mode(
        request_body_mode=request,
        request_trailer_mode=_Headers.SKIP,
        response_header_mode=headers,
        response_body_mode=body,
        response_trailer_mode=trailers,
    )
    for request in (_Body.NONE, _Body.BUFFERED)
    for headers, body, trailers in (
        (_Headers.SKIP, _Body.NONE, _Headers.SKIP),
        (_Headers.SEND, _Body.NONE, _Headers.SKIP),
        (_Headers.SEND, _Body.NONE, _Headers.SEND),
        (_Headers.SEND, _Body.BUFFERED, _Headers.SEND),
        (_Headers.SEND, _Body.STREAMED, _Headers.SEND),
    )
]

_OUR_METADATA = ext_proc.MetadataOptions(
    receiving_namespaces=ext_proc.MetadataOptionsMetadataNamespaces(untyped=[METADATA_NAMESPACE])
)

# A stream that ends before its first answer is tried anew, with another host process: who
# finds the first one gone would fail otherwise.
_ELSEWHERE = core.RetryPolicy(
    retry_on="connect-failure,refused-stream,reset",
    num_retries=2,
    retry_back_off=core.BackoffStrategy(
        base_interval=timedelta(milliseconds=1), max_interval=timedelta(milliseconds=10)
    ),
    retry_host_predicate=[
        core.RetryPolicyRetryHostPredicate(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=Any.pack(previous_hosts.PreviousHostsPredicate()),
        )
    ],
    host_selection_retry_max_attempts=5,
)


def pack(message: Message) -> Any:
    """Wrap a message for a field that takes any extension."""
    return Any.pack(message)


def mode(plan: RoutePlan) -> ext_proc.ProcessingMode:
    """Return what Envoy sends for a plan; answers BUFFERED until the host sees a stream."""
    answers = plan.response_headers or plan.response_body
    return _Mode(
        request_header_mode=_Headers.SEND,
        request_body_mode=_Body.BUFFERED if plan.request_body else _Body.NONE,
        request_trailer_mode=_Headers.SKIP,
        response_header_mode=_Headers.SEND if answers else _Headers.SKIP,
        response_body_mode=_Body.BUFFERED if plan.response_body else _Body.NONE,
        # A streamed answer with trailers never says that it ended, unless they are sent too.
        response_trailer_mode=_Headers.SEND if plan.response_body else _Headers.SKIP,
    )


def router_filter(
    config: Config, plans: Collection[RoutePlan], default: RoutePlan, attributes: list[str]
) -> hcm.HttpFilter:
    """Return the filter that runs once per exchange.

    Args:
        config: the whole config.
        plans: of every route; one filter has one message timeout, so the longest budget counts.
        default: for routes without an override; DEFAULT in the host's mode overrides means its.
        attributes: request attributes, for an Envoy whose routes do not name themselves.
    """
    processor = ext_proc.ExternalProcessor(
        grpc_service=_service("router"),
        failure_mode_allow=default.fails_open,
        processing_mode=mode(default),
        request_attributes=attributes,
        # Envoy's own 413 and 5xx look like answers of the backend but for these details.
        response_attributes=[DETAILS_ATTRIBUTE, *_of_attempts(plans)],
        message_timeout=_message_timeout(config, plans),
        # The host asks for more where a credential takes longer.
        max_message_timeout=timedelta(
            seconds=max(
                ATTEMPT_BUDGET_S + config.envoy.slack,
                max((route.timeout for route in config.routes), default=300.0),
            )
        ),
        mutation_rules=mutation_rules.HeaderMutationRules(
            allow_all_routing=False, allow_envoy=False, disallow_all=False
        ),
        allow_mode_override=True,
        allowed_override_modes=_OVERRIDES,
        metadata_options=_OUR_METADATA,
        status_on_error=types.HttpStatus(code=types.StatusCode(503)),
    )
    return hcm.HttpFilter(name=FILTER, typed_config=pack(processor))


def route_override(plan: RoutePlan) -> dict[str, Any]:
    """Return the per-route configuration of the router-level filter."""
    overrides = ext_proc.ExtProcOverrides(
        processing_mode=mode(plan),
        failure_mode_allow=plan.fails_open,
        # Where no route matched there is none to name; Envoy drops empty values.
        grpc_initial_metadata=[core.HeaderValue(key=ROUTE_METADATA, value=plan.route)]
        if plan.route
        else [],
    )
    return {FILTER: pack(ext_proc.ExtProcPerRoute(overrides=overrides))}


def attempt_override() -> dict[str, Any]:
    """Return the per-route configuration with which attempts show no body."""
    headers_alone = _Mode(
        request_header_mode=_Headers.SEND,
        request_body_mode=_Body.NONE,
        request_trailer_mode=_Headers.SKIP,
        response_header_mode=_Headers.SKIP,
        response_trailer_mode=_Headers.SKIP,
    )
    overrides = ext_proc.ExtProcOverrides(processing_mode=headers_alone)
    return {ATTEMPT_FILTER: pack(ext_proc.ExtProcPerRoute(overrides=overrides))}


def attempt_filters(config: Config, plan: RoutePlan) -> list[hcm.HttpFilter]:
    """Return the filters that each attempt at one of a route's backends passes.

    Bodies are BUFFERED, answers too until the host sees what they are: FULL_DUPLEX_STREAMED would
    let no mode be overridden, so that streams of the client's own format had to be sent as well.
    """
    answers = _Headers.SEND if plan.attempt_answer else _Headers.SKIP
    processor = ext_proc.ExternalProcessor(
        grpc_service=_service("upstream", plan.route),
        processing_mode=_Mode(
            request_header_mode=_Headers.SEND,
            request_body_mode=_Body.BUFFERED if plan.attempt_body else _Body.NONE,
            request_trailer_mode=_Headers.SKIP,
            response_header_mode=answers,
            response_body_mode=_Body.BUFFERED if plan.attempt_answer else _Body.NONE,
            response_trailer_mode=answers,
        ),
        allow_mode_override=plan.attempt_answer,
        request_attributes=[
            HOST_METADATA,
            *ORIGIN_ATTRIBUTES,
            metadata_attribute(KEYED_KEY),
        ],
        metadata_options=_OUR_METADATA,
        message_timeout=timedelta(seconds=ATTEMPT_BUDGET_S + config.envoy.slack),
        status_on_error=types.HttpStatus(code=types.StatusCode(503)),
    )
    return [
        hcm.HttpFilter(name=ATTEMPT_FILTER, typed_config=pack(processor)),
        hcm.HttpFilter(
            name="envoy.filters.http.upstream_codec",
            typed_config=pack(upstream_codec.UpstreamCodec()),
        ),
    ]


def _of_attempts(plans: Collection[RoutePlan]) -> list[str]:
    """Return what the router level is told of attempts: what they left out."""
    return [metadata_attribute(DROPPED_KEY)] if any(plan.attempts for plan in plans) else []


def _message_timeout(config: Config, plans: Collection[RoutePlan]) -> timedelta:
    budget_s = max((plan.budget_s for plan in plans), default=0.0)
    return timedelta(seconds=budget_s + config.envoy.slack)


def _service(level: str, route: str | None = None) -> core.GrpcService:
    metadata = [core.HeaderValue(key=LEVEL_METADATA, value=level)]
    if route is not None:
        metadata.append(core.HeaderValue(key=ROUTE_METADATA, value=route))
    # No timeout here: it would end the whole stream, not one message.
    return core.GrpcService(
        envoy_grpc=core.GrpcServiceEnvoyGrpc(cluster_name=HOST_CLUSTER),
        initial_metadata=metadata,
        retry_policy=_ELSEWHERE,
    )
