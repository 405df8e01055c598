"""Envoy's configuration, derived from ours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from pipeline.config.schema import Config
from pipeline.envoy.resources import Resources
from pipeline.errors import ConfigError, Problem
from pipeline.host.plan import RoutePlan


def bootstrap(
    config: Config,
    plans: Mapping[str, RoutePlan],
    ca_file: str | None = None,
) -> dict[str, Any]:
    """Return a complete bootstrap for Envoy, as JSON values.

    Args:
        config: a config that was loaded without error.
        plans: route names to what each route needs.
        ca_file: certificate authorities for TLS; this machine's if absent.

    Raises:
        ConfigError: the extra `envoy` is not installed, or a backend has no URL.
    """
    result: dict[str, Any] = _document_module().bootstrap_document(config, plans, ca_file)
    return result


def watching(config: Config, plans: Mapping[str, RoutePlan], folder: Path) -> dict[str, Any]:
    """Return a bootstrap whose Envoy watches files for clusters, routes and the filter.

    Args:
        config: see `bootstrap`.
        plans: see `bootstrap`.
        folder: of these files, absolute.

    Raises:
        ConfigError: the extra `envoy` is not installed.
    """
    result: dict[str, Any] = _document_module().watching_document(config, plans, folder)
    return result


def resources(
    config: Config,
    plans: Mapping[str, RoutePlan],
    ca_file: str | None = None,
) -> Resources:
    """Return what stands in the files of an Envoy that watches; see `bootstrap`."""
    result: Resources = _document_module().resources_document(config, plans, ca_file)
    return result


def snippet(config: Config, plans: Mapping[str, RoutePlan]) -> dict[str, Any]:
    """Return the HTTP filter, the host's cluster and the runtime flag, for one's own Envoy.

    Raises:
        ConfigError: the extra `envoy` is not installed.
    """
    result: dict[str, Any] = _document_module().snippet_document(config, plans)
    return result


def to_yaml(document: Mapping[str, Any]) -> str:
    """Render a document as the YAML that Envoy reads."""
    return yaml.safe_dump(dict(document), sort_keys=False, width=100)


def _document_module() -> ModuleType:
    # Envoy's typed messages take most of a second to import and belong to an extra.
    try:
        with warnings.catch_warnings(action="ignore"):  # its validators suit an older pydantic
            from pipeline.envoy import document  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"envoy_data_plane", "betterproto2"}:
            raise
        raise ConfigError(
            Problem("envoy", "Envoy's messages are missing: pip install 'dragoman[envoy]'")
        ) from None
    return document
