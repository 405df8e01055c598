"""The command `dragoman`: its sub-commands, each of which imports what it needs when it runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.extensions import Commands
from pipeline.cli.options import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    ModelsConfigPath,
)
from pipeline.cli.output import reported

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    # A traceback is for whoever writes Dragoman; locals would show prompts and keys.
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Dragoman walks beside Envoy: an ordered chain of plugins on every LLM call.",
    epilog="Exit codes: 0 all is well, 1 problems were found, 2 the command line is wrong.",
)
config_app = typer.Typer(no_args_is_help=True, help="About the config file.")
app.add_typer(config_app, name="config")


class Format(StrEnum):
    """How `dragoman envoy` prints."""

    YAML = "yaml"
    JSON = "json"


def run() -> None:
    """Check our installation, then run the command line."""
    from pipeline.cli.selfcheck import check_installation

    try:
        with reported():
            check_installation()
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    app()


@app.command("run")
def run_command(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar=CONFIG_VARIABLE,
            help="The config file; `dragoman.yaml` where there is one, else a demo.",
            metavar="PATH",
        ),
    ] = None,
) -> None:
    """Start Envoy and the host, and a demo upstream where no provider's key is known."""
    from pipeline.cli.run import run as start

    with reported():
        start(config)


@app.command()
def serve(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Serve ext_proc to an Envoy that runs elsewhere."""
    from pipeline.cli.serve import serve as start

    with reported():
        start(config)


@app.command("serve-models")
def serve_models(
    config: ModelsConfigPath = None,
    tier: Annotated[
        str | None,
        typer.Option("--tier", metavar="tiny|small", help="In place of `inference.tier`."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="DEVICE", help="In place of `inference.device`."),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            "--address", metavar="ADDRESS", help="Where hosts reach it: HOST:PORT or unix:/path."
        ),
    ] = "127.0.0.1:9903",
    admin: Annotated[
        str,
        typer.Option("--admin", metavar="ADDRESS", help="Where metrics and health are served."),
    ] = "127.0.0.1:9904",
    tls_cert: Annotated[
        str | None,
        typer.Option("--tls-cert", metavar="FILE", help="Its certificate and chain, PEM."),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, PEM.")
    ] = None,
    tls_client_ca: Annotated[
        str | None,
        typer.Option(
            "--tls-client-ca",
            metavar="FILE",
            help="Authorities that sign the hosts' certificates, PEM; with it a host without one "
            "is refused.",
        ),
    ] = None,
) -> None:
    """Serve models to hosts of other nodes, over the Open Inference Protocol v2."""
    from pipeline.cli import serve_models as command

    with reported():
        tls = command.tls_of(tls_cert, tls_key, tls_client_ca)
        command.serve_models(
            config, tier=tier, device=device, address=address, admin=admin, tls=tls
        )


@app.command()
def check(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too.")] = False,
    admin: Annotated[
        str | None,
        typer.Option(
            "--admin",
            metavar="URL",
            help="The running host's admin server; `server.admin` of the config, if one answers.",
        ),
    ] = None,
) -> None:
    """Check the config: every error and every lint, with file, line and key.

    Where a host runs, it is told how the config differs from what that has, and whether it has
    refused a reload.
    """
    from pipeline.cli.check import check as report

    report(config, admin, as_json=as_json, strict=strict)


@app.command()
def catalog(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Any provider's name of it; all models without one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the catalog knows of models: limits, abilities, prices."""
    from pipeline.cli.catalog import catalog as report

    with reported(as_json=as_json):
        report(model, as_json=as_json)


@app.command()
def plugins(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the configured plugin instances, and what else is installed."""
    from pipeline.cli.plugins import plugins as report

    with reported(as_json=as_json):
        report(config, as_json=as_json)


@app.command()
def explain(
    route: Annotated[
        str | None,
        typer.Argument(metavar="ROUTE", help="The route; with `--request` found by its match."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    request: Annotated[
        Path | None,
        typer.Option(
            "--request",
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Run this request through the chain: JSON with `method`, `path`, `headers` and "
            "`body`, or a body alone. The plugins run for real, no provider is called.",
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option("--path", help="The path of a request that is a body alone.")
    ] = None,
    answer: Annotated[
        Path | None,
        typer.Option(
            "--answer",
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Run this answer back through the chain: a JSON or SSE body. Plugins are told "
            "that it comes from no provider.",
        ),
    ] = None,
    exchange_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="REQUEST_ID",
            help="Show this past exchange (`x-request-id`), as the running host remembers it; "
            "needs `server.admin_token`.",
        ),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(
            "--admin",
            metavar="URL",
            help="With `--id`, the host's admin server; `server.admin` of the config if absent.",
        ),
    ] = None,
) -> None:
    """Explain a route's chain, every decision on one request, or a past exchange."""
    with reported(as_json=as_json):
        if exchange_id is not None:
            from pipeline.cli.explain_past import explain_past

            explain_past(config, exchange_id, admin, as_json=as_json)
        elif request is not None:
            from pipeline.cli.explain_request import explain_request

            explain_request(config, route, request, path, answer, as_json=as_json)
        elif route is None:
            raise typer.BadParameter("name a route, or give --request FILE")
        elif path is not None or answer is not None:
            raise typer.BadParameter("--path and --answer go with --request FILE")
        else:
            from pipeline.cli.explain import explain_route

            explain_route(config, route, as_json=as_json)


@app.command()
def envoy(
    config: ConfigPath = DEFAULT_CONFIG,
    snippet: Annotated[
        bool,
        typer.Option("--snippet", help="Only what joins an Envoy that has its own bootstrap."),
    ] = False,
    form: Annotated[
        Format, typer.Option("--format", metavar="yaml|json", help="How to print it.")
    ] = Format.YAML,
) -> None:
    """Print Envoy's bootstrap for the config."""
    from pipeline.cli.envoy import envoy as report

    with reported():
        report(config, snippet=snippet, as_json=form is Format.JSON)


@app.command()
def doctor(
    config: ConfigPath = DEFAULT_CONFIG,
    admin: Annotated[
        str | None,
        typer.Option(
            "--admin",
            metavar="URL",
            help="Envoy's admin endpoint; `envoy.admin` of the config if absent.",
        ),
    ] = None,
    dump: Annotated[
        Path | None,
        typer.Option(
            "--dump",
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="A saved `/config_dump`, or a bootstrap, instead of a live Envoy.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="Envoy's cluster for the host, where it cannot be told from the rest.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the usual faults of a live set-up; each finding says what to put where.

    Without a config file only what needs none is looked at. Exits with 1 on errors.
    """
    from pipeline.cli.doctor import doctor as report

    with reported(as_json=as_json):
        if admin is not None and dump is not None:
            raise typer.BadParameter("give --admin or --dump, not both")
        report(config, admin, dump, cluster, as_json=as_json)


@app.command("new-plugin")
def new_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="What configs will call it: words with `-`, as in `word-limit`."
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "--in", file_okay=False, metavar="DIR", help="Where the package's folder goes."
        ),
    ] = Path(),
) -> None:
    """Write the package of a new plugin, with tests and docs."""
    from pipeline.cli.new_plugin import new_plugin as write

    write(name, folder)


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="A recording that `telemetry.record` made.",
        ),
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    exchange_id: Annotated[
        str | None,
        typer.Option("--id", metavar="REQUEST_ID", help="Only the streams of this request."),
    ] = None,
) -> None:
    """Run recorded streams through the chain without Envoy; print decisions and differences.

    The plugins run for real, no provider is called. Exits with 1 where an answer differs.
    """
    from pipeline.cli.replay import replay_file

    with reported(as_json=as_json):
        replay_file(config, file, exchange_id, as_json=as_json)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from pipeline.cli.output import print_json
    from pipeline.config.schema import Config

    schema = Config.model_json_schema()
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    import platform

    from pipeline import __version__
    from pipeline.cli.output import print_json

    if as_json:
        print_json({"dragoman": __version__, "python": platform.python_version()})
    else:
        typer.echo(f"dragoman {__version__}")


@app.command()
def docs(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, metavar="DIR", help="Where the pages go.")
    ],
) -> None:
    """Write the reference pages, generated from the code."""
    from pipeline.cli.reference import pages

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        typer.echo(str(folder / name))
