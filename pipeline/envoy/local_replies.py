"""Envoy's own error answers, in the client's API format: its 413, 503 and 504 are plain text."""

from __future__ import annotations

from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel import v3 as cel
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Struct

from pipeline.dialects.registry import builtin
from pipeline.envoy.filters import pack
from pipeline.host.names import DETAILS_PREFIX, METADATA_NAMESPACE, ORIGIN_PATH_KEY

# By status, the most special first; the last one takes what is left.
FAULTS = (
    (413, "body_too_large", "the body is larger than this gateway takes"),
    (431, "headers_too_large", "the headers are larger than this gateway takes"),
    (426, "upgrade_required", "this gateway speaks HTTP/1.1 and later"),
    (400, "bad_request", "this is no request that HTTP allows"),
    (504, "upstream_timeout", "no answer came in time"),
    (503, "upstream_unavailable", "no backend could be reached"),
    (None, "gateway_error", "this gateway could not serve the request"),
)


def local_replies() -> hcm.LocalReplyConfig:
    """Return what makes JSON of Envoy's own errors; the host's answers stay as they are."""
    anthropic = builtin().by_name("anthropic.messages")
    openai = builtin().by_name("openai.chat")
    assert anthropic is not None  # noqa: S101 - both are built in
    assert openai is not None  # noqa: S101
    mappers = []
    for dialect, filters in ((anthropic, [_messages_path()]), (openai, [])):
        for status, code, message in FAULTS:
            document = dialect.error(status=status or 500, code=code, message=message)
            matched = [_is_envoys_own(), *filters, *([_status(status)] if status else [])]
            mappers.append(
                hcm.ResponseMapper(
                    filter=_all(matched),
                    body_format_override=core.SubstitutionFormatString(
                        json_format=Struct.from_dict(document)
                    ),
                )
            )
    return hcm.LocalReplyConfig(mappers=mappers)


def _all(filters: list[accesslog.AccessLogFilter]) -> accesslog.AccessLogFilter:
    if len(filters) == 1:
        return filters[0]
    return accesslog.AccessLogFilter(and_filter=accesslog.AndFilter(filters=filters))


def _is_envoys_own() -> accesslog.AccessLogFilter:
    expression = (
        "response.code >= 400"
        f" && !response.code_details.startsWith('{DETAILS_PREFIX}')"
        " && response.code_details != 'direct_response'"
    )
    return accesslog.AccessLogFilter(
        extension_filter=accesslog.ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=pack(cel.ExpressionFilter(expression=expression)),
        )
    )


def _messages_path() -> accesslog.AccessLogFilter:
    path = matcher.StringMatcher(
        safe_regex=matcher.RegexMatcher(regex=r"(/[^?]*)?/v1/messages(/count_tokens)?(\?.*)?")
    )
    as_it_stands = accesslog.AccessLogFilter(
        header_filter=accesslog.HeaderFilter(
            header=route.HeaderMatcher(name=":path", string_match=path)
        )
    )
    # An attempt may have put another API's path in its place.
    as_it_came = accesslog.AccessLogFilter(
        metadata_filter=accesslog.MetadataFilter(
            matcher=matcher.MetadataMatcher(
                filter=METADATA_NAMESPACE,
                path=[matcher.MetadataMatcherPathSegment(key=ORIGIN_PATH_KEY)],
                value=matcher.ValueMatcher(string_match=path),
            ),
            match_if_key_not_found=False,
        )
    )
    return accesslog.AccessLogFilter(
        or_filter=accesslog.OrFilter(filters=[as_it_stands, as_it_came])
    )


def _status(status: int) -> accesslog.AccessLogFilter:
    comparison = accesslog.ComparisonFilter(
        op=accesslog.ComparisonFilterOp.EQ,
        value=core.RuntimeUInt32(
            default_value=status, runtime_key=f"dragoman.local_reply.{status}"
        ),
    )
    return accesslog.AccessLogFilter(
        status_code_filter=accesslog.StatusCodeFilter(comparison=comparison)
    )
