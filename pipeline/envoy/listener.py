"""The listener: what clients reach, and what is taken off their requests at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.http.router import v3 as router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import (
    v3 as early_mutation,
)
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from pipeline.config.quantities import split_address
from pipeline.config.schema import Config
from pipeline.envoy.filters import pack, router_filter
from pipeline.envoy.local_replies import local_replies
from pipeline.host.names import CONTROL_PREFIX
from pipeline.host.plan import RoutePlan

# Every route of ours overrides it; it is what the host means where it overrides a mode in part.
_EVERYTHING = RoutePlan(
    route="",
    request_body=True,
    response_headers=True,
    response_body=True,
    fails_open=False,
    budget_s=0.0,
    attempts=False,
    attempt_body=False,
    attempt_answer=False,
)


def enabled_by_routes(config: Config, plans: Mapping[str, RoutePlan]) -> hcm.HttpFilter:
    """Return the filter at the router level."""
    router_level = router_filter(config, plans.values(), _EVERYTHING, [])
    # Routes enable it. Envoy answers what is no HTTP before there is any route, and would close the
    # connection without a word while the host still thinks about that answer.
    router_level.disabled = True
    return router_level


def client_listener(
    config: Config,
    router_level: hcm.HttpFilter,
    *,
    routes: route.RouteConfiguration | None = None,
    rds: hcm.Rds | None = None,
) -> listener.Listener:
    """Return the one listener.

    Args:
        config: the config.
        router_level: the filter at the router level.
        routes: the route table, or
        rds: where it is found.
    """
    manager = hcm.HttpConnectionManager(
        stat_prefix="dragoman",
        route_config=routes,
        rds=rds,
        http_filters=[
            router_level,
            hcm.HttpFilter(
                name="envoy.filters.http.router",
                # No x-envoy-* header with timings or counts goes to a provider or a client.
                typed_config=pack(router.Router(suppress_envoy_headers=True)),
            ),
        ],
        # Before any routing: a header that steers us must come from us.
        early_header_mutation_extensions=[_strip()],
        local_reply_config=local_replies(),
        # Nobody is inside (a list without a range would mean every private address): what clients
        # send as x-envoy-* or x-request-id is not believed.
        use_remote_address=True,
        internal_address_config=hcm.HttpConnectionManagerInternalAddressConfig(
            cidr_ranges=[core.CidrRange(address_prefix="0.0.0.0", prefix_len=32)]
        ),
        # Providers are not told the clients' addresses.
        skip_xff_append=True,
        generate_request_id=True,
        # One spelling of a path, or a second one would slip past its route's guards.
        normalize_path=True,
        merge_slashes=True,
        stream_idle_timeout=timedelta(minutes=5),
        request_headers_timeout=timedelta(seconds=10),
        common_http_protocol_options=core.HttpProtocolOptions(idle_timeout=timedelta(hours=1)),
    )
    host, port = split_address(config.envoy.listen)
    return listener.Listener(
        name="dragoman",
        address=core.Address(socket_address=core.SocketAddress(address=host, port_value=port)),
        # Limits the answers that are buffered; requests have their limit on the route.
        per_connection_buffer_limit_bytes=config.envoy.body_limit,
        filter_chains=[
            listener.FilterChain(
                filters=[
                    listener.Filter(
                        name="envoy.filters.network.http_connection_manager",
                        typed_config=pack(manager),
                    )
                ]
            )
        ],
    )


def _strip() -> core.TypedExtensionConfig:
    remove = mutation_rules.HeaderMutationRemoveOnMatch(
        key_matcher=matcher.StringMatcher(prefix=CONTROL_PREFIX, ignore_case=True)
    )
    return core.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=pack(
            early_mutation.HeaderMutation(
                mutations=[mutation_rules.HeaderMutation(remove_on_match=remove)]
            )
        ),
    )
