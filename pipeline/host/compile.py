"""Compiling a config: plugins loaded and checked, every route's chain and plan worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.api.provider import Provider
from pipeline.api.signals import SignalFunction
from pipeline.config.schema import Config, InstanceConfig, RouteConfig
from pipeline.config.source import Source
from pipeline.dialects.registry import Dialects, builtin
from pipeline.errors import ConfigError, Problem
from pipeline.host.backends import Link, make_links
from pipeline.host.chain import compile_chain
from pipeline.host.folding import is_folded, shown
from pipeline.host.inference import LANGUAGE, language, make_models
from pipeline.host.instances import Instance, make_instances
from pipeline.host.loading import installed_providers
from pipeline.host.plan import RoutePlan
from pipeline.host.routing import compile_matcher
from pipeline.host.runtime import Route, Runtime

# A route without plugins still parses and checks: what Envoy waits for that at most.
_LEAST_BUDGET_S = 0.2
# To receive and translate the largest bodies that are taken, on a machine that others use too.
_TRANSLATION_BUDGET_S = 5.0
_ROUTING_PSEUDO_HEADERS = frozenset({":path", ":authority", ":method"})


def compile_config(
    config: Config, source: Source, running: Runtime | None = None, node: str | None = None
) -> Runtime:
    """Load the plugins and compile every route.

    Args:
        config: the config.
        source: its document.
        running: what runs now; plugins that stay the same are taken over from it, and models.
        node: address of a process of this machine that has the models for this one, if any.

    Raises:
        ConfigError: with the problems found.
    """
    # The file by its name: what a symbolic link leads to changes with every update of a ConfigMap.
    is_there = running is not None and running.source.file == source.file
    taken_over: Mapping[str, Instance] = {}
    if running is not None and is_there and running.config.plugins_dir == config.plugins_dir:
        taken_over = running.instances
    instances = make_instances(config, source, taken_over)
    dialects = builtin()
    providers: dict[str, Provider] = {}
    signals: dict[str, SignalFunction] = {}
    _raise_any(_registered(instances, source, dialects, providers, signals))
    # Registered by nobody, and by whoever knows better.
    signals.setdefault(LANGUAGE, language)
    implied = _implied(config, source, providers, taken_over)
    instances = {**instances, **implied}
    _raise_any(_supplied(implied, source, providers))
    links = make_links(config, source, providers)
    # With the URLs that their providers know: Envoy's configuration is made of these.
    urls = {
        name: backend.model_copy(update={"url": links[name].backend.url.geturl()})
        for name, backend in config.backends.items()
    }
    config = config.model_copy(update={"backends": urls})
    _raise_any(_unknown_dialects(config, source, dialects))
    _raise_any(_keys_handed_on(config, source, links))
    routes = {
        settings.name: _route(
            settings,
            [instances[name] for name in settings.plugins],
            tuple(links[name] for name in settings.backend_names),
            dialects,
        )
        for settings in config.routes
    }
    inference = make_models(
        config,
        source,
        instances.values(),
        signals,
        running.inference if running is not None else None,
        node,
    )
    matched = {name for route in config.routes for name in route.match.headers}
    return Runtime(
        config=config,
        source=source,
        instances=instances,
        dialects=dialects,
        providers=providers,
        links=links,
        signals=signals,
        inference=inference,
        routes=shown(routes),
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


def _implied(
    config: Config,
    source: Source,
    providers: Mapping[str, Provider],
    running: Mapping[str, Instance],
) -> dict[str, Instance]:
    """Make the plugins that bring along what the config's backends name and nobody registered."""
    if all(backend.provider in providers for backend in config.backends.values()):
        return {}  # asking what is installed reads the disk
    entries = installed_providers()
    implied: dict[str, InstanceConfig] = {}
    problems: list[Problem] = []
    for name, backend in config.backends.items():
        wanted = backend.provider
        if wanted in providers or wanted not in entries:
            continue
        if len(entries[wanted]) > 1:
            owners = ", ".join(sorted(entry.value for entry in entries[wanted]))
            message = f"several plugins bring a provider {wanted!r} along: {owners}"
            problems.append(source.problem(("backends", name, "provider"), message))
            continue
        uses = entries[wanted][0].value
        implied[uses] = InstanceConfig(uses=uses)
    if problems:
        raise ConfigError(*problems)
    return make_instances(config.model_copy(update={"plugins": implied}), source, running)


def _supplied(
    implied: Mapping[str, Instance], source: Source, providers: dict[str, Provider]
) -> Iterator[Problem]:
    def add(name: str, provider: Provider) -> None:
        providers.setdefault(name, provider)

    for instance in implied.values():
        try:
            if instance.has("register_providers"):
                instance.hooks["register_providers"](add)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
            message = (
                f"register_providers of {instance.name} failed: {type(error).__name__}: {error}"
            )
            yield source.problem(("backends",), message)


def _unknown_dialects(config: Config, source: Source, dialects: Dialects) -> Iterator[Problem]:
    known = ", ".join(dialects.names)
    for index, route in enumerate(config.routes):
        if route.dialect is not None and route.dialect not in dialects.names:
            message = f"there is no dialect {route.dialect!r}; there are {known}"
            yield source.problem(("routes", index, "dialect"), message)


def _keys_handed_on(
    config: Config,
    source: Source,
    links: Mapping[str, Link],
) -> Iterator[Problem]:
    # Envoy has one set of headers for all attempts: the key of one stays for the next, which
    # replaces it or, without a key of its own, would be sent it.
    for index, route in enumerate(config.routes):
        keyed = ""
        for place, shares in enumerate(route.backends):
            # Among those of one priority any may be the first.
            own = [name for name in shares if links[name].backend.api_key]
            keyed = keyed or next(iter(own), "")
            for name in shares:
                if keyed and links[name].connection.passes_credentials and name not in own:
                    message = (
                        f"{name!r} has no api_key and would be sent that of {keyed!r}, which is"
                        " tried before it: give it one, or list it first"
                    )
                    yield source.problem(("routes", index, "backends", place), message)
            keyed = next(reversed(own), keyed)


def _raise_any(found: Iterator[Problem]) -> None:
    problems = tuple(found)
    if problems:
        raise ConfigError(*problems)


def _route(
    settings: RouteConfig,
    instances: Sequence[Instance],
    links: tuple[Link, ...],
    dialects: Dialects,
) -> Route:
    chain = compile_chain(instances)
    matcher = compile_matcher(settings.match)
    seen = _seen_dialects(settings, dialects)
    reads = any(not link.connection.passes(dialect) for link in links for dialect in seen)
    translates = any(not link.connection.keeps_answers(one) for link in links for one in seen)
    folded = is_folded(links)
    translates_folded = folded and translates
    reads_calls = settings.check or chain.reads_request or matcher.model is not None
    budget_s = max(chain.budget_s, _LEAST_BUDGET_S)
    plan = RoutePlan(
        route=settings.name,
        request_body=reads_calls or (folded and reads),
        response_headers=chain.sees_responses or translates_folded,
        response_body=chain.reads_response or translates_folded,
        # Without the host a folded attempt would go out unsigned.
        fails_open=chain.fails_open and not folded,
        budget_s=budget_s + (_TRANSLATION_BUDGET_S if translates_folded else 0.0),
        attempts=bool(links) and not folded,
        attempt_body=reads and not folded,
        attempt_answer=translates and not folded,
    )
    return Route(
        name=settings.name,
        config=settings,
        matcher=matcher,
        chain=chain,
        links=links,
        plan=plan,
        budget_s=budget_s,
        reads_calls=reads_calls,
        translates_folded=translates_folded,
    )


def _seen_dialects(settings: RouteConfig, dialects: Dialects) -> set[str | None]:
    """Return what may be asked on a route: names of dialects, None for what is no LLM call."""
    path, named = settings.match.path, settings.dialect
    seen: set[str | None]
    if named is not None:
        seen = {named}
    elif path is not None:
        found = dialects.for_path(path)
        seen = {found.name} if found is not None else set()
    else:
        # Behind any prefix every path that a dialect has may follow.
        seen = set(dialects.names)
    return seen | {None} if settings.other == "pass" else seen


def _into(things: dict[str, Any], kind: str) -> Callable[[str, Any], None]:
    def register(name: str, thing: Any) -> None:
        if name in things:
            raise ValueError(f"there is already a {kind} {name!r}")
        things[name] = thing

    return register
