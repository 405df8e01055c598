"""`dragoman serve-models`: the models of a config, for the hosts of other nodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from pipeline.cli.options import default_config
from pipeline.config.load import located, problems_of
from pipeline.config.quantities import SOURCE, split_address
from pipeline.config.schema import Config
from pipeline.config.source import Source, read_source
from pipeline.config.tls import ServerTlsConfig
from pipeline.errors import ConfigError


def serve_models(
    path: Path | None,
    *,
    tier: str | None,
    device: str | None,
    address: str,
    admin: str,
    tls: ServerTlsConfig | None,
) -> None:
    """Serve models until SIGTERM.

    Args:
        path: of the config file; `dragoman.yaml` if there is one, else the defaults hold.
        tier: in place of the config's.
        device: in place of the config's.
        address: where hosts reach it, `host:port` or `unix:/path`.
        admin: where metrics and health are.
        tls: of the address.

    Raises:
        ConfigError: the config cannot be used.
        InferenceError: a model cannot.
    """
    for given in (address, admin):
        _check_address(given)
    if tls is not None and address.startswith("unix:"):
        raise typer.BadParameter("--tls-cert and --tls-key go with an --address HOST:PORT")
    config, source = _load(path, {"tier": tier, "device": device})
    from pipeline.inference.assembly import make_own_engines
    from pipeline.observability.logs import configure_logs
    from pipeline.server.models.process import ModelsPlace, serve
    from pipeline.server.process import run_loop

    configure_logs(config.telemetry.log_level, config.telemetry.log_format)
    place = ModelsPlace(address, admin, tls, drain_s=config.server.drain)
    try:
        engines = make_own_engines(config.inference, source.folder)
        run_loop(serve(engines, config.inference, place))
    except ConfigError as error:
        raise located(error, source) from error


def tls_of(cert: str | None, key: str | None, client_ca: str | None) -> ServerTlsConfig | None:
    """Return what the options say of TLS.

    Raises:
        typer.BadParameter: one is missing.
    """
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise typer.BadParameter("give --tls-cert and --tls-key together")
    return ServerTlsConfig(cert=cert, key=key, client_ca=client_ca)


def _load(path: Path | None, options: dict[str, str | None]) -> tuple[Config, Source]:
    """Load what of a config is a node's business: it may have no routes.

    Raises:
        ConfigError: it cannot be used.
    """
    if path is None and default_config().exists():
        path = default_config()
    source = read_source(path, os.environ) if path is not None else Source(None, {})
    given = {name: value for name, value in options.items() if value is not None}
    section: Any = source.values.get("inference") or {}
    values = dict(source.values)
    if given and isinstance(section, dict):
        values["inference"] = {**section, **given}
    try:
        return Config.model_validate(values, context={SOURCE: source}), source
    except ValidationError as error:
        raise ConfigError(*problems_of(error, source, ())) from None


def _check_address(address: str) -> None:
    if address.startswith("unix:") and address != "unix:":
        return
    try:
        split_address(address)
    except ValueError as error:
        raise typer.BadParameter(f"{address!r}: {error}, or unix:/path") from None
