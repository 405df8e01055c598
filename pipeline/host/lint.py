"""Lints: what a valid config most likely does not mean, judged by what its plugins declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.api.plugin import Trait
from pipeline.config.source import Key
from pipeline.errors import Problem
from pipeline.host.instances import Instance
from pipeline.host.overlap import covers
from pipeline.host.runtime import Route, Runtime

Severity = Literal["warning", "info"]


@dataclass(frozen=True, slots=True)
class Lint:
    """One finding about a config that can be used as it is.

    Args:
        rule: the rule's stable name.
        severity: `warning` for what is most likely a mistake, `info` for what one should know.
        problem: where it stands, what it means and what to do.
        routes: the routes that it concerns.
    """

    rule: str
    severity: Severity
    problem: Problem
    routes: tuple[str, ...]


Finding = tuple[Key, str, tuple[str, ...]]
"""Key, message, and the routes concerned."""


def lint(runtime: Runtime) -> list[Lint]:
    """Return what every rule finds, in the order of the file."""
    found = [
        Lint(name, severity, runtime.source.problem(key, message), routes)
        for name, severity, rule in RULES
        for key, message, routes in rule(runtime)
    ]
    return sorted(found, key=lambda item: item.problem.line or 0)


def _cache_before_guard(runtime: Runtime) -> Iterator[Finding]:
    for key, route in _routes(runtime):
        instances = route.chain.instances
        for index, cache in enumerate(instances):
            if not _is(cache, "cache"):
                continue
            for guard in instances[index + 1 :]:
                if _is(guard, "guard"):
                    message = (
                        f"the cache {cache.name!r} stands before the guard {guard.name!r}: what it "
                        f"answers, the guard never sees; move {guard.name!r} before it"
                    )
                    yield (*key, "plugins", index), message, (route.name,)


def _masker_without_restorer(runtime: Runtime) -> Iterator[Finding]:
    for key, route in _routes(runtime):
        instances = route.chain.instances
        if any(_is(instance, "restorer") for instance in instances):
            continue
        for index, masker in enumerate(instances):
            if _is(masker, "masker"):
                message = (
                    f"{masker.name!r} masks and no plugin of the route restores: clients get the "
                    "masks; add a restorer"
                )
                yield (*key, "plugins", index), message, (route.name,)


def _guard_fails_open(runtime: Runtime) -> Iterator[Finding]:
    for guard in _guards(runtime):
        if not guard.fails_closed:
            message = (
                f"the guard {guard.name!r} fails open: when it breaks or is late, calls pass "
                "unguarded; set `on_error: closed`"
            )
            yield ("plugins", guard.name, "on_error"), message, _used_by(runtime, guard.name)


def _guard_not_enforced(runtime: Runtime) -> Iterator[Finding]:
    for guard in _guards(runtime):
        if guard.share_percent < 100:
            share = f"for {guard.share_percent}% of tenants" if guard.share_percent else "nowhere"
            message = (
                f"the guard {guard.name!r} is enforced {share}; `mode: enforce` makes it count"
            )
            yield ("plugins", guard.name, "mode"), message, _used_by(runtime, guard.name)


def _guard_conditional(runtime: Runtime) -> Iterator[Finding]:
    for guard in _guards(runtime):
        if guard.when is not None:
            message = (
                f"the guard {guard.name!r} runs only where its `when` holds: make sure that no "
                "client decides that (headers, model)"
            )
            yield ("plugins", guard.name, "when"), message, _used_by(runtime, guard.name)


def _unused_instance(runtime: Runtime) -> Iterator[Finding]:
    for name, instance in runtime.instances.items():
        registers = any(hook.startswith("register_") for hook in instance.hooks)
        if not registers and not _used_by(runtime, name):
            message = f"no route uses {name!r}: name it in a route's `plugins`, or remove it"
            yield ("plugins", name), message, ()


def _unused_backend(runtime: Runtime) -> Iterator[Finding]:
    used = {name for route in runtime.config.routes for name in route.backend_names}
    for name in runtime.config.backends:
        if name not in used:
            message = f"no route uses {name!r}: name it in a route's `backends`, or remove it"
            yield ("backends", name), message, ()


def _stream_held_back(runtime: Runtime) -> Iterator[Finding]:
    for key, route in _routes(runtime):
        for bound in route.chain.stream:
            instance = bound.instance
            if bound.hook == "on_response_event" or instance.plugin.read_only:
                continue
            if instance.share_percent:
                index = route.chain.instances.index(instance)
                message = (
                    f"{instance.name!r} has on_response but not on_response_event: it holds "
                    "streamed answers back until their end"
                )
                yield (*key, "plugins", index), message, (route.name,)


def _other_passes_guard(runtime: Runtime) -> Iterator[Finding]:
    for key, route in _routes(runtime):
        guards = [i.name for i in route.chain.instances if _is(i, "guard")]
        if route.config.other == "pass" and guards:
            message = (
                f"`other: pass` lets requests that are no LLM call pass the guard {guards[0]!r} "
                "unread; give them a route of their own"
            )
            yield (*key, "other"), message, (route.name,)


def _check_has_no_effect(runtime: Runtime) -> Iterator[Finding]:
    for key, route in _routes(runtime):
        if not route.config.check and route.plan.request_body:
            message = (
                "`check: false` has no effect: a plugin, the model's match or the backend needs "
                "the body, so calls are read and checked anyway"
            )
            yield (*key, "check"), message, (route.name,)


def _unreachable(runtime: Runtime) -> Iterator[Finding]:
    routes = runtime.config.routes
    for index, route in enumerate(routes):
        earlier = next((r for r in routes[:index] if covers(r.match, route.match)), None)
        if earlier is not None:
            message = (
                f"{route.name!r} can never match: {earlier.name!r} stands before it and matches "
                "all that it does; move it up, or narrow the other one"
            )
            yield ("routes", index, "match"), message, (route.name,)


def _matched_by_model(runtime: Runtime) -> Iterator[Finding]:
    for key, route in _routes(runtime):
        if route.matcher.model is not None:
            message = (
                "the model is in the body: Envoy holds every request that this route may match "
                "until its body is whole, before the route is known"
            )
            yield (*key, "match", "model"), message, (route.name,)


RULES: tuple[tuple[str, Severity, Callable[[Runtime], Iterator[Finding]]], ...] = (
    ("cache-before-guard", "warning", _cache_before_guard),
    ("masker-without-restorer", "warning", _masker_without_restorer),
    ("guard-fails-open", "warning", _guard_fails_open),
    ("guard-not-enforced", "info", _guard_not_enforced),
    ("guard-conditional", "info", _guard_conditional),
    ("unused-instance", "warning", _unused_instance),
    ("unused-backend", "warning", _unused_backend),
    ("stream-held-back", "info", _stream_held_back),
    ("other-passes-guard", "warning", _other_passes_guard),
    ("check-has-no-effect", "info", _check_has_no_effect),
    ("unreachable-route", "warning", _unreachable),
    ("matched-by-model", "info", _matched_by_model),
)


def _routes(runtime: Runtime) -> Iterator[tuple[Key, Route]]:
    for index, route in enumerate(runtime.routes.values()):
        yield ("routes", index), route


def _guards(runtime: Runtime) -> Iterator[Instance]:
    for name, instance in runtime.instances.items():
        if _is(instance, "guard") and _used_by(runtime, name):
            yield instance


def _is(instance: Instance, trait: Trait) -> bool:
    return trait in instance.plugin.traits


def _used_by(runtime: Runtime, name: str) -> tuple[str, ...]:
    return tuple(route.name for route in runtime.config.routes if name in route.plugins)
