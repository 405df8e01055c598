"""`dragoman run`: everything at once, for a first look and for one machine: host, Envoy, demo."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel

from pipeline.cli.following import Following
from pipeline.cli.options import DEFAULT_CONFIG
from pipeline.config.load import check_config, load_config
from pipeline.config.schema import Config
from pipeline.config.source import Source, parse_source
from pipeline.demo.upstream import DemoSettings
from pipeline.demo.upstream import serve as serve_demo
from pipeline.envoy.bootstrap import resources, watching
from pipeline.envoy.process import EnvoyFailed, EnvoyProcess
from pipeline.envoy.published import Published
from pipeline.host.compile import compile_config
from pipeline.host.runtime import Runtime
from pipeline.observability.logs import configure_logs
from pipeline.server.reloading import OnGeneration
from pipeline.server.signals import ENDING, until_signal

if TYPE_CHECKING:
    from pipeline.server.process import HostProcess
    from pipeline.server.supervisor import Supervisor

_DEMO_PACE_S = 0.03
_KEYS = {"OPENAI_API_KEY": "DRAGOMAN_OPENAI_URL", "ANTHROPIC_API_KEY": "DRAGOMAN_ANTHROPIC_URL"}


def run(config: Path | None) -> None:
    """Run Envoy and the host for a config until SIGINT or SIGTERM; a second one ends all at once.

    Args:
        config: path of the config; without one, `dragoman.yaml` of this folder, else the embedded
            default, with the demo upstream where the environment has no provider's key.

    Raises:
        ConfigError: the config cannot be used, or Envoy is not installed.
        EnvoyFailed: Envoy did not start, or ended by itself.
    """
    if config is None and DEFAULT_CONFIG.is_file():
        config = DEFAULT_CONFIG
    beside: list[Callable[[], object]] = []

    def abort() -> None:
        for kill in reversed(beside):
            kill()
        os._exit(1)

    # A terminal that hangs up must not leave Envoy behind; the host takes it for a reload later.
    asyncio.run(until_signal(_run(config, beside), abort, numbers=(*ENDING, signal.SIGHUP)))


async def _run(path: Path | None, beside: list[Callable[[], object]]) -> None:
    """Run everything.

    Args:
        path: of the config.
        beside: gets what ends the processes beside this one at once.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-")))
        has_demo = False
        if path is not None:
            config, source = load_config(path, os.environ)
        else:
            config, source, has_demo = await _embedded(stack, directory)
        configure_logs(config.telemetry.log_level, config.telemetry.log_format)
        runtime = compile_config(config, source)
        config = runtime.config  # with the URLs that providers know
        console = Console(highlight=False)
        watched = directory / "envoy.d"
        published = Published(watched, resources(config, runtime.plans))
        stack.push_async_callback(published.close)
        following = Following(config, published, console)
        bootstrap = watching(config, runtime.plans, watched)
        host = await _host(stack, runtime, path, following.follow)
        beside.append(host.abort)
        del runtime  # it may be replaced, and is not to be kept here
        envoy = EnvoyProcess(directory, concurrency=config.envoy.concurrency)
        beside.append(envoy.kill)
        await envoy.start(bootstrap)
        stack.push_async_callback(envoy.stop)
        await published.attach(envoy.admin_url, envoy.log_file)
        _announce(console, config, host.admin_address, envoy, path, has_demo=has_demo)
        raise EnvoyFailed(f"Envoy ended with status {await envoy.wait()}")


async def _host(
    stack: AsyncExitStack, runtime: Runtime, path: Path | None, on_generation: OnGeneration
) -> HostProcess | Supervisor:
    """Start the host, with as many processes as the config says."""
    if path is not None and runtime.config.server.workers > 1:
        # What the supervisor imports has no gRPC in it.
        from pipeline.server.supervisor import supervised

        runtime.pool.shutdown(wait=False)  # workers have theirs
        workers = supervised(runtime.config, runtime.source, path, on_generation=on_generation)
        return await stack.enter_async_context(workers)
    from pipeline.server.process import running

    process = running(runtime, reload_from=path, on_generation=on_generation)
    return await stack.enter_async_context(process)


async def _embedded(stack: AsyncExitStack, directory: Path) -> tuple[Config, Source, bool]:
    """Load the embedded default, and start the demo upstream for providers without a key."""
    environment: dict[str, str] = dict(os.environ)
    environment["DRAGOMAN_SOCKET"] = f"{directory}/ext_proc.sock"
    needs_demo = [key for key in _KEYS if not environment.get(key)]
    if len(needs_demo) == len(_KEYS):
        port = await stack.enter_async_context(serve_demo(DemoSettings(pace_s=_DEMO_PACE_S)))
        for key in needs_demo:
            environment |= {key: "demo", _KEYS[key]: f"http://127.0.0.1:{port}/v1"}
    text = files("pipeline.cli").joinpath("default.yaml").read_text(encoding="utf-8")
    source = parse_source(text, _with_defaults(environment), file="the embedded default")
    return check_config(source), source, len(needs_demo) == len(_KEYS)


def _with_defaults(environment: Mapping[str, str]) -> dict[str, str]:
    # With one key of two, the other provider takes the client's own credential.
    return dict.fromkeys(_KEYS, "") | dict(environment)


def _announce(
    console: Console,
    config: Config,
    admin: str,
    envoy: EnvoyProcess,
    path: Path | None,
    *,
    has_demo: bool,
) -> None:
    url = f"http://{envoy.address}"
    demo = "the built-in demo upstream: no provider key is in the environment"
    rows = [
        f"[bold]Dragoman is ready at {url}[/bold]",
        "",
        f"config    {path or 'the embedded default (put a dragoman.yaml here to use your own)'}",
        f"upstream  {demo if has_demo else ', '.join(config.backends) or 'none'}",
        f"metrics   http://{admin}/metrics",
        f"health    http://{admin}/health/ready",
        f"envoy     {envoy.admin_url}",
    ]
    console.print(Panel("\n".join(rows), expand=False))
    console.print("Ask it something:\n")
    console.print(_curl(url, "What is 6 * 7?", streamed=False), soft_wrap=True)
    console.print("\nAs a stream:\n")
    console.print(_curl(url, "Count to 10", streamed=True), soft_wrap=True)
    console.print("\nCtrl-C stops it.")


def _curl(url: str, question: str, *, streamed: bool) -> str:
    stream = ', "stream": true' if streamed else ""
    message = f'[{{"role": "user", "content": "{question}"}}]'
    body = f'{{"model": "gpt-5-mini"{stream}, "messages": {message}}}'
    flags = "-sN" if streamed else "-s"
    return (
        f"curl {flags} {url}/v1/chat/completions \\\n"
        f"  -H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )
