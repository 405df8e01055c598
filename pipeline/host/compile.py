"""Compiling a config: plugins loaded and checked, every route's chain and plan worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.api.provider import Backend, Provider
from pipeline.api.signals import SignalFunction
from pipeline.config.schema import Config, RouteConfig
from pipeline.config.source import Source
from pipeline.dialects.registry import Dialects, builtin
from pipeline.errors import ConfigError, Problem
from pipeline.host.backends import BUILT_IN, PassThrough, make_backends
from pipeline.host.chain import compile_chain
from pipeline.host.instances import Instance, make_instances
from pipeline.host.plan import RoutePlan
from pipeline.host.routing import compile_matcher
from pipeline.host.runtime import Route, Runtime

# A route without plugins still parses and checks: what Envoy waits for that at most.
_LEAST_BUDGET_S = 0.2
_ROUTING_PSEUDO_HEADERS = frozenset({":path", ":authority", ":method"})


def compile_config(config: Config, source: Source) -> Runtime:
    """Load the plugins and compile every route.

    Raises:
        ConfigError: with the problems found.
    """
    instances = make_instances(config, source)
    dialects = builtin()
    providers: dict[str, Provider] = dict(BUILT_IN)
    signals: dict[str, SignalFunction] = {}
    _raise_any(_registered(instances, source, dialects, providers, signals))
    backends = make_backends(config, source, providers)
    _raise_any(_unknown_dialects(config, source, dialects))
    _raise_any(_keys_handed_on(config, source, backends, providers))
    routes = {
        settings.name: _route(
            settings,
            [instances[name] for name in settings.plugins],
            tuple((backends[n], providers[backends[n].provider]) for n in settings.backends),
        )
        for settings in config.routes
    }
    matched = {name for route in config.routes for name in route.match.headers}
    return Runtime(
        config=config,
        source=source,
        instances=instances,
        dialects=dialects,
        providers=providers,
        signals=signals,
        routes=routes,
        routing_headers=_ROUTING_PSEUDO_HEADERS | matched,
        pool=ThreadPoolExecutor(config.limits.threads, thread_name_prefix="plugin"),
    )


def _registered(
    instances: Mapping[str, Instance],
    source: Source,
    dialects: Dialects,
    providers: dict[str, Provider],
    signals: dict[str, SignalFunction],
) -> Iterator[Problem]:
    def add_dialect(name: str, dialect: Any) -> None:
        if dialect.name != name:
            raise ValueError(f"the dialect registered as {name!r} calls itself {dialect.name!r}")
        dialects.add(dialect)

    for hook, register in (
        ("register_dialects", add_dialect),
        ("register_providers", _into(providers, "provider")),
        ("register_signals", _into(signals, "signal")),
    ):
        for instance in instances.values():
            if instance.has(hook):
                try:
                    instance.hooks[hook](register)
                except ValueError as error:
                    yield source.problem(("plugins", instance.name), str(error))
                except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
                    message = f"{hook} failed: {type(error).__name__}: {error}"
                    yield source.problem(("plugins", instance.name), message)


def _unknown_dialects(config: Config, source: Source, dialects: Dialects) -> Iterator[Problem]:
    known = ", ".join(dialects.names)
    for index, route in enumerate(config.routes):
        if route.dialect is not None and route.dialect not in dialects.names:
            message = f"there is no dialect {route.dialect!r}; there are {known}"
            yield source.problem(("routes", index, "dialect"), message)


def _keys_handed_on(
    config: Config,
    source: Source,
    backends: Mapping[str, Backend],
    providers: Mapping[str, Provider],
) -> Iterator[Problem]:
    # Envoy has one set of headers for all attempts: the key of one stays for the next, which
    # replaces it or, without a key of its own, would be sent it.
    for index, route in enumerate(config.routes):
        keyed = ""
        for place, name in enumerate(route.backends):
            backend = backends[name]
            passes_on = isinstance(providers[backend.provider], PassThrough)
            if keyed and passes_on and not backend.api_key:
                message = (
                    f"{name!r} has no api_key and would be sent that of {keyed!r}, which is tried"
                    " before it: give it one, or list it first"
                )
                yield source.problem(("routes", index, "backends", place), message)
            keyed = name if backend.api_key else keyed


def _raise_any(found: Iterator[Problem]) -> None:
    problems = tuple(found)
    if problems:
        raise ConfigError(*problems)


def _route(
    settings: RouteConfig,
    instances: Sequence[Instance],
    backends: tuple[tuple[Backend, Provider], ...],
) -> Route:
    chain = compile_chain(instances)
    matcher = compile_matcher(settings.match)
    reads = any(provider.reads_body(backend) for backend, provider in backends)
    is_folded = len(backends) == 1
    needs_body = settings.check or chain.reads_request or matcher.model is not None
    plan = RoutePlan(
        route=settings.name,
        request_body=needs_body or (is_folded and reads),
        response_headers=chain.reads_response or bool(chain.response_headers),
        response_body=chain.reads_response,
        # Without the host a folded attempt would go out unsigned.
        fails_open=chain.fails_open and not is_folded,
        budget_s=max(chain.budget_s, _LEAST_BUDGET_S),
        attempts=len(backends) > 1,
        attempt_body=len(backends) > 1 and reads,
    )
    return Route(settings.name, settings, matcher, chain, backends, plan)


def _into(things: dict[str, Any], kind: str) -> Callable[[str, Any], None]:
    def register(name: str, thing: Any) -> None:
        if name in things:
            raise ValueError(f"there is already a {kind} {name!r}")
        things[name] = thing

    return register
